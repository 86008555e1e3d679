// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun"
)

// What a packet costs when there are many queues, or many flows. Each flow is between port of the
// interface's address and peerPort, or one that is above it, of a host behind the interface.
const (
	queueFlows = 16 // of the measurements of queues: a queue has as many as another
	manyFlows  = 1_000_000
	flowRound  = 2000 // packets of one round of the measurements of flows, each of another flow
	peerPort   = 4444
)

func scaleTable() {
	fmt.Printf("guest instructions per packet with %d bytes of UDP payload, mytun\n", payloads[0])
	const row = "%-18s %10s %10s %12s %14s\n"
	fmt.Printf(row, "", "1 queue", "16 queues", "2: 1 flow", "1000000 flows")
	cell := func(cost float64) string { return fmt.Sprintf("%.0f", cost) }
	one, base := queuesToProgram(1)
	many, _ := queuesToProgram(16)
	fmt.Printf(row, "stack to program", cell(one), cell(many), cell(flowsToProgram(1)), cell(flowsToProgram(manyFlows)))
	fmt.Printf(row, "  with the sender", cell(base+one), cell(base+many), "", "")
	fmt.Printf(row, "program to stack", cell(queuesToStack(1)), cell(queuesToStack(16)),
		cell(flowsToStack(1)), cell(flowsToStack(manyFlows)))
}

// queues is an interface with several queues.
type queues struct {
	tun  *mytun.Tun
	pkts [batch]mytun.Packet
}

func openQueues(n int) *queues {
	tun, err := mytun.Open(mytun.Config{Name: ifName, Backend: mytun.BackendRing, Queues: n})
	if err != nil {
		log.Fatal(err)
	}
	configure()
	return &queues{tun: tun}
}

func (d *queues) receive(queue, n int) {
	q := d.tun.Queue(queue)
	for n > 0 {
		got, err := q.ReadBatch(d.pkts[:])
		if err != nil {
			log.Fatal(err)
		}
		q.Release(d.pkts[:got])
		n -= got
	}
}

// drain takes all that is there, from all queues.
func (d *queues) drain() {
	for i := range d.tun.NumQueues() {
		q := d.tun.Queue(i)
		for {
			q.SetReadDeadline(time.Now().Add(time.Microsecond))
			n, err := q.ReadBatch(d.pkts[:])
			q.SetReadDeadline(time.Time{})
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				log.Fatal(err)
			}
			q.Release(d.pkts[:n])
		}
	}
}

func (d *queues) send(queue int, pkts [][]byte) {
	if _, err := d.tun.Queue(queue).WriteBatch(pkts); err != nil {
		log.Fatal(err)
	}
}

// peer is the far end of flow i: one of 250 hosts, and one of 4000 ports.
func peer(network byte, i int) *unix.RawSockaddrInet4 {
	sa := &unix.RawSockaddrInet4{Family: unix.AF_INET}
	setPeer(sa, network, i)
	return sa
}

func setPeer(sa *unix.RawSockaddrInet4, network byte, i int) {
	sa.Addr = [4]byte{10, network, 0, byte(2 + i%250)}
	p := uint16(peerPort + i/250)
	sa.Port = p>>8 | p<<8 // in the network's byte order, on the machines that this runs on
}

func sendTo(fd int, sa *unix.RawSockaddrInet4, payload []byte) {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&payload[0])), uintptr(len(payload)),
		0, uintptr(unsafe.Pointer(sa)), unix.SizeofSockaddrInet4)
	if errno != 0 {
		log.Fatalf("sendto: %v", errno)
	}
}

// bound returns a socket of the interface's address, or of the dummy's.
func bound(network byte) int {
	fd := udpSocket()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{10, network, 0, 1}}); err != nil {
		log.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		log.Fatal(err)
	}
	return fd
}

func drainSocket(fd, n int) {
	var buf [2048]byte
	for i := range n {
		if !readable(fd) {
			log.Fatalf("%d of %d packets arrived", i, n)
		}
		if _, _, err := unix.Recvfrom(fd, buf[:], 0); err != nil {
			log.Fatal(err)
		}
	}
}

// readable waits until there is something to read in a socket. The softirq that is to put it there
// may have been left to its thread.
func readable(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	got, _ := unix.Poll(poll, 1000)
	return got == 1
}

// flowBatches is a batch of packets of each flow.
func flowBatches() (batches [queueFlows][][]byte) {
	for i := range batches {
		for range batch {
			p := udpPacket(payloads[0])
			setSource(p, i)
			batches[i] = append(batches[i], p)
		}
	}
	return batches
}

// queuesToProgram is as stackToProgram, with flows whose queue the program has chosen; and what the
// same send costs to a dummy device.
func queuesToProgram(n int) (cost, base float64) {
	payload := make([]byte, payloads[0])
	var to [queueFlows]*unix.RawSockaddrInet4
	sends := func(fd int) {
		for _, sa := range to {
			for range batch {
				sendTo(fd, sa, payload)
			}
		}
	}
	for i := range to {
		to[i] = peer(91, i)
	}
	null := bound(91)
	defer unix.Close(null)
	base = median(func() { sends(null) }) / (batch * queueFlows)

	d := openQueues(n)
	defer d.tun.Close()
	fd := bound(90)
	defer unix.Close(fd)
	for i, b := range flowBatches() {
		d.send(i%n, b[:1])
		to[i] = peer(90, i)
	}
	drainSocket(fd, queueFlows)
	full := median(func() {
		sends(fd)
		for i := range n {
			d.receive(i, batch*queueFlows/n)
		}
	})
	return full/(batch*queueFlows) - base, base
}

// queuesToStack is as programToStack.
func queuesToStack(n int) float64 {
	d := openQueues(n)
	defer d.tun.Close()
	fd := bound(90)
	defer unix.Close(fd)
	batches := flowBatches()
	i := 0
	// More rounds, so that each queue has had its pages for long.
	return medianOf(16**rounds, func() { d.send(i%n, batches[i]) }, func() {
		drainSocket(fd, batch)
		i = (i + 1) % queueFlows
	}) / batch
}

// flowsToProgram is what the stack pays to send a packet into the ring, with two queues to choose
// from, when each packet is of the next of n flows; above the dummy, too. What the program pays
// to take it knows nothing of flows.
func flowsToProgram(n int) float64 {
	payload := make([]byte, payloads[0])
	sa := peer(91, 0)
	at := 0
	sends := func(fd int, network byte) {
		for range flowRound {
			setPeer(sa, network, at)
			if at++; at == n {
				at = 0
			}
			sendTo(fd, sa, payload)
		}
	}
	null := bound(91)
	defer unix.Close(null)
	base := medianOf(manyFlows/flowRound, func() { sends(null, 91) }, func() {})

	d := openQueues(2)
	defer d.tun.Close()
	fd := bound(90)
	defer unix.Close(fd)
	full := medianOf(manyFlows/flowRound, func() { sends(fd, 90) }, d.drain)
	return (full - base) / flowRound
}

// flowsToStack is as programToStack, with two queues, when each packet is of the next of n flows.
func flowsToStack(n int) float64 {
	d := openQueues(2)
	defer d.tun.Close()
	fd := bound(90)
	defer unix.Close(fd)
	pkts := make([][]byte, batch)
	for i := range pkts {
		pkts[i] = udpPacket(payloads[0])
	}
	at := 0
	return medianOf(manyFlows/batch, func() { d.send(0, pkts) }, func() {
		drainSocket(fd, batch)
		for i := range pkts {
			at = (at + 1) % n
			setSource(pkts[i], at)
		}
	}) / batch
}
