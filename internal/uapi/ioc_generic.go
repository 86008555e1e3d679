// SPDX-License-Identifier: MIT

//go:build !(mips || mipsle || mips64 || mips64le || ppc64 || ppc64le || sparc64)

package uapi

// Directions of an ioctl number, asm-generic/ioctl.h.
const (
	iocNone  = 0
	iocWrite = 1 << 30
	iocRead  = 2 << 30
)
