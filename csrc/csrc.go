// SPDX-License-Identifier: MIT

//go:build cgo && linux

// Package csrc is the Go side of the C library libmytun: the system calls of
// the module, one function each, made by the library's shims. It is a Go package
// so that "go mod vendor" carries the C files; programs use package mytun.
//
// Errors are values of type [syscall.Errno]. The directory is flat and has its own
// copy of kmod/uapi/mytun.h, since cgo reaches no other folder of a vendored
// module.
package csrc

// #cgo CFLAGS: -std=gnu11 -Wall
// #include <stdlib.h>
// #include "libmytun.h"
import "C"

import (
	"strings"
	"syscall"
	"unsafe"

	"github.com/mytun/mytun/internal/uapi"
)

// result turns a shim's answer, -errno or not negative, into an error.
func result(ret C.int) error {
	if ret < 0 {
		return syscall.Errno(-ret)
	}
	return nil
}

// Open opens the module's device at path, not blocking and closed on exec.
func Open(path string) (fd int, err error) {
	if strings.IndexByte(path, 0) >= 0 {
		return -1, syscall.EINVAL
	}
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	for {
		ret := C.mytun_open(cpath)
		err := result(ret)
		if err == nil {
			return int(ret), nil
		}
		if err != syscall.EINTR {
			return -1, err
		}
	}
}

// Attach makes the file a queue of the interface name, which may hold %d or be
// empty, and returns the name that the interface got.
func Attach(fd int, name string, flags uint16) (actualName string, err error) {
	var buf [C.MYTUN_NAME_SIZE]C.char
	if len(name) >= len(buf) || strings.IndexByte(name, 0) >= 0 {
		return "", syscall.EINVAL
	}
	for i := range len(name) {
		buf[i] = C.char(name[i])
	}
	if err := result(C.mytun_attach(C.int(fd), &buf[0], C.uint16_t(flags))); err != nil {
		return "", err
	}
	return C.GoString(&buf[0]), nil
}

// Info tells what the module can do and where the file is attached.
func Info(fd int) (info uapi.Info, err error) {
	err = result(C.mytun_get_info(C.int(fd), (*C.struct_mytun_info)(unsafe.Pointer(&info))))
	return info, err
}

// Rings gives an attached queue its rings, and fills in where they are.
func Rings(fd int, r *uapi.Rings) error {
	return result(C.mytun_set_rings(C.int(fd), (*C.struct_mytun_rings)(unsafe.Pointer(r))))
}

// Map maps the rings: size is MapSize of Rings.
func Map(fd int, size int) ([]byte, error) {
	var p unsafe.Pointer
	if size <= 0 {
		return nil, syscall.EINVAL
	}
	if err := result(C.mytun_map(C.int(fd), C.size_t(size), &p)); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), size), nil
}

// Unmap undoes Map: b is the slice that it returned.
func Unmap(b []byte) error {
	if len(b) == 0 {
		return syscall.EINVAL
	}
	return result(C.mytun_unmap(unsafe.Pointer(unsafe.SliceData(b)), C.size_t(len(b))))
}

// Doorbell tells the kernel that records wait in the TX ring. It never blocks.
func Doorbell(fd int) error {
	return result(C.mytun_doorbell(C.int(fd)))
}

// RxDoorbell tells the kernel that there is room again in the RX ring. It never
// blocks.
func RxDoorbell(fd int) error {
	return result(C.mytun_rx_doorbell(C.int(fd)))
}

// SetMode changes how an attached queue works.
func SetMode(fd int, m *uapi.Mode) error {
	return result(C.mytun_set_mode(C.int(fd), (*C.struct_mytun_mode)(unsafe.Pointer(m))))
}

// GetMode tells how an attached queue works.
func GetMode(fd int) (m uapi.Mode, err error) {
	err = result(C.mytun_get_mode(C.int(fd), (*C.struct_mytun_mode)(unsafe.Pointer(&m))))
	return m, err
}

// SetOffload says which unfinished packets the program takes: TUN_F_CSUM and others
// of if_tun.h.
func SetOffload(fd int, offload uint) error {
	return result(C.mytun_set_offload(C.int(fd), C.uint(offload)))
}

// Detach takes the queue off its interface, though it may be mapped.
func Detach(fd int) error {
	return result(C.mytun_detach(C.int(fd)))
}
