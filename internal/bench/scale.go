// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"log"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a packet costs mytun when there are many queues, or many flows. Each flow is between port here and
// farPort, or one that is above it, of a host behind the interface.
const (
	queueFlows = 64 // of the measurements of queues: a queue has as many as another
	queueBatch = 16 // packets of a flow, one after the other

	queueRounds = 40
	manyFlows   = 1_000_000
	flowRound   = 2000 // packets of one round of the measurements of flows, each of another flow unless there are fewer
	farPort     = 4444
)

func scaleWorks() {
	for _, p := range peers {
		if p.queues == nil {
			continue
		}
		for _, n := range []int{1, 2, 4, 16, 64} {
			column := several(n, "queue")
			report(figure{"many queues, stack to program", perPacket, column, p.name, queuesToProgram(p, n)})
			report(figure{"many queues, program to stack", perPacket, column, p.name, queuesToStack(p, n)})
		}
		for _, n := range []int{1, 1000, manyFlows} {
			column := several(n, "flow")
			report(figure{"many flows, stack to program", perPacket, column, p.name, flowsToProgram(p, n)})
			report(figure{"many flows, program to stack", perPacket, column, p.name, flowsToStack(p, n)})
		}
	}
}

// several says how many things there are.
func several(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func openedQueues(p peer, n int) []device {
	runtime.GC()
	d := p.queues(ifName, n)
	address(ifName, here)
	return d
}

func closeAll(queues []device) {
	for _, d := range queues {
		d.close()
	}
}

// farEnd is that of flow i: one of 250 hosts, and one of 4000 ports.
func farEnd(network byte, i int) *unix.RawSockaddrInet4 {
	sa := &unix.RawSockaddrInet4{Family: unix.AF_INET}
	setFarEnd(sa, network, i)
	return sa
}

func setFarEnd(sa *unix.RawSockaddrInet4, network byte, i int) {
	sa.Addr = [4]byte{10, network, 0, byte(2 + i%250)}
	p := uint16(farPort + i/250)
	sa.Port = p>>8 | p<<8 // in the network's byte order, on the machines that this runs on
}

func sendTo(fd int, sa *unix.RawSockaddrInet4) {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&payload[0])), uintptr(small.size(0)),
		0, uintptr(unsafe.Pointer(sa)), unix.SizeofSockaddrInet4)
	if errno != 0 {
		log.Fatalf("sendto: %v", errno)
	}
}

// flowBatches is a batch of packets of each flow.
func flowBatches() (batches [queueFlows][][]byte) {
	for i := range batches {
		for range queueBatch {
			p := udpPacket(small.size(0))
			setSource(p, i)
			batches[i] = append(batches[i], p)
		}
	}
	return batches
}

// queuesToProgram is what a packet costs from a local socket to the program, with flows whose queue
// the program has chosen by what it sent. The sender's part is counted.
func queuesToProgram(p peer, n int) float64 {
	d := openedQueues(p, n)
	defer closeAll(d)
	fd := bound(here)
	defer unix.Close(fd)
	var to [queueFlows]*unix.RawSockaddrInet4
	for i, b := range flowBatches() {
		d[i%n].send(b[:1])
		to[i] = farEnd(90, i)
	}
	drainSocket(fd, queueFlows)
	left := 0
	count := func(pkts [][]byte) { left -= len(pkts) }
	return middleOf(queueRounds, func() {
		for _, sa := range to {
			for range queueBatch {
				sendTo(fd, sa)
			}
		}
		for i := range n {
			for left += queueBatch * queueFlows / n; left > 0; {
				d[i].take(count)
			}
		}
	}, nothing) / (queueBatch * queueFlows)
}

// queuesToStack is what a packet costs from the program to a local socket, each batch through the next
// queue.
func queuesToStack(p peer, n int) float64 {
	d := openedQueues(p, n)
	defer closeAll(d)
	fd := bound(here)
	defer unix.Close(fd)
	batches := flowBatches()
	return middleOf(queueRounds, func() {
		for i, b := range batches {
			d[i%n].send(b)
		}
	}, func() { drainSocket(fd, queueBatch*queueFlows) }) / (queueBatch * queueFlows)
}

// flowsToProgram is what the stack pays to send a packet to one of two queues, when each packet is of the
// next of n flows. What the program pays to take it, which
// is not counted here, knows nothing of flows.
func flowsToProgram(p peer, n int) float64 {
	d := openedQueues(p, 2)
	defer closeAll(d)
	fd := bound(here)
	defer unix.Close(fd)
	sa := farEnd(90, 0)
	at := 0
	return middleOf(manyFlows/flowRound, func() {
		for range flowRound {
			setFarEnd(sa, 90, at)
			if at++; at == n {
				at = 0
			}
			sendTo(fd, sa)
		}
	}, func() {
		for _, q := range d {
			for q.ready() {
				q.take(func([][]byte) {})
			}
		}
	}) / flowRound
}

// flowsToStack is what a packet costs from the program to a local socket when each is of the next of
// n flows, through one of two queues.
func flowsToStack(p peer, n int) float64 {
	d := openedQueues(p, 2)
	defer closeAll(d)
	fd := bound(here)
	defer unix.Close(fd)
	pkts := make([][]byte, batch)
	for i := range pkts {
		pkts[i] = udpPacket(small.size(0))
	}
	at := 0
	return middleOf(manyFlows/batch, func() { d[0].send(pkts) }, func() {
		drainSocket(fd, batch)
		for i := range pkts {
			at = (at + 1) % n
			setSource(pkts[i], at)
		}
	}) / batch
}
