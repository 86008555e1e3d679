// SPDX-License-Identifier: MIT

//go:build cgo

package mytun

import "github.com/mytun/mytun/csrc"

// The module's system calls, by the C library. The doorbells are not here: see
// ringQueue.ring.
var (
	sysOpen       = csrc.Open
	sysAttach     = csrc.Attach
	sysInfo       = csrc.Info
	sysRings      = csrc.Rings
	sysSetMode    = csrc.SetMode
	sysSetOffload = csrc.SetOffload
	sysMap        = csrc.Map
	sysUnmap      = csrc.Unmap
	sysDetach     = csrc.Detach
)
