// SPDX-License-Identifier: MIT

//go:build cgo

package mytun

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/csrc"
	"github.com/mytun/mytun/internal/sys"
	"github.com/mytun/mytun/internal/uapi"
)

// calls are the system calls of one of the two packages that make them.
type calls struct {
	open     func(path string) (int, error)
	attach   func(fd int, name string, flags uint16) (string, error)
	info     func(fd int) (uapi.Info, error)
	rings    func(fd int, r *uapi.Rings) error
	mmap     func(fd, size int) ([]byte, error)
	unmap    func(b []byte) error
	doorbell func(fd int) error
	detach   func(fd int) error

	doorbellFew func(fd int) error
	rxDoorbell  func(fd int) error
	setMode     func(fd int, m *uapi.Mode) error
	getMode     func(fd int) (uapi.Mode, error)
	setOffload  func(fd int, offload uint) error
}

var (
	inC = calls{
		csrc.Open, csrc.Attach, csrc.Info, csrc.Rings, csrc.Map, csrc.Unmap, csrc.Doorbell, csrc.Detach,
		csrc.Doorbell, csrc.RxDoorbell, csrc.SetMode, csrc.GetMode, csrc.SetOffload,
	}
	inGo = calls{
		sys.Open, sys.Attach, sys.Info, sys.Rings, sys.Map, sys.Unmap, sys.Doorbell, sys.Detach,
		sys.DoorbellFew, sys.RxDoorbell, sys.SetMode, sys.GetMode, sys.SetOffload,
	}
)

// outcome is what a script of calls came to, in a form to compare.
type outcome struct {
	step string
	err  error
	is   any
}

// sysScript makes every call on a file that is no device.
func sysScript(t *testing.T, c calls) (all []outcome) {
	t.Helper()
	add := func(step string, err error, is any) { all = append(all, outcome{step, err, is}) }
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/none/such", t.TempDir(), "a\x00b"} {
		_, err := c.open(path)
		add("open of a path that cannot be", err, nil)
	}
	fd, err := c.open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	add("flags", err, flags)
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	add("descriptor flags", err, flags)

	for _, fd := range []int{fd, -1, 1 << 20} {
		for _, name := range []string{"", "tun%d", "a\x00b", strings.Repeat("n", 15), strings.Repeat("n", 16)} {
			got, err := c.attach(fd, name, unix.IFF_TUN)
			add("attach", err, got)
		}
		info, err := c.info(fd)
		add("info", err, info)
		r := uapi.Rings{RxSize: 4096, TxSize: 4096}
		err = c.rings(fd, &r)
		add("rings", err, r)
		add("doorbell", c.doorbell(fd), nil)
		add("doorbell for few", c.doorbellFew(fd), nil)
		add("RX doorbell", c.rxDoorbell(fd), nil)
		add("set mode", c.setMode(fd, &uapi.Mode{Flags: 1}), nil)
		mode, err := c.getMode(fd)
		add("get mode", err, mode)
		add("set offload", c.setOffload(fd, unix.TUN_F_CSUM), nil)
		add("detach", c.detach(fd), nil)
		for _, size := range []int{-1, 0, 1, 4096, 8192} {
			mem, err := c.mmap(fd, size)
			add("map", err, len(mem))
			if err == nil {
				add("capacity", nil, cap(mem))
				mem[0]++
				add("unmap", c.unmap(mem), nil)
			}
		}
	}
	add("unmap nothing", c.unmap(nil), nil)
	data, err := os.ReadFile(path)
	add("what was written through the mappings", err, data[0])
	return all
}

// deviceScript makes every call on the module's device.
func deviceScript(t *testing.T, c calls) (all []outcome) {
	t.Helper()
	add := func(step string, err error, is any) { all = append(all, outcome{step, err, is}) }
	fd, err := c.open(ringDevice)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	info, err := c.info(fd)
	add("info of a file that is not attached", err, info)
	add("rings of a file that is not attached", c.rings(fd, &uapi.Rings{RxSize: 4096, TxSize: 4096}), nil)
	add("doorbell of a file that is not attached", c.doorbell(fd), nil)
	add("doorbell for few of a file that is not attached", c.doorbellFew(fd), nil)
	add("RX doorbell of a file that is not attached", c.rxDoorbell(fd), nil)
	modes := func(when string) {
		for _, m := range []uapi.Mode{
			{}, {Flags: uapi.ModeFBackpressure}, {Flags: uapi.ModeFRecords}, {Flags: 1 << 31},
			{Inject: uapi.InjectThread}, {Inject: 3}, {Inject: 1 << 31}, {Reserved: [6]uint32{5: 1}}, {},
		} {
			add("set mode "+when, c.setMode(fd, &m), m)
			got, err := c.getMode(fd)
			add("get mode "+when, err, got)
		}
		for _, offload := range []uint{
			0, unix.TUN_F_CSUM, unix.TUN_F_TSO4, unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6,
			unix.TUN_F_CSUM | unix.TUN_F_USO4 | unix.TUN_F_USO6, 1 << 31, 0,
		} {
			add("set offload "+when, c.setOffload(fd, offload), nil)
		}
	}
	modes("of a file that is not attached")
	add("detach of a file that is not attached", c.detach(fd), nil)
	_, err = c.attach(fd, "", 0x10)
	add("attach with bad flags", err, nil)
	name, err := c.attach(fd, "twin%d", unix.IFF_TUN|unix.IFF_NO_PI|unix.IFF_TUN_EXCL)
	add("attach", err, name)
	name, err = c.attach(fd, "twin%d", unix.IFF_TUN|unix.IFF_NO_PI)
	add("attach again", err, name)
	add("doorbell without rings", c.doorbell(fd), nil)
	add("doorbell for few without rings", c.doorbellFew(fd), nil)
	add("RX doorbell without rings", c.rxDoorbell(fd), nil)
	modes("without rings")
	info, err = c.info(fd)
	info.Ifindex = min(info.Ifindex, 1)
	add("info", err, info)
	_, err = c.mmap(fd, 4096)
	add("map without rings", err, nil)
	for _, r := range []uapi.Rings{
		{}, {RxSize: 4096, TxSize: 5000}, {RxSize: 4096, TxSize: 4096, Flags: 1 << 31},
		{RxSize: 4096, TxSize: 4096, RxHeadroom: uapi.RoomMax + 1},
		{RxSize: 4096, TxSize: 4096, Reserved: [4]uint32{3: 1}},
		{RxSize: 1 << 14, TxSize: 1 << 13, RxHeadroom: 16, RxTailroom: 32, Flags: uapi.RingsFAll},
		{RxSize: 1 << 14, TxSize: 1 << 13},
	} {
		err := c.rings(fd, &r)
		add("rings", err, r)
		if err == nil {
			_, err := c.mmap(fd, 4096)
			add("map of another size", err, nil)
			mem, err := c.mmap(fd, int(r.MapSize))
			add("map", err, len(mem))
			if err == nil {
				add("unmap", c.unmap(mem), nil)
			}
		}
	}
	add("doorbell of an interface that is down", c.doorbell(fd), nil)
	add("doorbell for few of an interface that is down", c.doorbellFew(fd), nil)
	add("RX doorbell of an interface that is down", c.rxDoorbell(fd), nil)
	modes("with rings")
	add("detach", c.detach(fd), nil)
	add("detach again", c.detach(fd), nil)
	add("doorbell after detach", c.doorbell(fd), nil)
	add("doorbell for few after detach", c.doorbellFew(fd), nil)
	add("RX doorbell after detach", c.rxDoorbell(fd), nil)
	modes("after detach")
	return all
}

func compare(t *testing.T, inC, inGo []outcome) {
	t.Helper()
	if len(inC) != len(inGo) {
		t.Fatalf("%d steps in C, %d in Go", len(inC), len(inGo))
	}
	for i, c := range inC {
		if c != inGo[i] {
			t.Errorf("%s:\nC  %v, %+v\nGo %v, %+v", c.step, c.err, c.is, inGo[i].err, inGo[i].is)
		}
		if _, ok := c.err.(syscall.Errno); c.err != nil && !ok {
			t.Errorf("%s: the error is a %T", c.step, c.err)
		}
	}
}

func TestCgoAndGoMakeTheSameCalls(t *testing.T) {
	compare(t, sysScript(t, inC), sysScript(t, inGo))
}

func TestRootCgoAndGoMakeTheSameCalls(t *testing.T) {
	needGuest(t)
	compare(t, deviceScript(t, inC), deviceScript(t, inGo))
}
