// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// By the clock on the wall, and by CPU time: on a machine whose clock does not count instructions, with
// at least two processors. Each peer is a process of its own. All are measured one after the other, and
// then again: a machine that slows down does so to all.
const (
	wallTime   = 2 * time.Second // of one measurement
	wallRounds = 3               // the middle one is taken
	wallPings  = 5000            // at most, in that time
	wallBase   = "stock, read/write as from C"
)

// clocked is one way to see how fast a peer is.
type clocked struct {
	work, unit string
	columns    []string
	measure    func(p peer) []float64 // for each column
}

var clocks = []clocked{
	{"by the clock, UDP of 18 B", "packets/s", []string{"stack to program"}, wallToProgram},
	{"by the clock, UDP of 18 B", "packets/s", []string{"program to stack"}, wallToStack},
	{"by the clock, TCP relay", "Mbit/s", []string{"one direction"}, wallRelay},
	{"by the clock, TCP relay", "CPU ms/Gbit", []string{"one direction"}, nil}, // by wallRelay
	{"by the clock, one packet there and back", "microseconds", []string{"half take less than", "99 % take less than"}, wallPing},
}

// wallWorks reports ratios, and the figures themselves where they mean something: an emulated machine's
// do not.
func wallWorks(real bool) {
	if runtime.NumCPU() < 2 {
		log.Fatal("by the clock needs two processors")
	}
	samples := make(map[figure][]float64) // by figures without a value
	for round := range wallRounds {
		for _, p := range peers {
			fmt.Printf("round %d: %s\n", round+1, p.name)
			for i, c := range clocks {
				if c.measure == nil {
					continue
				}
				values := c.measure(p)
				for _, c := range clocks[i:] {
					for _, column := range c.columns {
						if len(values) > 0 {
							key := figure{Work: c.work, Unit: c.unit, Column: column, Peer: p.name}
							samples[key] = append(samples[key], values[0])
							values = values[1:]
						}
					}
				}
			}
		}
	}
	middle := func(c clocked, column, peer string) float64 {
		s := samples[figure{Work: c.work, Unit: c.unit, Column: column, Peer: peer}]
		slices.Sort(s)
		return s[len(s)/2]
	}
	for _, c := range clocks {
		for _, column := range c.columns {
			for _, p := range peers {
				if real {
					report(figure{c.work, c.unit, column, p.name, middle(c, column, p.name)})
				}
			}
		}
	}
	if !slices.ContainsFunc(peers, func(p peer) bool { return p.name == wallBase }) {
		return
	}
	for _, c := range clocks {
		for _, column := range c.columns {
			for _, p := range peers {
				ratio := middle(c, column, p.name) / middle(c, column, wallBase)
				if c.unit == "microseconds" || c.unit == "CPU ms/Gbit" {
					ratio = 1 / ratio
				}
				report(figure{"by the clock, against " + wallBase, "times as good", c.unit + ", " + column, p.name, ratio})
			}
		}
	}
}

// wallToProgram is how many packets the program takes while a socket here sends without a pause.
func wallToProgram(p peer) []float64 {
	s := started("sink", p)
	fd := connectedTo(behind)
	for start := time.Now(); time.Since(start) < wallTime; {
		for range batch {
			_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&payload[0])), uintptr(small.size(0)), 0, 0, 0)
			if errno != 0 && errno != unix.ENOBUFS { // which says that it was dropped
				log.Fatalf("sendto: %v", errno)
			}
		}
	}
	unix.Close(fd)
	time.Sleep(100 * time.Millisecond) // for what waits in the queue
	return []float64{float64(s.end()) / wallTime.Seconds()}
}

// wallToStack is how many packets a socket here reads while the program sends without a pause. It is one
// thread that reads, which may be the slower one.
func wallToStack(p peer) []float64 {
	fd := boundAny() // the interface has no address yet
	defer unix.Close(fd)
	s := started("source", p)
	defer s.end()
	if !readable(fd, 5000) {
		log.Fatalf("nothing comes from %s", p.name)
	}
	var buf [2048]byte
	n := 0
	start := time.Now()
	for time.Since(start) < wallTime {
		for range batch {
			_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case 0:
				n++
			case unix.EAGAIN:
				readable(fd, 10)
			default:
				log.Fatalf("recv: %v", errno)
			}
		}
	}
	return []float64{float64(n) / time.Since(start).Seconds()}
}

// wallRelay is a stream of TCP through the program, and the machine's CPU time for it. It runs dry after
// each MiB.
func wallRelay(p peer) []float64 {
	const chunk = 1 << 20
	s := started("relay", p)
	defer s.end()
	c := connected(relayAddr)
	defer c.close()
	c.bulk(chunk, 0)
	bytes := 0
	start, used := time.Now(), cpuTime()
	for time.Since(start) < wallTime {
		c.bulk(chunk, 0)
		bytes += chunk
	}
	took := time.Since(start)
	used = cpuTime() - used
	return []float64{
		float64(bytes) * 8 / 1e6 / took.Seconds(),
		float64(used.Milliseconds()) / (float64(bytes) * 8 / 1e9),
	}
}

// wallPing is how long a packet takes to the program and back.
func wallPing(p peer) []float64 {
	s := started("echo", p)
	defer s.end()
	fd := bound(here)
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: behind}); err != nil {
		log.Fatal(err)
	}
	var times []time.Duration
	for start := time.Now(); len(times) < wallPings && time.Since(start) < wallTime; {
		sent := time.Now()
		if _, err := unix.Write(fd, payload[:small.size(0)]); err != nil {
			log.Fatal(err)
		}
		if !readable(fd, 5000) {
			log.Fatalf("%s does not answer", p.name)
		}
		drainSocket(fd, 1)
		times = append(times, time.Since(sent))
	}
	slices.Sort(times)
	at := func(percent int) float64 { return float64(times[len(times)*percent/100].Nanoseconds()) / 1e3 }
	return []float64{at(50), at(99)}
}

// cpuTime is how long all processors have worked, in the kernel or for anybody, since they began.
func cpuTime() time.Duration {
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	line, _, _ := bytes.Cut(read("/proc/stat"), []byte("\n"))
	_, err := fmt.Sscanf(string(line), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal)
	if err != nil {
		log.Fatal(errors.Join(errors.New("/proc/stat"), err))
	}
	const tick = time.Second / 100 // of all architectures' Linux, for programs
	return time.Duration(user+nice+system+irq+softirq) * tick
}
