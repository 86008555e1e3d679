// SPDX-License-Identifier: MIT

package mytun

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/packet"
)

// The tests in files named root_... make interfaces. They need root and the module,
// and run in a virtual machine, whose environment has MYTUN_GUEST=1.

func needGuest(t testing.TB) {
	t.Helper()
	if os.Getenv("MYTUN_GUEST") != "1" {
		t.Skip("makes network interfaces: runs only in a virtual machine with the module (MYTUN_GUEST=1)")
	}
}

// patience is more than 1 on a kernel that watches itself, and is slow for it.
func patience() int {
	if factor, err := strconv.Atoi(os.Getenv("MYTUN_PATIENCE")); err == nil {
		return factor
	}
	return 1
}

// patient is how long to wait for what takes no longer than d on other kernels.
func patient(d time.Duration) time.Duration { return d * time.Duration(patience()) }

// loadTun loads the kernel's own driver once.
var loadTun = sync.OnceValue(func() error {
	if out, err := exec.Command("modprobe", "tun").CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe tun: %v: %s", err, out)
	}
	return nil
})

// onBackends runs a test with the module and with the kernel's own driver.
func onBackends(t *testing.T, test func(t *testing.T, b Backend)) {
	needGuest(t)
	for _, b := range []Backend{BackendRing, BackendKernel} {
		t.Run(b.String(), func(t *testing.T) {
			if b == BackendKernel {
				if err := loadTun(); err != nil {
					t.Fatal(err)
				}
			}
			test(t, b)
		})
	}
}

func openTun(t testing.TB, c Config) *Tun {
	t.Helper()
	tun, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tun.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return tun
}

// Addresses of the interface, and of who is behind it: the program.
var (
	host4 = netip.MustParseAddr("10.99.0.1")
	far4  = netip.MustParseAddr("10.99.0.2")
	host6 = netip.MustParseAddr("fd99::1")
	far6  = netip.MustParseAddr("fd99::2")
)

// openUp opens an interface with addresses, up, of which the program sees only
// what is sent to far4 and far6.
func openUp(t testing.TB, c Config) *Tun {
	t.Helper()
	tun := openTun(t, c)
	name := tun.Name()
	os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/addr_gen_mode", []byte("1"), 0)
	if err := tun.Up(); err != nil {
		t.Fatal(err)
	}
	ip(t, "addr", "add", host4.String()+"/24", "dev", name)
	ip(t, "-6", "addr", "add", host6.String()+"/64", "dev", name, "nodad")
	for end := time.Now().Add(patient(20 * time.Second)); !routed6(t, host6, name); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the kernel does not route to %v", host6)
		}
	}
	return tun
}

// routed6 tells whether packets to an IPv6 address of the interface find the stack. The kernel
// says that the address is there, and lets a socket be bound to it, before it routes to it.
func routed6(t testing.TB, addr netip.Addr, name string) bool {
	t.Helper()
	// Not /proc/net, which is of the process's first thread: a test may have left that in a network
	// namespace of its own.
	routes, err := os.ReadFile("/proc/thread-self/net/ipv6_route")
	if err != nil {
		t.Fatal(err)
	}
	a16 := addr.As16()
	for line := range strings.Lines(string(routes)) {
		f := strings.Fields(line)
		if f[0] == hex.EncodeToString(a16[:]) && f[1] == "80" && f[len(f)-1] == name {
			return true
		}
	}
	return false
}

func ip(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func exists(name string) bool {
	_, err := os.Stat("/sys/class/net/" + name)
	return err == nil
}

// udpSocket is a socket of the stack, at an address of the interface.
func udpSocket(t testing.TB, addr netip.Addr) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadBuffer(4 << 20)
	conn.SetDeadline(time.Now().Add(patient(20 * time.Second)))
	port := conn.LocalAddr().(*net.UDPAddr).Port
	return conn, netip.AddrPortFrom(addr, uint16(port))
}

// readUDP reads packets of the queue until there is a UDP packet.
func readUDP(q *Queue) (src, dst netip.AddrPort, payload []byte, err error) {
	buf := make([]byte, 65536)
	for {
		n, err := q.Read(buf)
		if err != nil {
			return src, dst, nil, err
		}
		if src, dst, payload, err := packet.ParseUDP(buf[:n]); err == nil && payload != nil && !dst.Addr().IsMulticast() {
			return src, dst, payload, nil
		}
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patient(10 * time.Second)); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is still not so")
		}
	}
}
