// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mix is the bytes of UDP payload of packets, one after the other, and then again.
type mix struct {
	name  string
	bytes []int
}

var (
	small = mix{"18 B", []int{18}}
	mixes = []mix{
		small,
		{"512 B", []int{512}},
		{"1400 B", []int{1400}},
		// The simple IMIX: seven packets of 40 bytes, four of 576 and one of 1500, headers included.
		{"IMIX", []int{12, 548, 12, 12, 548, 12, 1472, 12, 548, 12, 548, 12}},
	}
	batches = []int{1, 8, batch}
)

func (m mix) size(i int) int { return m.bytes[i%len(m.bytes)] }

func udpWorks() {
	for _, m := range mixes {
		for _, n := range batches {
			column := fmt.Sprintf("%s x %d", m.name, n)
			base := cost(func() way { return toNull(m, n) })
			for _, p := range peers {
				report(figure{"stack to program", perPacket, column, p.name, cost(func() way { return toProgram(p, m, n) }) - base})
			}
			if n == 1 {
				report(figure{"stack to program", perPacket, column, vethName, cost(func() way { return vethUDP(m) }) - base})
			}
		}
	}
	for _, m := range mixes {
		for _, n := range batches {
			for _, p := range peers {
				report(figure{"program to stack", perPacket, fmt.Sprintf("%s x %d", m.name, n), p.name, cost(func() way { return toStack(p, m, n) })})
			}
		}
	}
	base := toNull(small, batch).events()
	for _, p := range peers {
		reportEvents("stack to program, events", "packet", p.name, toProgram(p, small, batch).events(), base)
	}
	for _, p := range peers {
		reportEvents("program to stack, events", "packet", p.name, toStack(p, small, batch).events(), nil)
	}
}

// way is one on which packets go.
type way struct {
	counted, rest func() // of one round
	packets       int    // of one round
	close         func()
}

// cost is instructions per packet, of the mean of several ways that are opened one after the other: where
// the kernel's memory for one comes from is worth a percent or two.
func cost(open func() way) float64 {
	const ways = 4
	sum := 0.0
	for range ways {
		w := open()
		sum += middleOf(rounds/ways, w.counted, w.rest) / float64(w.packets)
		w.close()
	}
	return sum / ways
}

// events is those of each of counters per packet.
func (w way) events() []float64 {
	defer w.close()
	for range warmup {
		w.counted()
		w.rest()
	}
	sums := countedBetween(rounds, w.counted, w.rest)
	for i := range sums {
		sums[i] /= float64(w.packets)
	}
	return sums
}

const perPacket = "instructions/packet"

var payload [2048]byte

// sendMix sends the packets of a mix from one up to another from a connected socket.
func sendMix(fd int, m mix, from, to int) {
	for i := from; i < to; i++ {
		if _, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&payload[0])), uintptr(m.size(i)), 0, 0, 0); errno != 0 {
			log.Fatalf("sendto: %v", errno)
		}
	}
}

// perRound is how many packets one round has: several batches of few packets, since the clock is read
// in each round, and all sizes of a mix.
func perRound(m mix, n int) int { return max(1, 24/n) * n }

// toNull is the sender's part of the way of a packet from the stack.
func toNull(m mix, n int) way {
	fd := connectedTo(behindNull)
	k := perRound(m, n)
	return way{func() { sendMix(fd, m, 0, k) }, nothing, k, func() { unix.Close(fd) }}
}

// toProgram is from a local socket to the program, n at a time.
func toProgram(p peer, m mix, n int) way {
	d := opened(p)
	fd := connectedTo(behind)
	left := 0
	count := func(pkts [][]byte) { left -= len(pkts) }
	k := perRound(m, n)
	return way{func() {
		for i := 0; i < k; i += n {
			sendMix(fd, m, i, i+n)
			for left += n; left > 0; {
				d.take(count)
			}
		}
	}, nothing, k, func() {
		unix.Close(fd)
		d.close()
	}}
}

// toStack is from the program into the receive queue of a local socket, n at a time.
func toStack(p peer, m mix, n int) way {
	d := opened(p)
	fd := bound(here)
	k := perRound(m, n)
	pkts := make([][]byte, k)
	for i := range pkts {
		pkts[i] = udpPacket(m.size(i))
	}
	return way{func() {
		for i := 0; i < k; i += n {
			d.send(pkts[i : i+n])
			flush(d)
		}
	}, func() { drainSocket(fd, k) }, k, func() {
		unix.Close(fd)
		d.close()
	}}
}

// udpPacket is an IPv4 packet from a host behind the interface to port here. It has no UDP checksum,
// so that its verification is no part of the cost.
func udpPacket(size int) []byte {
	p := newPacket(28 + size)
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[8] = 64
	p[9] = unix.IPPROTO_UDP
	copy(p[16:], here[:])
	binary.BigEndian.PutUint16(p[22:], port)
	binary.BigEndian.PutUint16(p[24:], uint16(8+size))
	setSource(p, 0)
	return p
}

// setSource makes it a packet of flow i.
func setSource(p []byte, i int) {
	sa := farEnd(90, i)
	copy(p[12:], sa.Addr[:])
	binary.NativeEndian.PutUint16(p[20:], sa.Port)
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p[:20])))
}
