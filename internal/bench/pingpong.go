// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pings    = 500 // of what is measured at once
	idleTime = 10 * time.Second
)

// pingWorks: one packet is under way, to a process that answers it.
func pingWorks() {
	for _, p := range peers {
		cost, idle := pinged(p)
		report(figure{"one packet there and back", "instructions/round trip", "18 B", p.name, cost})
		report(figure{"idle", "instructions/second", "", p.name, idle})
	}
}

// pinged is what a round trip costs on the whole machine; and what the process costs each second when
// nothing comes.
func pinged(p peer) (cost, idle float64) {
	s := started("echo", p)
	defer s.end()
	fd := bound(here)
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: behind}); err != nil {
		log.Fatal(err)
	}
	one := func() {
		bare(unix.SYS_WRITE, fd, payload[:small.size(0)])
		bare(unix.SYS_READ, fd, payload[:])
	}
	some := func() {
		for range pings {
			one()
		}
	}
	cost = medianCost(pings, some)
	// Without Go's allocations, the last: these are of this process, which has no part in it.
	events := counted(pings, one)[:len(counters)]
	reportEvents("one packet there and back, events", "round trip", p.name, events, nil)
	start := s.ran()
	time.Sleep(idleTime)
	return cost, float64(s.ran()-start) / idleTime.Seconds()
}
