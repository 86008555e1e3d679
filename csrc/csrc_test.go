// SPDX-License-Identifier: MIT

//go:build cgo && linux

package csrc

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mytun/mytun/internal/uapi"
)

// The copy is there for cgo under vendoring; kmod/uapi/mytun.h is the contract.
func TestHeaderIsTheContract(t *testing.T) {
	contract, err := os.ReadFile("../kmod/uapi/mytun.h")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("not in the module's own tree:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("mytun_uapi.h")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(contract, own) {
		t.Error("mytun_uapi.h differs from kmod/uapi/mytun.h; run: make -C csrc uapi")
	}
}

func TestErrorsAreErrnos(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd := int(file.Fd())

	open := func(path string) error {
		_, err := Open(path)
		return err
	}
	attach := func(fd int, name string) error {
		_, err := Attach(fd, name, 1)
		return err
	}
	info := func(fd int) error {
		_, err := Info(fd)
		return err
	}
	mode := func(fd int) error {
		_, err := GetMode(fd)
		return err
	}
	mmap := func(fd, size int) error {
		_, err := Map(fd, size)
		return err
	}
	for _, tt := range []struct {
		name string
		got  error
		want error
	}{
		{"Open, no such file", open(filepath.Join(t.TempDir(), "none")), syscall.ENOENT},
		{"Open, NUL in the path", open("a\x00b"), syscall.EINVAL},
		{"Attach, not a tun", attach(fd, "tun0"), syscall.ENOTTY},
		{"Attach, not open", attach(-1, "tun0"), syscall.EBADF},
		{"Attach, long name", attach(fd, strings.Repeat("n", 16)), syscall.EINVAL},
		{"Attach, NUL in the name", attach(fd, "a\x00b"), syscall.EINVAL},
		{"Info, not a tun", info(fd), syscall.ENOTTY},
		{"Rings, not a tun", Rings(fd, new(uapi.Rings)), syscall.ENOTTY},
		{"Map, not open", mmap(-1, 4096), syscall.EBADF},
		{"Map, no size", mmap(fd, 0), syscall.EINVAL},
		{"Unmap, nothing", Unmap(nil), syscall.EINVAL},
		{"Doorbell, not a tun", Doorbell(fd), syscall.ENOTTY},
		{"RxDoorbell, not a tun", RxDoorbell(fd), syscall.ENOTTY},
		{"SetMode, not a tun", SetMode(fd, new(uapi.Mode)), syscall.ENOTTY},
		{"GetMode, not a tun", mode(fd), syscall.ENOTTY},
		{"SetOffload, not a tun", SetOffload(fd, 0), syscall.ENOTTY},
		{"Detach, not a tun", Detach(fd), syscall.ENOTTY},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestOpenFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)

	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if want := uintptr(syscall.O_RDWR | syscall.O_NONBLOCK); flags&(want|syscall.O_ACCMODE) != want {
		t.Errorf("flags are %#x, want %#x among them", flags, want)
	}
	flags, _, errno = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
		t.Errorf("not closed on exec: flags %#x, error %v", flags, errno)
	}
}

func TestMapIsShared(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(8192); err != nil {
		t.Fatal(err)
	}

	b, err := Map(int(file.Fd()), 8192)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != 8192 {
		t.Errorf("mapped %d bytes, want 8192", len(b))
	}
	copy(b[4096:], "shared")
	got := make([]byte, 6)
	if _, err := file.ReadAt(got, 4096); err != nil || string(got) != "shared" {
		t.Errorf("the file holds %q, error %v", got, err)
	}
	if err := Unmap(b); err != nil {
		t.Error(err)
	}
}
