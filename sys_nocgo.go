// SPDX-License-Identifier: MIT

//go:build !cgo

package mytun

import "github.com/mytun/mytun/internal/sys"

// The module's system calls, in pure Go.
var (
	sysOpen       = sys.Open
	sysAttach     = sys.Attach
	sysInfo       = sys.Info
	sysRings      = sys.Rings
	sysSetMode    = sys.SetMode
	sysSetOffload = sys.SetOffload
	sysMap        = sys.Map
	sysUnmap      = sys.Unmap
	sysDetach     = sys.Detach
)
