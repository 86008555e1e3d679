// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"slices"

	"golang.org/x/sys/unix"
)

// TCP from a socket here to one in the other namespace and back at the same time, through a process
// that carries packets between two interfaces.
var (
	relayAddr = [4]byte{10, 93, 0, 1}
	relayNet  = "10.93.0.0/24"
	hereNet   = "10.90.0.0/24"
)

const relayChunk = 4 << 20 // bytes in each direction of what is measured at once

func relayWorks() {
	for _, p := range slices.Concat(peers, begin(tcpPeers, wholeName)) {
		report(figure{"TCP relay between two interfaces", perByte, "both directions at once", p.name, relayed(p)})
	}
}

// relayed is what a byte costs, on the whole machine.
func relayed(p peer) float64 {
	s := started("relay", p)
	defer s.end()
	c := connected(relayAddr)
	defer c.close()
	// The first time congestion windows open.
	return medianCost(2*relayChunk, func() { c.bulk(relayChunk, relayChunk) })
}

// connection is both ends of one, which never wait.
type connection struct {
	ends [2]int
	buf  []byte
}

// connected is one with a socket of this address in the other namespace.
func connected(addr [4]byte) *connection {
	var listener int
	inFar(func() { listener = tcpSocket() })
	defer unix.Close(listener)
	if err := unix.Bind(listener, &unix.SockaddrInet4{Port: port, Addr: addr}); err != nil {
		log.Fatal(err)
	}
	if err := unix.Listen(listener, 1); err != nil {
		log.Fatal(err)
	}
	fd := tcpSocket()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: addr}); err != unix.EINPROGRESS {
		log.Fatalf("connect: %v", err)
	}
	if !readable(listener, 5000) {
		log.Fatalf("no connection to %s", dotted(addr))
	}
	far, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		log.Fatal(err)
	}
	return &connection{ends: [2]int{fd, far}, buf: make([]byte, 1<<18)}
}

// bulk moves so many bytes there and back.
func (c *connection) bulk(there, back int) {
	toSend, toCome := [2]int{there, back}, [2]int{back, there}
	for toCome != [2]int{} {
		moved := false
		polls := make([]unix.PollFd, 0, 2)
		for i, fd := range c.ends {
			n, m := 0, 0
			if toSend[i] > 0 {
				n = tried(unix.SYS_WRITE, fd, c.buf[:min(1<<16, toSend[i])])
			}
			if toCome[i] > 0 {
				m = tried(unix.SYS_READ, fd, c.buf[:min(len(c.buf), toCome[i])])
			}
			toSend[i] -= n
			toCome[i] -= m
			moved = moved || n+m > 0
			poll := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
			if toSend[i] > 0 {
				poll.Events |= unix.POLLOUT
			}
			polls = append(polls, poll)
		}
		if !moved && !waited(polls, patience) {
			log.Fatalf("nothing moves any more; %v are yet to come", toCome)
		}
	}
}

func (c *connection) close() {
	reset(c.ends[0])
	reset(c.ends[1])
}
