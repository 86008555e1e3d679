// SPDX-License-Identifier: MIT

package mytun

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/packet"
	"golang.org/x/sys/unix"
)

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
			before := tun.Queue(0).Stats().RXParks
			c := inBackground(read(tun.Queue(0)))
			parked(t, tun.Queue(0), rxParks, before)
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
		q := tun.Queue(0)
		for i := range uint64(3) {
			if n, err := tun.Write(pkt); n != 0 || !errors.Is(err, unix.ENETDOWN) {
				t.Errorf("Write: %d, %v", n, err)
			}
			eventually(t, func() bool { return q.Stats().TXDrops == i+1 })
		}
		if n, err := q.WriteBatch([][]byte{pkt, pkt}); n != 0 || !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("WriteBatch: %d, %v", n, err)
		}
		// One of the two or both: without rings the second is not tried.
		eventually(t, func() bool { s := q.Stats(); return s.TXDrops >= 4 && s.TXDrops == s.TXPackets })
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
		eventually(t, func() bool { return q.Stats().TXDrops == 3 }) // it may be a moment until they are looked at
		if s := q.Stats(); s.TXPackets != 3 {
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
	if err := q.raw().ring(1); err != ErrFault {
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
