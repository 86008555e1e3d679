// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRootOpenAndClose(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		for _, tt := range []struct {
			name   string
			config Config
			want   string // beginning of the name
		}{
			{"zero", Config{}, "tun"},
			{"TAP", Config{TAP: true}, "tap"},
			{"name", Config{Name: "vpn7"}, "vpn7"},
			{"pattern", Config{Name: "vpn%d"}, "vpn0"},
			{"queues", Config{Name: "vpn", Queues: 4}, "vpn"},
			{"small rings", Config{Name: "vpn", RXSize: 4096, TXSize: 4096}, "vpn"},
			{"large rings", Config{Name: "vpn", RXSize: 1 << 26, TXSize: 1 << 26}, "vpn"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c := tt.config
				c.Backend = b
				tun := openTun(t, c)
				name := tun.Name()
				if !strings.HasPrefix(name, tt.want) {
					t.Errorf("name is %q, want %q", name, tt.want)
				}
				iface, err := net.InterfaceByName(name)
				if err != nil {
					t.Fatal(err)
				}
				if iface.Index != tun.Index() || iface.Flags&net.FlagUp != 0 {
					t.Errorf("index %d, want %d; flags %v", tun.Index(), iface.Index, iface.Flags)
				}
				if (len(iface.HardwareAddr) != 0) != c.TAP {
					t.Errorf("hardware address is %v", iface.HardwareAddr)
				}
				if tun.Backend() != b || tun.NumQueues() != max(c.Queues, 1) || len(tun.Queues()) != tun.NumQueues() {
					t.Errorf("backend %v, %d queues", tun.Backend(), tun.NumQueues())
				}
				for i, q := range tun.Queues() {
					if q.Index() != i || q != tun.Queue(i) || q.LocalAddr().String() != name || q.LocalAddr().Network() != "mytun" {
						t.Errorf("queue %d: %d, %v", i, q.Index(), q.LocalAddr())
					}
				}
				if err := tun.Close(); err != nil {
					t.Error(err)
				}
				if exists(name) {
					t.Error("interface is there after Close")
				}
				if err := tun.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("second Close: %v", err)
				}
				if tun.Name() != name {
					t.Errorf("name after Close is %q", tun.Name())
				}
			})
		}
	})
}

func TestRootAutoTakesTheModule(t *testing.T) {
	needGuest(t)
	if b := openTun(t, Config{}).Backend(); b != BackendRing {
		t.Errorf("backend is %v", b)
	}
	if b := openTun(t, Config{Device: ringDevice}).Backend(); b != BackendRing {
		t.Errorf("backend of the module's device is %v", b)
	}
	if err := loadTun(); err != nil {
		t.Fatal(err)
	}
	if b := openTun(t, Config{Device: kernelDevice}).Backend(); b != BackendKernel {
		t.Errorf("backend of the kernel's device is %v", b)
	}
	if _, err := Open(Config{Device: "/dev/net/none", Backend: BackendRing}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
}

func TestRootOpenErrors(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		first := openTun(t, Config{Name: "first", Backend: b})
		_ = first
		fds := openFiles(t)
		for _, tt := range []struct {
			name   string
			config Config
			want   error
		}{
			{"exists", Config{Name: "first", Exclusive: true}, unix.EBUSY},
			{"its queue is taken", Config{Name: "first"}, unix.EBUSY},
			{"another kind", Config{Name: "first", TAP: true}, unix.EINVAL},
			{"not multi-queue", Config{Name: "first", MultiQueue: true}, unix.EINVAL},
			{"not ours", Config{Name: "lo"}, unix.EINVAL},
			{"long name", Config{Name: strings.Repeat("n", 16)}, unix.EINVAL},
			{"bad name", Config{Name: "a/b"}, unix.EINVAL},
			{"NUL in the name", Config{Name: "a\x00b"}, unix.EINVAL},
			{"too many queues", Config{Name: "many", Queues: 257}, unix.EINVAL},
		} {
			tt.config.Backend = b
			tun, err := Open(tt.config)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
			if err == nil {
				tun.Close()
			}
		}
		if now := openFiles(t); now != fds {
			t.Errorf("%d files were open, now %d", fds, now)
		}
	})
}

func openFiles(t testing.TB) int {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}

func TestRootLink(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		tun := openTun(t, Config{Name: "vpn%d", Backend: b})
		if mtu, err := tun.MTU(); mtu != 1500 || err != nil {
			t.Errorf("MTU is %d, %v", mtu, err)
		}
		if err := tun.SetMTU(9000); err != nil {
			t.Error(err)
		}
		ip(t, "link", "set", tun.Name(), "name", "renamed")
		if name := tun.Name(); name != "renamed" {
			t.Errorf("name is %q", name)
		}
		if mtu, err := tun.MTU(); mtu != 9000 || err != nil {
			t.Errorf("MTU is %d, %v", mtu, err)
		}
		for _, up := range []bool{true, true, false, false} {
			if err := map[bool]func() error{true: tun.Up, false: tun.Down}[up](); err != nil {
				t.Error(err)
			}
			iface, err := net.InterfaceByName("renamed")
			if err != nil || iface.Flags&net.FlagUp != 0 != up {
				t.Errorf("up %v: %v, %v", up, iface, err)
			}
		}
		if err := tun.SetMTU(-1); !errors.Is(err, unix.EINVAL) {
			t.Errorf("MTU -1: %v", err)
		}
		tun.Close()
		for _, err := range []error{tun.Up(), tun.SetMTU(1500)} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}

func TestRootPersist(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		openTun(t, Config{Name: "keep", Persist: true, Backend: b}).Close()
		if !exists("keep") {
			t.Fatal("interface went away")
		}
		defer ip(t, "link", "del", "keep")
		tun := openTun(t, Config{Name: "keep", Backend: b})
		if tun.Name() != "keep" {
			t.Error(tun.Name())
		}
	})
}

// What Open made is gone when it fails, also if it was to stay.
func TestRootFailedOpenLeavesNothing(t *testing.T) {
	needGuest(t)
	_, err := Open(Config{Name: "keep", Persist: true, RXSize: 5000, Backend: BackendRing})
	if !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if exists("keep") {
		ip(t, "link", "del", "keep")
		t.Error("an interface is left")
	}
}

func TestRootMultiQueueTunIsNoConn(t *testing.T) {
	needGuest(t)
	tun := openTun(t, Config{Queues: 2})
	if _, err := tun.Read(make([]byte, 10)); !errors.Is(err, ErrMultiQueue) {
		t.Error(err)
	}
	if _, err := tun.Write(make([]byte, 10)); !errors.Is(err, ErrMultiQueue) {
		t.Error(err)
	}
	if err := tun.Queue(0).Close(); err != nil {
		t.Error(err)
	}
	if !exists(tun.Name()) {
		t.Error("interface went with its first queue")
	}
	if err := tun.Close(); err != nil {
		t.Error(err)
	}
}

func TestRootFilesAreClosed(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		openTun(t, Config{Backend: b}).Close() // the poller's own files are there now
		before := openFiles(t)
		for range 20 {
			openTun(t, Config{Queues: 4, Backend: b}).Close()
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d files were open, now %d", before, after)
		}
		if mapped(t) {
			t.Error("something is still mapped")
		}
	})
}

// Without the module the same program runs over the kernel's own driver. Run with
// a machine that does not load the module; elsewhere there is nothing to see.
func TestRootAutoFallsBack(t *testing.T) {
	needGuest(t)
	if _, err := os.Stat(ringDevice); err == nil {
		t.Skip("the module is loaded")
	}
	if err := loadTun(); err != nil {
		t.Fatal(err)
	}
	if b := openTun(t, Config{}).Backend(); b != BackendKernel {
		t.Errorf("backend is %v", b)
	}
	if _, err := Open(Config{Backend: BackendRing}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the module's backend: %v", err)
	}
}

// An interface belongs to the network namespace of the thread that opened it, and
// so do its methods, whichever thread calls them.
func TestRootNetworkNamespace(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		type opened struct {
			tun *Tun
			err error
		}
		c := make(chan opened)
		go func() {
			// The thread is never unlocked: it ends with the goroutine.
			runtime.LockOSThread()
			var o opened
			if o.err = unix.Unshare(unix.CLONE_NEWNET); o.err == nil {
				o.tun, o.err = Open(Config{Name: "inside", Backend: b})
			}
			c <- o
		}()
		o := <-c
		if o.err != nil {
			t.Fatal(o.err)
		}
		defer o.tun.Close()
		if exists("inside") {
			t.Error("the interface is in our namespace")
		}
		if err := o.tun.SetMTU(1234); err != nil {
			t.Error(err)
		}
		if err := o.tun.Up(); err != nil {
			t.Error(err)
		}
		if mtu, err := o.tun.MTU(); mtu != 1234 || err != nil || o.tun.Name() != "inside" {
			t.Error(mtu, err, o.tun.Name())
		}
	})
}

// A user who is not root may attach to an interface that root made for it, and to
// no other.
func TestRootOwnerMayAttach(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		const uid = 1000
		device := map[Backend]string{BackendRing: ringDevice, BackendKernel: kernelDevice}[b]
		os.Chmod(device, 0o666) // as a system with udev has it
		fd, err := sysOpen(device)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sysAttach(fd, "owned", unix.IFF_TUN|unix.IFF_NO_PI); err != nil {
			t.Fatal(err)
		}
		for _, req := range []struct{ request, value int }{{unix.TUNSETOWNER, uid}, {unix.TUNSETPERSIST, 1}} {
			if err := unix.IoctlSetInt(fd, uint(req.request), req.value); err != nil {
				t.Fatal(err)
			}
		}
		unix.Close(fd)
		defer ip(t, "link", "del", "owned")
		openTun(t, Config{Name: "rootish", Persist: true, Backend: b}).Close()
		defer ip(t, "link", "del", "rootish")

		c := make(chan error)
		go func() {
			runtime.LockOSThread() // the thread has another user from here on
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
				c <- errno
				return
			}
			tun, err := Open(Config{Name: "owned", Backend: b})
			if err == nil {
				err = tun.Close()
			}
			c <- err
			// Kernels differ in what their own driver lets one do with an
			// interface that has no owner.
			for _, name := range []string{"new", "rootish"} {
				tun, err := Open(Config{Name: name, Backend: b})
				if err == nil {
					tun.Close()
				}
				if b == BackendRing || name == "new" {
					c <- err
				}
			}
			close(c)
		}()
		if err := <-c; err != nil {
			t.Errorf("its own interface: %v", err)
		}
		for err := range c {
			if !errors.Is(err, unix.EPERM) {
				t.Errorf("not its own: %v", err)
			}
		}
	})
}
