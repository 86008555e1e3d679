// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"log"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A TCP connection of the stack whose far end is this program, which speaks just enough of it, the
// same for all devices: it answers the SYN, acknowledges each second segment that it gets, and does
// not look at what is acknowledged to it. Nothing is lost, so nothing is sent twice.
const (
	mss      = 1448
	segments = 44 // of one round: what the stack sends in one piece
	round    = segments * mss
	headers  = 40 // of IPv4 and TCP without options
	isn      = 1000
)

type tcpPeer struct {
	d    device
	sock int

	base    uint64 // sum over what does not change in the headers that we send
	head    [headers]byte
	whole   [headers]byte // the same, of a segment with data
	seq     uint32        // of what we send next
	ack     uint32        // of what we get next
	unacked int
	left    int // bytes that are yet to come in this round
	count   func(pkts [][]byte)

	acks [][]byte // as many as one round needs
	data [][]byte
	buf  []byte
}

// tcpSocket returns one that never waits, for a buffer either.
func tcpSocket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	for _, opt := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4 << 20},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4 << 20},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	} {
		if err := unix.SetsockoptInt(fd, opt.level, opt.name, opt.value); err != nil {
			log.Fatal(err)
		}
	}
	return fd
}

// dial connects a socket of the stack with the program.
func dial(d device) *tcpPeer {
	fd := tcpSocket()
	far := &unix.SockaddrInet4{Port: port, Addr: [4]byte{10, 90, 0, 2}}
	if err := unix.Connect(fd, far); err != unix.EINPROGRESS {
		log.Fatalf("connect: %v", err)
	}
	p := &tcpPeer{d: d, sock: fd, seq: isn, buf: make([]byte, round)}
	for p.ack == 0 {
		d.take(func(pkts [][]byte) {
			for _, pkt := range pkts {
				if isTCP(pkt) && pkt[33] == 2 { // SYN
					p.setHead(pkt)
					p.ack = binary.BigEndian.Uint32(pkt[24:]) + 1
				}
			}
		})
	}

	// A maximal segment size, and a window that is scaled by 14 bits.
	options := []byte{2, 4, mss >> 8, mss & 0xff, 1, 3, 3, 14}
	answer := p.segment(options)
	answer[32], answer[33] = (20+8)<<2, 0x12
	p.put(answer, p.seq, p.ack, sum(options)+0x2000+0x02)
	d.send([][]byte{answer})
	flush(d)
	p.seq++
	for range segments {
		p.acks = append(p.acks, p.segment(nil))
		p.data = append(p.data, p.segment(make([]byte, mss)))
	}
	copy(p.whole[:], p.data[0])
	p.count = p.counted
	if err := unix.Connect(fd, far); err != nil && err != unix.EISCONN {
		log.Fatalf("connect: %v", err)
	}
	return p
}

func isTCP(pkt []byte) bool { return pkt[0] == 0x45 && pkt[9] == unix.IPPROTO_TCP }

// setHead makes the headers of our packets: an ACK with the widest window.
func (p *tcpPeer) setHead(syn []byte) {
	h := p.head[:]
	h[0], h[6], h[8], h[9] = 0x45, 0x40, 64, unix.IPPROTO_TCP // must not be fragmented
	copy(h[12:16], syn[16:20])
	copy(h[16:20], syn[12:16])
	copy(h[20:22], syn[22:24])
	copy(h[22:24], syn[20:22])
	h[32], h[33] = 20<<2, 0x10
	h[34], h[35] = 0xff, 0xff
	p.base = sum(h[12:]) + unix.IPPROTO_TCP // of the pseudo header but the length, and of TCP's
}

// segment is a packet with a payload, or with options.
func (p *tcpPeer) segment(payload []byte) []byte {
	pkt := newPacket(headers + len(payload))
	copy(pkt, p.head[:])
	copy(pkt[headers:], payload)
	binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)))
	binary.BigEndian.PutUint16(pkt[10:], ^fold(sum(pkt[:20])))
	return pkt
}

// put completes a packet; more is the sum over what it has beside the headers.
func (p *tcpPeer) put(pkt []byte, seq, ack uint32, more uint64) {
	binary.BigEndian.PutUint32(pkt[24:], seq)
	binary.BigEndian.PutUint32(pkt[28:], ack)
	s := p.base + uint64(len(pkt)-20) + more + uint64(seq>>16) + uint64(seq&0xffff) +
		uint64(ack>>16) + uint64(ack&0xffff)
	binary.BigEndian.PutUint16(pkt[36:], ^fold(s))
}

func sum(b []byte) (s uint64) {
	for i := 0; i < len(b); i += 2 {
		s += uint64(b[i])<<8 | uint64(b[i+1])
	}
	return s
}

func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// writeRound lets the stack send one round, which it can: all of the former is acknowledged.
func writeRound(fd int, buf []byte) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), round)
	if errno != 0 || n != round {
		log.Fatalf("write to the socket: %d, %v", n, errno)
	}
}

// receive takes one round's bytes, and acknowledges each time that many have come.
func (p *tcpPeer) receive(each int) {
	for p.left += round; p.left > 0; {
		p.d.take(p.count)
		k := 0
		for ; p.unacked >= each; k++ {
			p.unacked -= each
			p.ack += uint32(each)
			p.put(p.acks[k], p.seq, p.ack, 0)
		}
		if k > 0 {
			p.d.send(p.acks[:k])
			flush(p.d)
		}
	}
}

func (p *tcpPeer) counted(pkts [][]byte) {
	for _, pkt := range pkts {
		if isTCP(pkt) {
			p.left -= len(pkt) - headers
			p.unacked += len(pkt) - headers
		}
	}
}

// send gives one round of segments to the stack.
func (p *tcpPeer) send() {
	for _, pkt := range p.data {
		copy(pkt, p.whole[:]) // who sent it last may have changed it
		p.put(pkt, p.seq, p.ack, 0)
		p.seq += mss
	}
	p.d.send(p.data)
	flush(p.d)
}

// readRound takes one round's bytes from the socket.
func readRound(fd int, buf []byte) {
	for n := round; n > 0; {
		got, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if errno == unix.EAGAIN && readable(fd, 1000) {
			continue // the softirq had been left to its thread
		}
		if errno != 0 || got == 0 {
			log.Fatalf("%d bytes are missing in the socket: %v", n, errno)
		}
		n -= int(got)
	}
}

// reset closes a socket so that nothing of its connection is left.
func reset(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// tcpToProgram is what a byte costs from a socket's write(2) to the program, with the ACKs that
// the program sends for it, one each time that so many bytes have come.
func tcpToProgram(p peer, each int) float64 {
	d := opened(p)
	defer d.close()
	c := dial(d)
	defer reset(c.sock)
	// The congestion window opens; until then less than a round comes at once.
	for range warmup {
		writeRound(c.sock, c.buf)
		c.receive(mss)
	}
	return middle(func() {
		writeRound(c.sock, c.buf)
		c.receive(each)
	}, nothing) / round
}

// tcpToStack is what a byte costs from the program to a socket's read(2). The stack's ACKs are sent
// within, and taken by the program without being counted.
func tcpToStack(p peer) float64 {
	d := opened(p)
	defer d.close()
	c := dial(d)
	defer reset(c.sock)
	return middle(func() {
		c.send()
		readRound(c.sock, c.buf)
	}, func() {
		for d.ready() {
			d.take(func([][]byte) {})
		}
	}) / round
}

func tcpWorks() {
	const each, burst = 2 * mss, segments * mss
	all := slices.Concat(peers, tcpPeers)
	for _, p := range all {
		report(figure{"TCP, stack to program", perByte, "an ACK for each second segment", p.name, tcpToProgram(p, each)})
		report(figure{"TCP, stack to program", perByte, "an ACK for each 64 KiB", p.name, tcpToProgram(p, burst)})
	}
	report(figure{"TCP, stack to program", perByte, "an ACK for each 64 KiB", vethName, vethTCP()})
	for _, p := range all {
		report(figure{"TCP, program to stack", perByte, "", p.name, tcpToStack(p)})
	}
}

const perByte = "instructions/byte"
