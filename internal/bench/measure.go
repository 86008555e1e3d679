// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience is how long something may take that should take no time.
const patience = 5 * time.Second

const (
	warmup = 40  // rounds that are not counted
	rounds = 400 // of which the middle half is
	chunks = 9   // of what runs on by itself; the median is taken
)

// middle runs a round many times and returns how long one takes: the mean of the middle half. rest is
// a part of each that is not counted. The dearest quarter has the ticks of the clock, and what else the
// kernel does in between; a median would be one or the other where every second round needs a new
// page.
func middle(counted, rest func()) float64 { return middleOf(rounds, counted, rest) }

func middleOf(n int, counted, rest func()) float64 {
	times := make([]time.Duration, 0, n)
	for i := range warmup + n {
		start := time.Now()
		counted()
		t := time.Since(start)
		rest()
		if i >= warmup {
			times = append(times, t)
		}
	}
	slices.Sort(times)
	var sum time.Duration
	half := times[n/4 : n-n/4]
	for _, t := range half {
		sum += t
	}
	return float64(sum) / float64(len(half))
}

func nothing() {}

// tried makes a system call on bytes without Go's bookkeeping, whose thread would wake to look why a call
// takes so long: what is measured has a share of its own of that. It returns how many bytes were moved,
// 0 when a socket that does not wait would have to.
func tried(number uintptr, fd int, bytes []byte) int {
	for {
		n, _, errno := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(bytes))), uintptr(len(bytes)))
		switch errno {
		case 0:
			return int(n)
		case unix.EAGAIN:
			return 0
		case unix.EINTR:
		default:
			log.Fatalf("system call %d: %v", number, errno)
		}
	}
}

// bare is tried, of a socket that waits.
func bare(number uintptr, fd int, bytes []byte) {
	if tried(number, fd, bytes) == 0 {
		log.Fatalf("system call %d: nothing", number)
	}
}

// waited is ppoll(2), as bare as tried. It tells whether something has happened in that time.
func waited(fds []unix.PollFd, limit time.Duration) bool {
	for {
		ts := unix.NsecToTimespec(limit.Nanoseconds()) // the kernel writes there what is left
		n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)),
			uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		switch errno {
		case 0:
			return n > 0
		case unix.EINTR:
		default:
			log.Fatalf("poll: %v", errno)
		}
	}
}

// medianCost is what each of n costs on the whole machine, the median of several runs after a first one.
func medianCost(n int, run func()) float64 {
	run()
	costs := make([]float64, chunks)
	for i := range costs {
		start := busy()
		run()
		costs[i] = float64(busy()-start) / float64(n)
	}
	slices.Sort(costs)
	return costs[len(costs)/2]
}
