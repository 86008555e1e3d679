// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun"
	"github.com/mytun/mytun/internal/packet"
)

// The addresses inside of a test's tunnel.
const (
	inner4, innerPeer4 = "10.9.0.1", "10.9.0.2" // listener, connector
	inner6, innerPeer6 = "fd00:9::1", "fd00:9::2"
)

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// backends calls f for each backend that this machine has. The module is loaded into virtual
// machines only.
func backends(t *testing.T, f func(t *testing.T, b mytun.Backend)) {
	devices := map[mytun.Backend]string{mytun.BackendKernel: "/dev/net/tun"}
	if os.Getenv("MYTUN_GUEST") != "" {
		devices[mytun.BackendRing] = "/dev/net/mytun"
		if err := exec.Command("modprobe", "tun").Run(); err != nil {
			t.Fatal("modprobe tun: ", err)
		}
	}
	for b, device := range devices {
		t.Run(b.String(), func(t *testing.T) {
			if _, err := os.Stat(device); err != nil {
				if b == mytun.BackendRing {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			f(t, b)
		})
	}
}

// An end is one end of a tunnel that runs.
type end struct {
	*tunnel
	stop   func() // ends it and waits
	before uint64 // of the datagrams that could not be sent, those before the peer was there
}

// A setup is a tunnel between two namespaces, whose datagrams go through a relay if there is one.
type setup struct {
	backend             mytun.Backend
	key                 key
	queues              int
	outer               string // UDP address of the listener
	relay               *relay
	quiet               bool
	left, right         namespace // of the connector and the listener
	connector, listener *end
}

// tunnelOver makes a tunnel. outer is the listener's IP address.
func tunnelOver(t *testing.T, b mytun.Backend, outer string, queues int) *setup {
	t.Helper()
	s := newSetup(t, b, outer, queues)
	s.begin(t)
	return s
}

// newSetup makes the place for a tunnel.
func newSetup(t *testing.T, b mytun.Backend, outer string, queues int) *setup {
	t.Helper()
	s := &setup{backend: b, key: newKey(), queues: queues, outer: net.JoinHostPort(outer, "5555")}
	s.left, s.right = underlay(t)
	return s
}

// hush leaves IPv6 out of the tunnel: the kernel sends some on its own account, and a test wants to
// count datagrams.
func (s *setup) hush(t *testing.T) {
	t.Helper()
	for _, ns := range []namespace{s.left, s.right} {
		ns.do(t, func() error {
			return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644)
		})
	}
	s.quiet = true
}

// tunnelThroughRelay makes a tunnel of two queues, IPv4 only, through a relay.
func tunnelThroughRelay(t *testing.T, b mytun.Backend) *setup {
	t.Helper()
	s := newSetup(t, b, right4, 2)
	s.hush(t)
	s.relay = newRelay(t, s.right, s.outer)
	s.begin(t)
	return s
}

// begin starts both ends and waits until they have met.
func (s *setup) begin(t *testing.T) {
	t.Helper()
	s.listener, s.connector = s.start(t, listener), s.start(t, connector)
	eventually(t, "the ends hear each other", func() bool {
		// The connector speaks first, on each queue.
		return s.listener.totals().receivedPackets >= uint64(s.queues)
	})
	for _, e := range []*end{s.listener, s.connector} {
		e.before = e.totals().sendDrops
	}
}

// start runs one end. The test fails if it does not end well.
func (s *setup) start(t *testing.T, r role) *end {
	t.Helper()
	c := config{
		role: r, address: s.outer, key: s.key, queues: s.queues, batch: 64, keepalive: time.Hour,
		device: mytun.Config{Name: "vpn0", Backend: s.backend},
	}
	ns, inside := s.right, []string{inner4 + "/24", inner6 + "/64"}
	if r == connector {
		ns, inside = s.left, []string{innerPeer4 + "/24", innerPeer6 + "/64"}
		if s.relay != nil {
			c.address = s.relay.address()
		}
	}
	if s.quiet {
		inside = inside[:1]
	}
	for _, a := range inside {
		c.addresses = append(c.addresses, netip.MustParsePrefix(a))
	}
	e := new(end)
	ns.do(t, func() (err error) {
		e.tunnel, err = newTunnel(c)
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.run(ctx) }()
	e.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error("the tunnel ends with: ", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the tunnel does not end")
		}
	})
	t.Cleanup(e.stop)
	return e
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in 20 s it did not happen that ", what)
		}
	}
}

// clean fails the test if an end threw away anything that it received.
func (e *end) clean(t *testing.T) {
	t.Helper()
	s := e.totals()
	for v := malformed; v < verdicts; v++ {
		if s.rejected[v] > 0 {
			t.Errorf("%d datagrams are %v", s.rejected[v], v)
		}
	}
	if n := s.sendDrops - e.before; n > 0 || s.txDrops > 0 {
		t.Errorf("%d datagrams could not be sent, %d packets did not reach the stack", n, s.txDrops)
	}
}

func TestTunnel(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		for _, outer := range []string{right4, right6} {
			for _, queues := range []int{1, 4} {
				t.Run(fmt.Sprintf("%s/%d queues", outer, queues), func(t *testing.T) {
					s := tunnelOver(t, b, outer, queues)
					s.fits(t, outer)
					for _, inside := range []string{inner4, inner6} {
						s.echoUDP(t, inside)
						s.transfer(t, inside, 512<<10)
					}
					s.listener.clean(t)
					s.connector.clean(t)
				})
			}
		}
	})
}

// fits fails the test if the largest packet makes a datagram that does not just fit the wire.
func (s *setup) fits(t *testing.T, outer string) {
	t.Helper()
	headers := 20 + 8
	if outer == right6 {
		headers = 40 + 8
	}
	for _, e := range []*end{s.listener, s.connector} {
		if mtu, err := e.dev.MTU(); err != nil || mtu+overhead+headers != 1500 {
			t.Errorf("the MTU over %s is %d, %v", outer, mtu, err)
		}
	}
}

// echoUDP sends packets of all sizes through the tunnel and back.
func (s *setup) echoUDP(t *testing.T, listenAt string) {
	t.Helper()
	server, client := s.udp(t, listenAt)
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(buf[:n], from)
		}
	}()
	mtu, err := s.connector.dev.MTU()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	for _, n := range []int{0, 1, 15, 16, 17, 100, 512, 1200, mtu - 48} {
		sent := make([]byte, n)
		rand.Read(sent)
		if _, err := client.Write(sent); err != nil {
			t.Fatal(err)
		}
		client.SetReadDeadline(time.Now().Add(5 * time.Second))
		got, err := client.Read(buf)
		if err != nil || !bytes.Equal(buf[:got], sent) {
			t.Fatalf("a packet of %d bytes came back with %d: %v", n, got, err)
		}
	}
}

// udp returns a socket at the listener's inner address and one at the connector's that is
// connected to it.
func (s *setup) udp(t *testing.T, listenAt string) (server net.PacketConn, client net.Conn) {
	t.Helper()
	s.right.do(t, func() (err error) {
		server, err = net.ListenPacket("udp", net.JoinHostPort(listenAt, "0"))
		return err
	})
	t.Cleanup(func() { server.Close() })
	s.left.do(t, func() (err error) {
		client, err = net.Dial("udp", server.LocalAddr().String())
		return err
	})
	t.Cleanup(func() { client.Close() })
	return server, client
}

// transfer sends size bytes in each direction over one TCP connection.
func (s *setup) transfer(t *testing.T, listenAt string, size int) {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	server, client := s.tcp(t, listenAt)
	defer client.Close()
	defer server.Close()
	// One direction, then the other.
	for _, way := range []struct {
		from, to net.Conn
		name     string
	}{{client, server, "to the listener"}, {server, client, "to the connector"}} {
		go way.from.Write(data)
		way.to.SetReadDeadline(time.Now().Add(30 * time.Second))
		got := make([]byte, size)
		if n, err := io.ReadFull(way.to, got); err != nil {
			t.Fatalf("%s: after %d of %d bytes: %v", way.name, n, size, err)
		}
		if sha256.Sum256(got) != sha256.Sum256(data) {
			t.Fatalf("%s: other bytes arrive than were sent", way.name)
		}
	}
}

// tcp returns a connection through the tunnel, both ends of it.
func (s *setup) tcp(t *testing.T, listenAt string) (server, client net.Conn) {
	t.Helper()
	var l net.Listener
	s.right.do(t, func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(listenAt, "0"))
		return err
	})
	defer l.Close()
	s.left.do(t, func() (err error) {
		client, err = net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
		return err
	})
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// Whoever sits between the ends and changes, repeats or reorders datagrams gets nothing through
// twice or changed, and is counted.
func TestMeddling(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		s := tunnelThroughRelay(t, b)
		server, client := s.udp(t, inner4)
		var held [][]byte
		var number int
		for _, c := range []struct {
			name   string
			meddle func(d []byte) [][]byte
			arrive bool
			want   map[verdict]int // of 10 datagrams
		}{
			{"each is changed", func(d []byte) [][]byte {
				d[len(d)-1-number] ^= 0x10
				number++
				return [][]byte{d}
			}, false, map[verdict]int{forged: 10}},
			{"each has another counter", func(d []byte) [][]byte {
				d[11]++
				return [][]byte{d}
			}, false, map[verdict]int{forged: 10}},
			{"each is cut", func(d []byte) [][]byte { return [][]byte{d[:overhead-1]} }, false, map[verdict]int{malformed: 10}},
			{"each comes three times", func(d []byte) [][]byte { return [][]byte{d, d, d} }, true, map[verdict]int{replayed: 20}},
			{"each is held", func(d []byte) [][]byte { held = append(held, d); return nil }, false, nil},
			{"all come later in reverse", func(d []byte) [][]byte {
				slices.Reverse(held)
				out := held
				held = nil
				return append(out, d)
			}, true, nil},
		} {
			before := s.listener.totals()
			s.relay.set(c.meddle)
			for i := range 10 {
				fmt.Fprintf(client, "%s %d", c.name, i)
				time.Sleep(time.Millisecond) // they need not come as one
			}
			total := 0
			for v, n := range c.want {
				total += n
				eventually(t, fmt.Sprintf("%s, %d are %v", c.name, n, v), func() bool {
					return s.listener.totals().rejected[v] == before.rejected[v]+uint64(n)
				})
			}
			if c.arrive {
				want := 10
				if c.want == nil {
					want = 20 // those that were held, too
				}
				buf := make([]byte, 100)
				for i := range want {
					server.SetReadDeadline(time.Now().Add(10 * time.Second))
					if _, _, err := server.ReadFrom(buf); err != nil {
						t.Fatalf("%s: after %d packets: %v", c.name, i, err)
					}
				}
			}
			s.relay.set(nil)
			now := s.listener.totals()
			if got := now.drops() - before.drops(); got != uint64(total) {
				t.Errorf("%s: %d are dropped, want %d", c.name, got, total)
			}
		}
		// And nothing else has got through.
		server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, _, err := server.ReadFrom(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one more packet, %d bytes: %v", n, err)
		}
	})
}

// An end that is started anew, or comes from elsewhere, is heard; what it sent before is not.
func TestRestartAndRoaming(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		s := tunnelThroughRelay(t, b)
		var recorded [][]byte
		s.relay.set(func(d []byte) [][]byte {
			recorded = append(recorded, d)
			return [][]byte{d}
		})
		s.echoUDP(t, inner4)

		s.relay.rebind()
		s.echoUDP(t, inner4)
		s.listener.clean(t)

		s.connector.stop()
		if names := s.left.interfaces(t); slices.Contains(names, "vpn0") {
			t.Fatalf("the interface is still there: %v", names)
		}
		s.connector = s.start(t, connector)
		s.echoUDP(t, inner4)
		s.listener.clean(t)

		// All that has passed before, in either direction, is sent to the listener again.
		again := 0
		s.relay.set(func(d []byte) [][]byte {
			all := append(recorded, d)
			again += len(recorded)
			recorded = nil
			return all
		})
		before := s.listener.totals()
		s.echoUDP(t, inner4)
		s.relay.set(nil)
		// They may be behind the echoes, which came by the other queue.
		now := before
		eventually(t, fmt.Sprintf("%d old datagrams are dropped", again), func() bool {
			now = s.listener.totals()
			return now.drops()-before.drops() >= uint64(again)
		})
		if got := now.drops() - before.drops(); got != uint64(again) || again == 0 {
			t.Errorf("of %d old datagrams %d are dropped", again, got)
		}
		for _, v := range []verdict{replayed, stale} {
			if now.rejected[v] == before.rejected[v] {
				t.Errorf("of all old datagrams, some of this session and some before, none is %v", v)
			}
		}

		s.listener.stop()
		s.listener = s.start(t, listener)
		s.echoUDP(t, inner4)
	})
}

// A flow stays on one queue, all the way round.
func TestFlowKeepsItsQueue(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		if b != mytun.BackendRing {
			t.Skip("the kernel's own driver learns the queue of a flow too late")
		}
		s := newSetup(t, b, right4, 4)
		s.hush(t)
		s.begin(t)
		used := map[int]bool{}
		for flow := range 8 {
			server, client := s.udp(t, inner4)
			var before, after [4]mytun.Stats
			for i := range before {
				before[i] = s.listener.dev.Queue(i).Stats()
			}
			buf := make([]byte, 10)
			for range 20 {
				client.Write([]byte("ping"))
				server.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, from, err := server.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				server.WriteTo([]byte("pong"), from)
				client.SetReadDeadline(time.Now().Add(10 * time.Second))
				if _, err := client.Read(buf); err != nil {
					t.Fatal(err)
				}
			}
			for i := range after {
				after[i] = s.listener.dev.Queue(i).Stats()
				there := after[i].TXPackets - before[i].TXPackets
				back := after[i].RXPackets - before[i].RXPackets
				if there != back || there != 0 && there != 20 {
					t.Errorf("flow %d: %d packets came on queue %d, and %d answers", flow, there, i, back)
				}
				if there > 0 {
					used[i] = true
				}
			}
		}
		if len(used) < 2 {
			t.Errorf("8 flows use %d of 4 queues", len(used))
		}
	})
}

// Under load there are hardly any allocations: those of the test, of which there are some for each megabyte.
func TestHotPathDoesNotAllocate(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		s := tunnelOver(t, b, right4, 1)
		server, client := s.tcp(t, inner4)
		defer server.Close()
		defer client.Close()
		buf, got := make([]byte, 4<<20), make([]byte, 4<<20)
		once := func() {
			go client.Write(buf)
			server.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.ReadFull(server, got); err != nil {
				t.Fatal(err)
			}
		}
		once() // what is allocated once is allocated
		var before, after runtime.MemStats
		count := s.listener.totals().receivedPackets
		runtime.ReadMemStats(&before)
		for range 8 {
			once()
		}
		runtime.ReadMemStats(&after)
		packets := s.listener.totals().receivedPackets - count
		allocs := after.Mallocs - before.Mallocs
		t.Logf("%d allocations for %d packets", allocs, packets)
		if allocs > packets/100 {
			t.Errorf("%d allocations for %d packets", allocs, packets)
		}
	})
}

// What the cipher has verified the stack does not verify again: with the module, which can be told so.
func TestVerified(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		if b != mytun.BackendRing {
			t.Skip("the kernel's own driver verifies all the same")
		}
		s := newSetup(t, b, right4, 1)
		s.listener = s.start(t, listener)
		var server net.PacketConn
		s.right.do(t, func() (err error) {
			server, err = net.ListenPacket("udp", inner4+":0")
			return err
		})
		defer server.Close()
		pkt := packet.AppendUDP(nil, mustAddrPort(innerPeer4+":7"), mustAddrPort(server.LocalAddr().String()), []byte("hello"))
		pkt[packet.IPv4Len+6] ^= 0xff // its checksum
		sealer, err := newSealer(s.key, connector, 1)
		if err != nil {
			t.Fatal(err)
		}
		datagram := make([]byte, overhead+len(pkt))
		sealer.sealAt(0, sealer.take(0, 1), datagram, pkt)
		s.left.do(t, func() error {
			c, err := net.Dial("udp", s.outer)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(datagram)
			return err
		})
		server.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 100)
		if n, _, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" {
			t.Errorf("%q, %v", buf[:n], err)
		}
	})
}

// A datagram that the path cannot carry in one piece is sent in fragments.
func TestPathTooSmall(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		s := tunnelOver(t, b, right4, 1)
		s.left.do(t, func() error { return s.connector.dev.SetMTU(4000) })
		s.right.do(t, func() error { return s.listener.dev.SetMTU(4000) })
		s.transfer(t, inner4, 512<<10)
		s.listener.clean(t)
	})
}

func TestShutdownUnderLoad(t *testing.T) {
	backends(t, func(t *testing.T, b mytun.Backend) {
		before := runtime.NumGoroutine()
		s := tunnelOver(t, b, right4, 2)
		server, client := s.udp(t, inner4)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for p := make([]byte, 64); ; {
				select {
				case <-stop:
					return
				default:
					client.Write(p)
				}
			}
		})
		buf := make([]byte, 100)
		for range 100 {
			server.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, _, err := server.ReadFrom(buf); err != nil {
				t.Fatal(err)
			}
		}
		s.listener.stop()
		s.connector.stop()
		close(stop)
		wg.Wait()
		for _, ns := range []namespace{s.left, s.right} {
			if names := ns.interfaces(t); slices.Contains(names, "vpn0") {
				t.Errorf("the interface is still there: %v", names)
			}
		}
		eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	})
}
