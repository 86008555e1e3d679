// SPDX-License-Identifier: MIT

//go:build cgo

package mytun

import "github.com/mytun/mytun/csrc"

// The module's system calls, by the C library. The doorbell is not here: see
// ringQueue.ring.
var (
	sysOpen   = csrc.Open
	sysAttach = csrc.Attach
	sysInfo   = csrc.Info
	sysRings  = csrc.Rings
	sysMap    = csrc.Map
	sysUnmap  = csrc.Unmap
	sysDetach = csrc.Detach
)
