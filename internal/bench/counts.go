// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// counters are events of the kernel that are counted on all processors, by the tracepoints that they
// are sums of.
var counters = []struct {
	unit   string
	points []string
}{
	{"system calls", []string{"raw_syscalls/sys_enter"}},
	{"wake-ups", []string{"sched/sched_wakeup"}},
	{"task switches", []string{"sched/sched_switch"}},
	{"doorbells", []string{"mytun/mytun_doorbell"}},
	{"kernel allocations", []string{"kmem/kmalloc", "kmem/kmalloc_node", "kmem/kmem_cache_alloc",
		"kmem/kmem_cache_alloc_node", "kmem/mm_page_alloc"}},
}

const tracing = "/sys/kernel/tracing"

// counting is a set of counters that run.
type counting struct {
	fds     [][]int // of each counter: one for each tracepoint and processor
	mallocs uint64
}

// startCounting costs each event some instructions: what they are is measured by itself.
func startCounting() *counting {
	if _, err := os.Stat(tracing + "/events"); err != nil {
		run("mount", "-t", "tracefs", "tracefs", tracing)
	}
	c := new(counting)
	for _, counter := range counters {
		var fds []int
		for _, point := range counter.points {
			if _, err := os.Stat(tracing + "/events/" + point); err != nil {
				continue // from some kernel on others have the place of those of a NUMA node
			}
			for cpu := range runtime.NumCPU() {
				fds = append(fds, openTracepoint(point, cpu))
			}
		}
		if len(fds) == 0 {
			log.Fatalf("the kernel has none of %v", counter.points)
		}
		c.fds = append(c.fds, fds)
	}
	c.mallocs = mallocs()
	return c
}

func openTracepoint(point string, cpu int) int {
	var id uint64
	if _, err := fmt.Sscan(strings.TrimSpace(string(read(tracing+"/events/"+point+"/id"))), &id); err != nil {
		log.Fatalf("%s: %v", point, err)
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Size: unix.PERF_ATTR_SIZE_VER1, Config: id}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		log.Fatalf("perf_event_open of %s: %v", point, err)
	}
	return fd
}

// so far is what each counter has, and Go's own allocations at last.
func (c *counting) soFar() (sums []float64) {
	for _, fds := range c.fds {
		var sum uint64
		for _, fd := range fds {
			var b [8]byte
			if _, err := unix.Read(fd, b[:]); err != nil {
				log.Fatal(err)
			}
			sum += binary.NativeEndian.Uint64(b[:])
		}
		sums = append(sums, float64(sum))
	}
	return append(sums, float64(mallocs()-c.mallocs))
}

func (c *counting) end() {
	for _, fds := range c.fds {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// counted is how many events there are in each of many calls of f, also of another process that goes on
// between them.
func counted(calls int, f func()) []float64 {
	c := startCounting()
	defer c.end()
	before := c.soFar()
	own := c.soFar() // what counting itself adds
	for range calls {
		f()
	}
	sums := c.soFar()
	for i := range sums {
		sums[i] = ((sums[i] - own[i]) - (own[i] - before[i])) / float64(calls)
	}
	return sums
}

// countedBetween is how many events there are in each call of one function, of the mean of many calls,
// and not in those of another after each.
func countedBetween(calls int, count, rest func()) []float64 {
	c := startCounting()
	defer c.end()
	var sums []float64
	for range calls {
		before := c.soFar()
		own := c.soFar() // what counting itself adds
		count()
		after := c.soFar()
		rest()
		if sums == nil {
			sums = make([]float64, len(after))
		}
		for i := range sums {
			sums[i] += (after[i] - own[i]) - (own[i] - before[i])
		}
	}
	for i := range sums {
		sums[i] /= float64(calls)
	}
	return sums
}

// reportEvents reports what is left above a base. Others, as a timer's, come now and then by themselves:
// one less of them may leave less than nothing, which is none.
func reportEvents(work, thing, peer string, sums, base []float64) {
	for i := range sums {
		name := "Go allocations"
		if i < len(counters) {
			name = counters[i].unit
		}
		if base != nil {
			sums[i] -= base[i]
		}
		report(figure{work, "events/" + thing, name, peer, max(0, sums[i])})
	}
}
