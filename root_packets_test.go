// SPDX-License-Identifier: MIT

package mytun

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/packet"
)

func TestRootPacketsBothWays(t *testing.T) {
	onBackends(t, func(t *testing.T, b Backend) {
		tun := openUp(t, Config{Backend: b})
		if err := tun.SetMTU(65535); err != nil {
			t.Fatal(err)
		}
		tun.SetDeadline(time.Now().Add(patient(20 * time.Second)))
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
		tun.SetDeadline(time.Now().Add(patient(20 * time.Second)))
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
		tun.SetDeadline(time.Now().Add(patient(20 * time.Second)))
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
