// SPDX-License-Identifier: MIT

package mytun

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/packet"
)

var families = map[string]struct{ host, far netip.Addr }{
	"IPv4": {host4, far4}, "IPv6": {host6, far6},
}

func TestRootReadsWholeGSO(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		for name, family := range families {
			t.Run(name, func(t *testing.T) {
				tun := openUp(t, Config{Backend: b, WholeGSO: true})
				p := newTCPPeer(t, tun, netip.AddrPortFrom(family.far, 80))
				ipLen, gso := packet.IPv4Len, uint8(GSOTCPv4)
				if family.far.Is6() {
					ipLen, gso = packet.IPv6Len, GSOTCPv6
				}
				transfer := func(each func(pkt *Packet)) {
					t.Helper()
					const size = 300_000
					data := stream(p.ack, size)
					sent := inBackground(func() (int, error) { return p.conn.Write(data) })
					p.receive(size, each)
					if r := await(t, sent); r.err != nil {
						t.Fatal(r.err)
					}
				}
				longest := 0
				transfer(func(pkt *Packet) {
					v, payload := pkt.VNet, len(pkt.Data)-ipLen-packet.TCPLen
					longest = max(longest, len(pkt.Data))
					if v.Flags != VNetNeedsCsum || int(v.CsumStart) != ipLen || v.CsumOffset != 16 {
						t.Errorf("%d bytes with %+v", len(pkt.Data), v)
					}
					if v.GSOType == GSONone && v.GSOSize == 0 {
						if len(pkt.Data) > 1500 {
							t.Errorf("%d bytes in a packet that is one", len(pkt.Data))
						}
						return
					}
					// The timestamps' option may take twelve bytes.
					if v.GSOType != gso || v.GSOSize > 1460 || v.GSOSize < 1400 || payload <= int(v.GSOSize) ||
						int(v.HdrLen) < ipLen+packet.TCPLen || int(v.HdrLen) > ipLen+packet.TCPLen+12 {
						t.Errorf("%d bytes with %+v", len(pkt.Data), v)
					}
				})
				// How long they get depends on the time that the connection takes.
				if longest <= 1500 {
					t.Error("no packet stood for several")
				}

				if err := tun.SetWholeGSO(false); err != nil {
					t.Fatal(err)
				}
				transfer(func(pkt *Packet) {
					if pkt.VNet != (VNet{}) || len(pkt.Data) > 1500 {
						t.Errorf("%d bytes with %+v", len(pkt.Data), pkt.VNet)
					}
				})
			})
		}
	})
}

// What an earlier user of the interface has asked for is no surprise for the next.
func TestRootWholeGSODoesNotOutliveItsUser(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		first, err := Open(Config{Backend: b, WholeGSO: true, Persist: true, Name: "whole%d"})
		if err != nil {
			t.Fatal(err)
		}
		name := first.Name()
		defer ip(t, "link", "del", name)
		first.Close()
		tun := openUp(t, Config{Backend: b, Name: name})
		p := newTCPPeer(t, tun, netip.AddrPortFrom(far4, 80))
		const size = 100_000
		data := stream(p.ack, size)
		sent := inBackground(func() (int, error) { return p.conn.Write(data) })
		p.receive(size, func(pkt *Packet) {
			if pkt.VNet != (VNet{}) || len(pkt.Data) > 1500 {
				t.Errorf("%d bytes with %+v", len(pkt.Data), pkt.VNet)
			}
		})
		await(t, sent)
	})
}

func TestRootWritesWholeGSO(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		for name, family := range families {
			t.Run(name, func(t *testing.T) {
				tun := openUp(t, Config{Backend: b})
				p := newTCPPeer(t, tun, netip.AddrPortFrom(family.far, 80))
				ipLen, gso := packet.IPv4Len, uint8(GSOTCPv4)
				if family.far.Is6() {
					ipLen, gso = packet.IPv6Len, GSOTCPv6
				}
				const segment, size = 1400, 20*1400 + 100
				for range 5 {
					data := stream(p.seq, size)
					pkt := Packet{
						Data: packet.AppendTCP(nil, &packet.TCP{
							Src: p.far, Dst: p.host, Seq: p.seq, Ack: p.ack,
							Flags: packet.ACK | packet.PSH, Window: 0xffff, Payload: data,
						}, true),
						VNet: VNet{
							Flags: VNetNeedsCsum, GSOType: gso, GSOSize: segment,
							HdrLen:    uint16(ipLen + packet.TCPLen),
							CsumStart: uint16(ipLen), CsumOffset: 16,
						},
					}
					if n, err := tun.Queue(0).WritePackets([]Packet{pkt}); n != 1 || err != nil {
						t.Fatal(n, err)
					}
					got := make([]byte, size)
					if _, err := io.ReadFull(p.conn, got); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, data) {
						t.Fatal("other bytes arrived")
					}
					p.seq += size
				}
				if s := tun.Queue(0).Stats(); s.TXDrops != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	})
}

func TestRootChecksums(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		for name, family := range families {
			t.Run(name, func(t *testing.T) {
				tun := openUp(t, Config{Backend: b})
				conn, addr := udpSocket(t, family.host)
				far := netip.AddrPortFrom(family.far, 5555)
				ipLen := uint16(packet.IPv4Len)
				if far.Addr().Is6() {
					ipLen = packet.IPv6Len
				}
				corrupt := func(text string) []byte {
					pkt := packet.AppendUDP(nil, far, addr, []byte(text))
					pkt[ipLen+6] ^= 0xff
					return pkt
				}
				needsCsum := func(text string) []byte {
					pkt := packet.AppendUDP(nil, far, addr, []byte(text))
					s := packet.PseudoUDP(far.Addr(), addr.Addr(), packet.UDPLen+len(text))
					pkt[ipLen+6], pkt[ipLen+7] = byte(s>>8), byte(s)
					return pkt
				}
				pkts := []Packet{
					{Data: corrupt("corrupt")},
					{Data: needsCsum("unfinished"), VNet: VNet{
						Flags: VNetNeedsCsum, CsumStart: ipLen, CsumOffset: 6,
					}},
					{Data: corrupt("verified"), VNet: VNet{Flags: VNetDataValid}},
					{Data: packet.AppendUDP(nil, far, addr, []byte("last"))},
				}
				q := tun.Queue(0)
				if n, err := q.WritePackets(pkts); n != len(pkts) || err != nil {
					t.Fatal(n, err)
				}
				want := []string{"unfinished", "verified", "last"}
				if b == BackendKernel {
					want = []string{"unfinished", "last"} // it verifies all the same
				}
				buf := make([]byte, 100)
				for _, want := range want {
					if n, err := conn.Read(buf); err != nil || string(buf[:n]) != want {
						t.Fatalf("got %q, %v, want %q", buf[:n], err, want)
					}
				}

				// What makes no sense is dropped, and harms nobody else.
				before := q.Stats().TXDrops
				bad := Packet{Data: corrupt("bad"), VNet: VNet{Flags: VNetNeedsCsum, CsumStart: 60000}}
				if n, err := q.WritePackets([]Packet{bad, pkts[3]}); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "last" {
					t.Fatalf("got %q, %v", buf[:n], err)
				}
				eventually(t, func() bool { return q.Stats().TXDrops == before+1 })
			})
		}
	})
}

// Nothing is dropped, though the senders are faster than the reader and the ring is
// small; and the reader and the kernel do not wait for each other.
func TestRootBackpressure(t *testing.T) {
	needGuest(t)
	const packets, size = 3000, 1000
	for name, read := range map[string]func(q *Queue, pkts []Packet) (int, error){
		"busy reader":  func(q *Queue, pkts []Packet) (int, error) { return q.ReadBatch(pkts) },
		"single reads": func(q *Queue, pkts []Packet) (int, error) { return q.ReadBatch(pkts[:1]) },
		"slow reader": func(q *Queue, pkts []Packet) (int, error) {
			time.Sleep(2 * time.Millisecond)
			return q.ReadBatch(pkts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			tun := openUp(t, Config{Backend: BackendRing, Backpressure: true, RXSize: 1 << 15})
			// The usual default, fq_codel, drops what has waited too long.
			tc := exec.Command("tc", "qdisc", "replace", "dev", tun.Name(), "root", "pfifo", "limit", "4000")
			if out, err := tc.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			q := tun.Queue(0)
			tun.SetDeadline(time.Now().Add(patient(20 * time.Second)))
			conn, _ := udpSocket(t, host4)
			sent := inBackground(func() (int, error) {
				for i := range packets {
					payload := pattern(make([]byte, size), uint32(i), size)
					if _, err := conn.WriteToUDPAddrPort(payload, netip.AddrPortFrom(far4, 5555)); err != nil {
						return i, err
					}
				}
				return packets, nil
			})
			pkts := make([]Packet, 8)
			for got := 0; got < packets; {
				n, err := read(q, pkts)
				if err != nil {
					t.Fatalf("after %d packets: %v, %+v", got, err, q.Stats())
				}
				for i := range pkts[:n] {
					_, _, payload, err := packet.ParseUDP(pkts[i].Data)
					if err != nil {
						continue // something else of the stack's
					}
					if err := checkPattern(payload, uint32(got), size); err != nil {
						t.Fatal(err)
					}
					got++
				}
				q.Release(pkts[:n])
			}
			if r := await(t, sent); r.n != packets || r.err != nil {
				t.Error(r)
			}
			s := q.Stats()
			if s.RXDrops != 0 || name == "slow reader" && s.RXDoorbells == 0 {
				t.Errorf("%+v", s)
			}
			t.Logf("%+v", s)
		})
	}
}

// Switched off while the kernel holds packets back: it goes on by itself.
func TestRootBackpressureSwitchedOff(t *testing.T) {
	needGuest(t)
	tun := openUp(t, Config{Backend: BackendRing, Backpressure: true, RXSize: 1 << 13})
	q := tun.Queue(0)
	conn, _ := udpSocket(t, host4)
	for range 20 {
		if _, err := conn.WriteToUDPAddrPort(make([]byte, 1000), netip.AddrPortFrom(far4, 5555)); err != nil {
			t.Fatal(err)
		}
	}
	if s := q.Stats(); s.RXDrops != 0 {
		t.Fatalf("%+v", s)
	}
	if err := q.SetBackpressure(false); err != nil {
		t.Fatal(err)
	}
	// What was held finds no room now.
	eventually(t, func() bool { return q.Stats().RXDrops != 0 })
	if err := q.SetBackpressure(true); err != nil {
		t.Fatal(err)
	}
}

func TestRootInjections(t *testing.T) {
	needGuest(t)
	const packets, size = 200, 600
	send := func(t *testing.T, q *Queue, set func(i int)) {
		t.Helper()
		conn, addr := udpSocket(t, host4)
		far := netip.AddrPortFrom(far4, 5555)
		for i := 0; i < packets; i += 10 {
			set(i / 10)
			batch := make([][]byte, 10)
			for j := range batch {
				payload := pattern(make([]byte, size), uint32(i+j), size)
				batch[j] = packet.AppendUDP(nil, far, addr, payload)
			}
			if n, err := q.WriteBatch(batch); n != 10 || err != nil {
				t.Fatal(n, err)
			}
		}
		buf := make([]byte, 1000)
		for i := range uint32(packets) {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("packet %d: %v", i, err)
			}
			if err := checkPattern(buf[:n], i, size); err != nil {
				t.Fatal(err)
			}
		}
		if s := q.Stats(); s.TXDrops != 0 {
			t.Errorf("%+v", s)
		}
	}
	injections := []Injection{InjectSoftirq, InjectThread, InjectDirect}
	for _, injection := range injections {
		t.Run(injection.String(), func(t *testing.T) {
			tun, err := Open(Config{Backend: BackendRing, Injection: injection})
			if errors.Is(err, errors.ErrUnsupported) && injection == InjectThread {
				t.Skip("this kernel has no threads for it:", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			tun.Close()
			tun = openUp(t, Config{Backend: BackendRing, Injection: injection})
			send(t, tun.Queue(0), func(int) {})
		})
	}
	// In order even while it is changed: nothing is under way two ways at a time.
	t.Run("changing", func(t *testing.T) {
		q := openUp(t, Config{Backend: BackendRing}).Queue(0)
		send(t, q, func(i int) {
			err := q.SetInjection(injections[i%len(injections)])
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Fatal(err)
			}
		})
	})
}
