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

// tcpPeer is the program as the far end of a TCP connection of the stack, over a
// network that loses nothing.
type tcpPeer struct {
	t         testing.TB
	tun       *Tun
	conn      *net.TCPConn // the stack's end
	host, far netip.AddrPort
	seq, ack  uint32
	pkts      [1]Packet
	buf       []byte
}

// newTCPPeer connects a socket of the stack with the program.
func newTCPPeer(t testing.TB, tun *Tun, far netip.AddrPort) *tcpPeer {
	t.Helper()
	tun.SetDeadline(time.Now().Add(patient(20 * time.Second)))
	p := &tcpPeer{t: t, tun: tun, far: far, seq: 1000}
	dialed := inBackground(func() (int, error) {
		conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(far))
		p.conn = conn
		return 0, err
	})
	syn, _, err := p.next()
	if err != nil || syn.Flags != packet.SYN {
		t.Fatalf("no SYN but %+v, %v", syn, err)
	}
	p.host, p.ack = syn.Src, syn.Seq+1
	// Again if it asks again: an interface that just came up may have lost the answer.
	for syn.Flags == packet.SYN {
		// A maximal segment size of 1460 bytes, a window that is scaled by 8 bits.
		p.send(&packet.TCP{Flags: packet.SYN | packet.ACK, Options: []byte{2, 4, 1460 >> 8, 1460 & 0xff, 1, 3, 3, 8}})
		if syn, _, err = p.next(); err != nil {
			t.Fatalf("no answer to the SYN's: %v", err)
		}
	}
	p.seq++
	if err := (<-dialed).err; err != nil {
		t.Fatal(err)
	}
	p.conn.SetDeadline(time.Now().Add(patient(20 * time.Second)))
	t.Cleanup(func() {
		p.conn.SetLinger(0)
		p.conn.Close()
	})
	return p
}

// send completes a segment and gives it to the stack.
func (p *tcpPeer) send(s *packet.TCP) {
	p.t.Helper()
	s.Src, s.Dst, s.Seq, s.Ack, s.Window = p.far, p.host, p.seq, p.ack, 0xffff
	p.buf = packet.AppendTCP(p.buf[:0], s, false)
	if _, err := p.tun.Write(p.buf); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next segment of the connection, of which it checks what
// there is to check, and what its packet was. The payload is valid until the next
// call.
func (p *tcpPeer) next() (packet.TCP, Packet, error) {
	q := p.tun.Queue(0)
	for {
		if _, err := q.ReadBatch(p.pkts[:]); err != nil {
			return packet.TCP{}, Packet{}, err
		}
		pkt := p.pkts[0]
		pkt.Data = bytes.Clone(pkt.Data)
		q.Release(p.pkts[:])
		s, err := packet.ParseTCP(pkt.Data, pkt.VNet.Flags&VNetNeedsCsum != 0)
		if err == packet.ErrNotTCP || s.Dst.IsValid() && s.Dst != p.far {
			continue
		}
		return s, pkt, err
	}
}

// receive reads n bytes, checks that they are those of stream, and calls each for
// every packet that brought some.
func (p *tcpPeer) receive(n int, each func(pkt *Packet)) {
	p.t.Helper()
	for n > 0 {
		s, pkt, err := p.next()
		if err != nil {
			p.t.Fatalf("%d bytes are missing: %v", n, err)
		}
		if len(s.Payload) == 0 {
			continue
		}
		if s.Seq != p.ack {
			p.t.Fatalf("segment at %d, want %d", s.Seq, p.ack)
		}
		each(&pkt)
		for i, b := range s.Payload {
			if want := streamByte(s.Seq + uint32(i)); b != want {
				p.t.Fatalf("byte %d is %#x, want %#x", s.Seq+uint32(i), b, want)
			}
		}
		p.ack += uint32(len(s.Payload))
		n -= len(s.Payload)
		p.send(&packet.TCP{Flags: packet.ACK})
	}
}

// streamByte is what a connection carries at a sequence number.
func streamByte(seq uint32) byte { return byte(seq>>8) ^ byte(seq)*7 }

// stream returns the n bytes from a sequence number on.
func stream(seq uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = streamByte(seq + uint32(i))
	}
	return b
}
