// SPDX-License-Identifier: MIT

//go:build mips || mipsle || mips64 || mips64le || ppc64 || ppc64le || sparc64

package uapi

// Directions of an ioctl number, asm/ioctl.h of these machines.
const (
	iocNone  = 1 << 29
	iocRead  = 2 << 29
	iocWrite = 4 << 29
)
