// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

func TestOpenRefusesConfigsThatCannotBe(t *testing.T) {
	for name, c := range map[string]Config{
		"negative queues": {Queues: -1},
		"too many queues": {Queues: uapi.QueuesMax + 1},
		"negative ring":   {RXSize: -4096},
		"huge ring":       {TXSize: uapi.RingSizeMax * 2},
		"huge headroom":   {Headroom: uapi.RoomMax + 1},
		"huge tailroom":   {Tailroom: uapi.RoomMax + 1},
		"unknown backend": {Backend: 3},
		"no backend":      {Backend: -1},
		"no injection":    {Injection: -1},
		"other injection": {Injection: 3},
	} {
		c.Device = "/dev/null" // never opened
		if _, err := Open(c); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenOfWhatIsNoDevice(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	for _, b := range []Backend{BackendAuto, BackendRing, BackendKernel} {
		_, err := Open(Config{Backend: b, Device: filepath.Join(dir, "none")})
		var pathErr *fs.PathError
		if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &pathErr) {
			t.Errorf("%v: no such file: %v", b, err)
		}
		_, err = Open(Config{Backend: b, Device: file})
		var sysErr *os.SyscallError
		if !errors.Is(err, unix.ENOTTY) || !errors.As(err, &sysErr) {
			t.Errorf("%v: no device: %v", b, err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files were open, now %d", before, after)
	}
}

func TestConfigBecomesFlags(t *testing.T) {
	const base = unix.IFF_NO_PI
	for _, tt := range []struct {
		c     Config
		first bool
		want  uint16
	}{
		{Config{}, true, base | unix.IFF_TUN},
		{Config{TAP: true}, true, base | unix.IFF_TAP},
		{Config{Queues: 1}, true, base | unix.IFF_TUN},
		{Config{Queues: 2}, true, base | unix.IFF_TUN | unix.IFF_MULTI_QUEUE},
		{Config{MultiQueue: true}, true, base | unix.IFF_TUN | unix.IFF_MULTI_QUEUE},
		{Config{Exclusive: true}, true, base | unix.IFF_TUN | unix.IFF_TUN_EXCL},
		{Config{Exclusive: true, Queues: 2}, false, base | unix.IFF_TUN | unix.IFF_MULTI_QUEUE},
	} {
		if got := tt.c.flags(tt.first); got != tt.want {
			t.Errorf("%+v: %#x, want %#x", tt.c, got, tt.want)
		}
	}
}

func TestRooms(t *testing.T) {
	for asked, want := range map[int]int{-1: 0, 0: 64, 1: 1, 4096: 4096} {
		if got := room(asked, 64); got != want {
			t.Errorf("%d becomes %d, want %d", asked, got, want)
		}
	}
}
