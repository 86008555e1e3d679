// SPDX-License-Identifier: MIT

package mytun

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
	ip(t, "addr", "add", host4.String()+"/24", "dev", name)
	ip(t, "-6", "addr", "add", host6.String()+"/64", "dev", name, "nodad")
	if err := tun.Up(); err != nil {
		t.Fatal(err)
	}
	return tun
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
	conn.SetDeadline(time.Now().Add(20 * time.Second))
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

func TestRootPacketsBothWays(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		tun := openUp(t, Config{Backend: b})
		if err := tun.SetMTU(65535); err != nil {
			t.Fatal(err)
		}
		tun.SetDeadline(time.Now().Add(20 * time.Second))
		for _, pair := range [][2]netip.Addr{{host4, far4}, {host6, far6}} {
			conn, addr := udpSocket(t, pair[0])
			far := netip.AddrPortFrom(pair[1], 5555)
			for _, size := range []int{0, 1, 17, 1000, 1472, 9000, 65000} {
				payload := bytes.Repeat([]byte{byte(size)}, size)
				if _, err := conn.WriteToUDPAddrPort(payload, far); err != nil {
					t.Fatal(err)
				}
				src, dst, got, err := readUDP(tun.Queue(0))
				if err != nil || src != addr || dst != far || !bytes.Equal(got, payload) {
					t.Fatalf("%d bytes came out from %v to %v with %d bytes, %v", size, src, dst, len(got), err)
				}
				reply := packet.AppendUDP(nil, far, addr, payload)
				if n, err := tun.Write(reply); n != len(reply) || err != nil {
					t.Fatalf("write of %d bytes: %d, %v", len(reply), n, err)
				}
				buf := make([]byte, 65536)
				n, from, err := conn.ReadFromUDPAddrPort(buf)
				if err != nil || from != far || !bytes.Equal(buf[:n], payload) {
					t.Fatalf("%d bytes came in from %v with %d bytes, %v", size, from, n, err)
				}
			}
		}
	})
}

func TestRootFramesBothWays(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		tun := openUp(t, Config{TAP: true, Backend: b})
		tun.SetDeadline(time.Now().Add(20 * time.Second))
		iface, err := net.InterfaceByIndex(tun.Index())
		if err != nil {
			t.Fatal(err)
		}
		mac, far := [6]byte(iface.HardwareAddr), [6]byte{2, 0, 0, 0, 0, 2}
		ip(t, "neigh", "add", far4.String(), "lladdr", net.HardwareAddr(far[:]).String(), "dev", tun.Name())
		conn, addr := udpSocket(t, host4)
		peer := netip.AddrPortFrom(far4, 5555)
		if _, err := conn.WriteToUDPAddrPort([]byte("out"), peer); err != nil {
			t.Fatal(err)
		}
		pkts := make([]Packet, 1)
		for {
			if _, err := tun.Queue(0).ReadBatch(pkts); err != nil {
				t.Fatal(err)
			}
			frame := bytes.Clone(pkts[0].Data)
			proto := pkts[0].Proto
			tun.Queue(0).Release(pkts)
			if proto != packet.ProtoIPv4 {
				continue // something of IPv6
			}
			want := packet.AppendEthernet(nil, far, mac, packet.ProtoIPv4)
			if !bytes.HasPrefix(frame, want) {
				t.Fatalf("frame begins with % x, want % x", frame[:14], want)
			}
			if src, dst, payload, err := packet.ParseUDP(frame[14:]); src != addr || dst != peer || string(payload) != "out" {
				t.Fatalf("got %v, %v, %q, %v", src, dst, payload, err)
			}
			break
		}
		reply := packet.AppendUDP(packet.AppendEthernet(nil, mac, far, packet.ProtoIPv4), peer, addr, []byte("in"))
		if _, err := tun.Write(reply); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if n, err := conn.Read(buf); string(buf[:n]) != "in" {
			t.Errorf("got %q, %v", buf[:n], err)
		}
	})
}

func TestRootBatchesBothWays(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		const packets, size = 200, 600
		tun := openUp(t, Config{Headroom: 100, Tailroom: 20, Hash: true, Backend: b})
		tun.SetDeadline(time.Now().Add(20 * time.Second))
		q := tun.Queue(0)
		conn, addr := udpSocket(t, host4)
		far := netip.AddrPortFrom(far4, 5555)
		for i := range packets {
			if _, err := conn.WriteToUDPAddrPort(pattern(make([]byte, size), uint32(i), size), far); err != nil {
				t.Fatal(err)
			}
		}
		var hash uint32
		pkts := make([]Packet, 64)
		for got := 0; got < packets; {
			n, err := q.ReadBatch(pkts)
			if err != nil {
				t.Fatal(err)
			}
			for i := range pkts[:n] {
				p := &pkts[i]
				if p.Headroom() < 100 || p.Tailroom() < 20 || p.VNet != (VNet{}) {
					t.Errorf("headroom %d, tailroom %d, %+v", p.Headroom(), p.Tailroom(), p.VNet)
				}
				_, _, payload, err := packet.ParseUDP(p.Data)
				if err != nil {
					continue
				}
				if err := checkPattern(payload, uint32(got), size); err != nil {
					t.Fatal(err)
				}
				if got == 0 {
					hash = p.Hash
				}
				if p.Proto != packet.ProtoIPv4 || p.Hash != hash || (hash != 0) != (b == BackendRing) {
					t.Errorf("protocol %#x, hash %#x", p.Proto, p.Hash)
				}
				clear(p.Grow(p.Headroom(), p.Tailroom())) // it is ours
				got++
			}
			q.Release(pkts[:n])
		}

		check := func(from uint32) {
			t.Helper()
			buf := make([]byte, 2048)
			for i := range uint32(packets) {
				n, err := conn.Read(buf)
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				if err := checkPattern(buf[:n], from+i, size); err != nil {
					t.Fatal(err)
				}
			}
		}
		batch := make([][]byte, packets)
		for i := range batch {
			batch[i] = packet.AppendUDP(nil, far, addr, pattern(make([]byte, size), uint32(i), size))
		}
		if n, err := q.WriteBatch(batch); n != packets || err != nil {
			t.Fatal(n, err)
		}
		check(0)

		for sent := 0; sent < packets; {
			n, err := q.Reserve(pkts[:min(len(pkts), packets-sent)], 1500)
			if err != nil {
				t.Fatal(err)
			}
			for i := range pkts[:n] {
				p := &pkts[i]
				p.Data = packet.AppendUDP(p.Data[10:10], far, addr, pattern(make([]byte, size), uint32(1000+sent+i), size))
			}
			if err := q.Commit(pkts[:n]); err != nil {
				t.Fatal(err)
			}
			sent += n
		}
		check(1000)

		s := q.Stats()
		if s.TXPackets != 2*packets || s.RXPackets < packets || s.TXDrops != 0 || s.RXDrops != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRootWaitingCalls(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		read := func(q *Queue) func() (int, error) {
			return func() (int, error) {
				for {
					if n, err := q.Read(make([]byte, 2000)); err != nil {
						return n, err
					}
				}
			}
		}
		t.Run("Close", func(t *testing.T) {
			tun := openUp(t, Config{Queues: 2, Backend: b})
			a, c := inBackground(read(tun.Queue(0))), inBackground(read(tun.Queue(1)))
			parked(t, tun.Queue(0), rxParks, 0)
			parked(t, tun.Queue(1), rxParks, 0)
			if err := tun.Close(); err != nil {
				t.Error(err)
			}
			for _, c := range []<-chan result{a, c} {
				if r := await(t, c); !errors.Is(r.err, net.ErrClosed) {
					t.Error(r.err)
				}
			}
		})
		t.Run("deadline", func(t *testing.T) {
			tun := openUp(t, Config{Backend: b})
			tun.SetReadDeadline(time.Now().Add(soon))
			if _, err := read(tun.Queue(0))(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			tun.SetReadDeadline(time.Time{})
			c := inBackground(read(tun.Queue(0)))
			parked(t, tun.Queue(0), rxParks, tun.Queue(0).Stats().RXParks)
			tun.SetReadDeadline(longAgo)
			if r := await(t, c); !errors.Is(r.err, os.ErrDeadlineExceeded) {
				t.Error(r.err)
			}
		})
		t.Run("interface deleted", func(t *testing.T) {
			tun := openUp(t, Config{Backend: b})
			c := inBackground(read(tun.Queue(0)))
			parked(t, tun.Queue(0), rxParks, 0)
			ip(t, "link", "del", tun.Name())
			if r := await(t, c); !errors.Is(r.err, ErrDetached) {
				t.Error(r.err)
			}
			if _, err := tun.Write(make([]byte, 100)); !errors.Is(err, ErrDetached) {
				t.Errorf("Write: %v", err)
			}
			if _, err := tun.Queue(0).ReadBatch(make([]Packet, 1)); !errors.Is(err, ErrDetached) {
				t.Errorf("ReadBatch: %v", err)
			}
			if err := tun.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	})
}

func TestRootWriteToInterfaceThatIsDown(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		tun := openTun(t, Config{Backend: b})
		pkt := packet.AppendUDP(nil, netip.AddrPortFrom(far4, 1), netip.AddrPortFrom(host4, 2), nil)
		for range 3 {
			if n, err := tun.Write(pkt); n != 0 || !errors.Is(err, unix.ENETDOWN) {
				t.Errorf("Write: %d, %v", n, err)
			}
		}
		if n, err := tun.Queue(0).WriteBatch([][]byte{pkt, pkt}); n != 0 || !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("WriteBatch: %d, %v", n, err)
		}
		if err := tun.Up(); err != nil {
			t.Fatal(err)
		}
		if n, err := tun.Write(pkt); n != len(pkt) || err != nil {
			t.Errorf("Write when it is up: %d, %v", n, err)
		}
	})
}

func TestRootMalformedPacketsAreDroppedAndCounted(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		q := openUp(t, Config{Backend: b}).Queue(0)
		for _, pkt := range [][]byte{{0}, {0x10, 2, 3}, make([]byte, 100)} {
			if n, err := q.Write(pkt); n != len(pkt) || err != nil {
				t.Errorf("% x: %d, %v", pkt[:1], n, err)
			}
		}
		if s := q.Stats(); s.TXDrops != 3 || s.TXPackets != 3 {
			t.Errorf("%+v", s)
		}
		if _, err := q.Write(nil); !errors.Is(err, unix.EINVAL) {
			t.Errorf("empty packet: %v", err)
		}
		if _, err := q.Write(make([]byte, 70000)); !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("70000 bytes: %v", err)
		}
	})
}

func TestRootLeaseIsValidAfterClose(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		tun := openUp(t, Config{Backend: b})
		q, name := tun.Queue(0), tun.Name()
		conn, _ := udpSocket(t, host4)
		conn.WriteToUDPAddrPort([]byte("still here"), netip.AddrPortFrom(far4, 5555))
		pkts := make([]Packet, 1)
		for {
			if _, err := q.ReadBatch(pkts); err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := packet.ParseUDP(pkts[0].Data); err == nil {
				break
			}
			q.Release(pkts)
		}
		tx := make([]Packet, 1)
		if _, err := q.Reserve(tx, 100); err != nil {
			t.Fatal(err)
		}
		if err := tun.Close(); err != nil {
			t.Fatal(err)
		}
		if exists(name) {
			t.Error("interface is there though it was closed")
		}
		clear(tx[0].Data)
		if _, _, payload, err := packet.ParseUDP(pkts[0].Data); string(payload) != "still here" {
			t.Errorf("%q, %v", payload, err)
		}
		if b == BackendRing && !mapped(t) {
			t.Error("not mapped while packets are lent")
		}
		q.Release(pkts)
		if err := q.Commit(tx); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if mapped(t) {
			t.Error("mapped after everything was given back")
		}
	})
}

func mapped(t *testing.T) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(maps, []byte(ringDevice))
}

func TestRootDamagedRingIsAFault(t *testing.T) {
	needGuest(t)
	tun := openUp(t, Config{Backend: BackendRing})
	q := tun.Queue(0)
	c := inBackground(func() (int, error) {
		for {
			if n, err := q.Read(make([]byte, 2000)); err != nil {
				return n, err
			}
		}
	})
	parked(t, q, rxParks, 0)
	q.raw().tx.prod.Pos = 8 // between two positions
	if err := q.raw().ring(); err != ErrFault {
		t.Errorf("doorbell: %v", err)
	}
	if r := await(t, c); !errors.Is(r.err, ErrFault) {
		t.Errorf("Read: %v", r.err)
	}
	if _, err := q.Write([]byte{1}); !errors.Is(err, ErrFault) {
		t.Errorf("Write: %v", err)
	}
	if !exists(tun.Name()) {
		t.Error("the interface is gone")
	}
	if err := tun.Close(); err != nil {
		t.Error(err)
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

// The first reply of each flow comes back on the queue on which the flow was
// sent, of which the kernel's own driver is not sure.
func TestRootFlowComesBackOnItsQueue(t *testing.T) {
	needGuest(t)
	const queues, flows = 4, 64
	tun := openUp(t, Config{Queues: queues, Backend: BackendRing, Hash: true})
	tun.SetDeadline(time.Now().Add(20 * time.Second))

	// An echo server in the stack.
	conn, addr := udpSocket(t, host4)
	var server sync.WaitGroup
	defer server.Wait()
	defer conn.Close()
	server.Go(func() {
		buf := make([]byte, 100)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(buf[:n], from)
		}
	})

	var mu sync.Mutex
	cameBack := map[uint16]int{} // by the flow's port
	var readers sync.WaitGroup
	var total sync.WaitGroup
	total.Add(flows)
	for i, q := range tun.Queues() {
		readers.Go(func() {
			for {
				_, dst, _, err := readUDP(q)
				if err != nil {
					return
				}
				mu.Lock()
				if _, again := cameBack[dst.Port()]; !again {
					total.Done()
				}
				cameBack[dst.Port()] = i
				mu.Unlock()
			}
		})
	}
	for flow := range flows {
		src := netip.AddrPortFrom(far4, uint16(20000+flow*7))
		if _, err := tun.Queue(flow % queues).Write(packet.AppendUDP(nil, src, addr, []byte("first"))); err != nil {
			t.Fatal(err)
		}
	}
	all := inBackground(func() (int, error) { total.Wait(); return 0, nil })
	await(t, all)
	tun.Close()
	readers.Wait()
	right := 0
	for flow := range flows {
		if cameBack[uint16(20000+flow*7)] == flow%queues {
			right++
		}
	}
	if right != flows {
		t.Errorf("%d of %d flows came back on their queue", right, flows)
	}
}

// Under load there is next to no system call for a packet.
func TestRootFewSystemCallsUnderLoad(t *testing.T) {
	needGuest(t)
	const packets = 50000
	tun := openUp(t, Config{Backend: BackendRing})
	q := tun.Queue(0)
	conn, addr := udpSocket(t, host4)
	far := netip.AddrPortFrom(far4, 5555)

	pkt := packet.AppendUDP(nil, far, addr, make([]byte, 100))
	batch := make([][]byte, 64)
	for i := range batch {
		batch[i] = pkt
	}
	for range packets / len(batch) {
		if _, err := q.WriteBatch(batch); err != nil {
			t.Fatal(err)
		}
	}
	s := q.Stats()
	calls := float64(s.Doorbells+s.TXParks) / float64(s.TXPackets)
	t.Logf("to the stack: %d packets, %d doorbells, %d parks, %.4f system calls a packet", s.TXPackets, s.Doorbells, s.TXParks, calls)
	if calls >= 0.05 {
		t.Errorf("%.3f system calls a packet to the stack", calls)
	}

	sender := inBackground(func() (int, error) {
		b := make([]byte, 100)
		for i := range packets {
			if _, err := conn.WriteToUDPAddrPort(b, far); err != nil {
				return i, err
			}
		}
		return packets, nil
	})
	pkts := make([]Packet, 64)
	tun.SetReadDeadline(time.Now().Add(60 * time.Second))
	for q.Stats().RXPackets+q.Stats().RXDrops < packets {
		n, err := q.ReadBatch(pkts)
		if err != nil {
			t.Fatal(err)
		}
		q.Release(pkts[:n])
	}
	if r := await(t, sender); r.err != nil {
		t.Fatal(r.err)
	}
	s = q.Stats()
	t.Logf("from the stack: %d packets, %d dropped, %d parks, %.4f a packet", s.RXPackets, s.RXDrops, s.RXParks, float64(s.RXParks)/float64(s.RXPackets))
}

func TestRootManyOpenersAndClosersAtOnce(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 5 {
					tun, err := Open(Config{Queues: 2, RXSize: 1 << 14, TXSize: 1 << 14, Backend: b})
					if err != nil {
						t.Error(err)
						return
					}
					tun.Up()
					var inside sync.WaitGroup
					for _, q := range tun.Queues() {
						inside.Go(func() {
							pkts := make([]Packet, 4)
							for {
								n, err := q.ReadBatch(pkts)
								if err != nil {
									if !errors.Is(err, net.ErrClosed) {
										t.Error(err)
									}
									return
								}
								q.Release(pkts[:n])
							}
						})
						inside.Go(func() {
							pkt := packet.AppendUDP(nil, netip.AddrPortFrom(far4, 1), netip.AddrPortFrom(host4, 2), nil)
							for {
								if _, err := q.Write(pkt); err != nil {
									if !errors.Is(err, net.ErrClosed) {
										t.Error(err)
									}
									return
								}
							}
						})
					}
					time.Sleep(time.Millisecond)
					if err := tun.Close(); err != nil {
						t.Error(err)
					}
					inside.Wait()
				}
			})
		}
		all.Wait()
	})
}
