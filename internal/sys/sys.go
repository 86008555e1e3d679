// SPDX-License-Identifier: MIT

// Package sys makes the module's system calls in pure Go, one function for
// each, for programs that are built without cgo. Package csrc has the same
// functions over the C library; a test of package mytun holds the two equal.
//
// Errors are values of type syscall.Errno.
package sys

import (
	"strings"
	"unsafe" // ioctl takes the address of a structure

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// Open opens a device node, not blocking and closed on exec.
func Open(path string) (fd int, err error) {
	for {
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Attach makes the file a queue of the interface name, which may hold %d or be
// empty, and returns the name that the interface got. The flags are IFF_TUN and
// others of if_tun.h.
func Attach(fd int, name string, flags uint16) (actualName string, err error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", unix.EINVAL
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return "", err
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return "", err
	}
	return req.Name(), nil
}

// Info tells what the module can do and where the file is attached.
func Info(fd int) (info uapi.Info, err error) {
	err = ioctl(fd, uapi.IocInfo, unsafe.Pointer(&info))
	return info, err
}

// Rings gives an attached queue its rings, and fills in where they are.
func Rings(fd int, r *uapi.Rings) error {
	return ioctl(fd, uapi.IocRings, unsafe.Pointer(r))
}

// Map maps the rings: size is MapSize of Rings.
func Map(fd int, size int) ([]byte, error) {
	return unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// Unmap undoes Map: b is the slice that it returned.
func Unmap(b []byte) error { return unix.Munmap(b) }

// Doorbell tells the kernel that records wait in the TX ring. It never blocks,
// but it may run the stack's receive path before it returns: that is why it
// tells Go's scheduler of the system call.
func Doorbell(fd int) error { return ioctl(fd, uapi.IocDoorbell, nil) }

// DoorbellFew is Doorbell for so few packets that the scheduler is not told. What
// it is told has its price: waking the thread that watches over system calls costs
// more than a small packet, and that thread then looks every 20 microseconds.
func DoorbellFew(fd int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uapi.IocDoorbell), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Read is read(2) from a file that does not block, and Writev is writev(2): of one packet, so
// that the scheduler is not told either.
func Read(fd int, b []byte) (n int, err error) {
	r, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// Writev is told at Read.
func Writev(fd int, vec []unix.Iovec) error {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(vec))), uintptr(len(vec)))
	if errno != 0 {
		return errno
	}
	return nil
}

// RxDoorbell tells the kernel that there is room again in the RX ring. It never
// blocks.
func RxDoorbell(fd int) error {
	return unix.IoctlSetInt(fd, uapi.IocDoorbell, uapi.DoorbellRx)
}

// SetMode changes how an attached queue works.
func SetMode(fd int, m *uapi.Mode) error {
	return ioctl(fd, uapi.IocSetMode, unsafe.Pointer(m))
}

// GetMode tells how an attached queue works.
func GetMode(fd int) (m uapi.Mode, err error) {
	err = ioctl(fd, uapi.IocGetMode, unsafe.Pointer(&m))
	return m, err
}

// SetOffload says which unfinished packets the program takes: TUN_F_CSUM and others
// of if_tun.h.
func SetOffload(fd int, offload uint) error {
	return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, int(offload))
}

// Detach takes the queue off its interface, though it may be mapped.
func Detach(fd int) error { return ioctl(fd, uapi.IocDetach, nil) }

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
	if errno != 0 {
		return errno
	}
	return nil
}
