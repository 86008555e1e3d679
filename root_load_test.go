// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/packet"
)

// The first reply of each flow comes back on the queue on which the flow was
// sent, of which the kernel's own driver is not sure.
func TestRootFlowComesBackOnItsQueue(t *testing.T) {
	needGuest(t)
	const queues, flows = 4, 64
	tun := openUp(t, Config{Queues: queues, Backend: BackendRing, Hash: true})
	tun.SetDeadline(time.Now().Add(patient(20 * time.Second)))

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

// The stack answers a ping while it takes it in: the answer finds its queue only
// if the flow was learned before the ping went up.
func TestRootAnswerOfTheStackComesBackOnItsQueue(t *testing.T) {
	needGuest(t)
	const queues, flows = 4, 64
	tun := openUp(t, Config{Queues: queues, Backend: BackendRing})
	tun.SetDeadline(time.Now().Add(patient(20 * time.Second)))
	for _, family := range []struct{ host, far netip.Addr }{{host4, far4}, {host6, far6}} {
		batches := make([][][]byte, queues)
		sentOn := map[netip.Addr]int{}
		for flow, far := 0, family.far; flow < flows; flow, far = flow+1, far.Next() {
			batches[flow%queues] = append(batches[flow%queues], packet.AppendEcho(nil, far, family.host))
			sentOn[far] = flow % queues
		}
		for i, batch := range batches {
			if _, err := tun.Queue(i).WriteBatch(batch); err != nil {
				t.Fatal(err)
			}
		}
		right := 0
		for i, q := range tun.Queues() {
			right += echoReplies(t, q, func(to netip.Addr) bool { on, ok := sentOn[to]; return ok && on == i })
		}
		if right != flows {
			t.Errorf("%d of %d answers came back on their queue", right, flows)
		}
	}
}

// echoReplies reads what is in the queue, and what comes within a short while,
// and returns how many of it are echo replies to addresses that are wanted.
func echoReplies(t *testing.T, q *Queue, wanted func(to netip.Addr) bool) (n int) {
	t.Helper()
	defer q.SetReadDeadline(time.Time{})
	buf := make([]byte, 2000)
	for {
		q.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		size, err := q.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		pkt := buf[:size]
		switch {
		case size == 28 && pkt[9] == 1 && pkt[20] == 0:
			if wanted(netip.AddrFrom4([4]byte(pkt[16:20]))) {
				n++
			}
		case size == 48 && pkt[6] == 58 && pkt[40] == 129:
			if wanted(netip.AddrFrom16([16]byte(pkt[24:40]))) {
				n++
			}
		}
	}
}

// udpSink returns the address of a socket that takes in what comes and forgets it.
func udpSink(t *testing.T) net.Addr {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr()
}

// Under load there is next to no system call for a packet.
func TestRootFewSystemCallsUnderLoad(t *testing.T) {
	needGuest(t)
	packets := 50000 / patience()
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

	const size, burst = 100, 50
	b := make([]byte, size)
	if runtime.NumCPU() == 1 {
		// The reader takes the sender's place as soon as it is woken. So what one call
		// sends must be the load: a super-packet, which the interface cuts.
		setUDPSegment(t, conn, size)
		b = make([]byte, burst*size)
	}
	sender := inBackground(func() (int, error) {
		for i := 0; i < packets; i += len(b) / size {
			if _, err := conn.WriteToUDPAddrPort(b, far); err != nil {
				return i, err
			}
		}
		return packets, nil
	})
	// As a tunnel does, it sends on what it reads. A reader that did nothing would
	// be done with each packet before the next one comes: that is no load.
	out, err := net.Dial("udp", udpSink(t).String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	pkts := make([]Packet, 64)
	tun.SetReadDeadline(time.Now().Add(patient(60 * time.Second)))
	for q.Stats().RXPackets+q.Stats().RXDrops < uint64(packets) {
		n, err := q.ReadBatch(pkts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range pkts[:n] {
			if _, err := out.Write(pkts[i].Data); err != nil {
				t.Fatal(err)
			}
		}
		q.Release(pkts[:n])
	}
	if r := await(t, sender); r.err != nil {
		t.Fatal(r.err)
	}
	s = q.Stats()
	t.Logf("from the stack: %d packets, %d dropped, %d parks, %.4f a packet", s.RXPackets, s.RXDrops, s.RXParks, float64(s.RXParks)/float64(s.RXPackets))
	if calls := float64(s.RXParks) / float64(s.RXPackets); calls >= 0.05 {
		t.Errorf("%.3f system calls a packet from the stack", calls)
	}
}

// setUDPSegment makes each write of a socket as many datagrams of this size as it has.
func setUDPSegment(t *testing.T, conn *net.UDPConn, size int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if ctlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size)
	}); ctlErr != nil || err != nil {
		t.Fatal(ctlErr, err)
	}
}

func TestRootManyOpenersAndClosersAtOnce(t *testing.T) {
	rounds := 5
	if patience() > 5 { // a round takes a minute and a half where the kernel watches its locks
		rounds = 1
	}
	onBackends(t, func(t *testing.T, b Backend) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range rounds {
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
								// Sixteen writers without a pause leave no time for the rest there.
								if patience() > 1 {
									time.Sleep(20 * time.Millisecond)
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

// Several goroutines read one queue. None may sleep while there is something to
// read, even if what one was woken for was taken by another.
func TestRootSeveralReadersOfOneQueue(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		const readers, packets = 4, 5000
		tun := openUp(t, Config{Backend: b})
		q := tun.Queue(0)
		conn, _ := udpSocket(t, host4)
		far := netip.AddrPortFrom(far4, 5555)
		got := make(chan int, packets)
		var all sync.WaitGroup
		defer all.Wait()
		defer tun.Close()
		for i := range readers {
			all.Go(func() {
				pkts := make([]Packet, 1+i)
				for {
					n, err := q.ReadBatch(pkts)
					if err != nil {
						return
					}
					for i := range pkts[:n] {
						if _, dst, _, err := packet.ParseUDP(pkts[i].Data); err == nil && dst == far {
							got <- 1
						}
					}
					q.Release(pkts[:n])
				}
			})
		}
		// Few packets at a time, so that readers go to sleep in between.
		for sent := 0; sent < packets; {
			burst := 1 + sent%5
			for range burst {
				if _, err := conn.WriteToUDPAddrPort([]byte("x"), far); err != nil {
					t.Fatal(err)
				}
			}
			sent += burst
			for range burst {
				select {
				case <-got:
				case <-time.After(patient(5 * time.Second)):
					t.Fatalf("a packet of the last %d is not read after %d: %+v", burst, sent, q.Stats())
				}
			}
		}
	})
}

// Several goroutines write to one queue, whose ring is so small that it is
// always full for somebody.
func TestRootSeveralWritersOfOneQueue(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		const writers, packets = 4, 3000
		tun := openUp(t, Config{TXSize: 4096, Backend: b})
		tun.SetWriteDeadline(time.Now().Add(patient(30 * time.Second)))
		q := tun.Queue(0)
		_, addr := udpSocket(t, host4)
		pkt := packet.AppendUDP(nil, netip.AddrPortFrom(far4, 5555), addr, make([]byte, 900))
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				batch := make([][]byte, 1+i*3)
				for i := range batch {
					batch[i] = pkt
				}
				for sent := 0; sent < packets; sent += len(batch) {
					if n, err := q.WriteBatch(batch); n != len(batch) || err != nil {
						t.Errorf("after %d packets: %d, %v", sent, n, err)
						return
					}
				}
			})
		}
		all.Wait()
		s := q.Stats()
		if s.TXPackets < writers*packets || s.TXDrops != 0 {
			t.Errorf("%+v", s)
		}
		t.Logf("%+v", s)
	})
}
