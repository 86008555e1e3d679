// SPDX-License-Identifier: MIT

// Command bench counts what a packet costs, in a virtual machine whose clock counts guest
// instructions (QEMU's -icount shift=0: one instruction is one nanosecond of guest time). On any
// other machine its figures are nanoseconds, and noisy.
//
//	make bench
//
// It makes interfaces of its own in the network namespace that it runs in, and needs root, the
// module, the modules tun and dummy, and iproute2.
//
// What it does not see: cache misses, and most of what a system call really costs; so it
// flatters the peer that makes one system call for each packet. And it counts a byte that the
// kernel copies by "rep movsb" as an instruction, of which a real machine does many at a time; so
// it weighs the copies of a TCP stream too heavily, which are the same for all.
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

const (
	batch  = 40 // packets of one round
	warmup = 50 // rounds that are not counted
)

var (
	payloads = []int{18, 512, 1400} // bytes of UDP payload
	rounds   = flag.Int("rounds", 301, "rounds, of 40 packets each, of which the median is taken")
	only     = flag.String("only", "", "measure one `WAY`: rx (stack to program) or tx, with the smallest payload, or a TCP stream, "+
		"tcp-rx or tcp-tx, through mytun alone, for profiles; udp, tcp, scale or hold: one of the tables")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	flag.Parse()
	// One thread, and no collector beside it: what is counted is the packets' path.
	runtime.LockOSThread()
	debug.SetGCPercent(-1)

	run("modprobe", "tun")
	ip("link", "add", "bench-dummy", "type", "dummy")
	ip("addr", "add", "10.91.0.1/24", "dev", "bench-dummy")
	ip("link", "set", "bench-dummy", "up")

	switch *only {
	case "rx":
		fmt.Printf("%.0f\n", stackToProgram(openRings, payloads[0]))
		return
	case "tx":
		fmt.Printf("%.0f\n", programToStack(openRings, payloads[0]))
		return
	case "tcp-rx":
		fmt.Printf("%.2f\n", tcpToProgram(openRings, 2*mss))
		return
	case "tcp-tx":
		fmt.Printf("%.2f\n", tcpToStack(openRings))
		return
	}
	tables := map[string]func(){"udp": udpTable, "tcp": tcpTable, "scale": scaleTable, "hold": holdTable}
	if *only != "" && tables[*only] == nil {
		log.Fatalf("-only %s: no such measurement", *only)
	}
	for _, name := range []string{"udp", "tcp", "scale", "hold"} {
		if *only == "" || *only == name {
			tables[name]()
			fmt.Println()
		}
	}
}

func udpTable() {
	fmt.Printf("guest instructions per packet, batches of %d\n", batch)
	const row = "%-18s %12v %22v %8v\n"
	fmt.Printf(row, "", "UDP payload", "stock tun, read/write", "mytun")
	for _, way := range []struct {
		name string
		cost func(open opener, payload int) float64
	}{{"stack to program", stackToProgram}, {"program to stack", programToStack}} {
		for _, payload := range payloads {
			fmt.Printf(row, way.name, fmt.Sprint(payload, " B"),
				math.Round(way.cost(openStock, payload)), math.Round(way.cost(openRings, payload)))
		}
	}
}

func tcpTable() {
	fmt.Printf("guest instructions per byte of a TCP stream in segments of %d bytes\n", mss)
	const row = "%-20s %10v %10v\n"
	fmt.Printf(row, "", "stock tun", "mytun")
	cell := func(cost float64) string { return fmt.Sprintf("%.2f", cost) }
	const each, burst = 2 * mss, segments * mss
	fmt.Printf(row, "stack to program, an ACK for each second segment:", "", "")
	fmt.Printf(row, "  finished packets", cell(tcpToProgram(openStock, each)), cell(tcpToProgram(openRings, each)))
	fmt.Printf(row, "  64 KiB whole", cell(tcpToProgram(openStockWhole, each)), cell(tcpToProgram(openRingsWhole, each)))
	fmt.Printf(row, "the same, an ACK for each 64 KiB:", "", "")
	fmt.Printf(row, "  finished packets", cell(tcpToProgram(openStock, burst)), cell(tcpToProgram(openRings, burst)))
	fmt.Printf(row, "  64 KiB whole", cell(tcpToProgram(openStockWhole, burst)), cell(tcpToProgram(openRingsWhole, burst)))
	fmt.Printf(row, "program to stack:", "", "")
	fmt.Printf(row, "  finished packets", cell(tcpToStack(openStock)), cell(tcpToStack(openRings)))
	fmt.Printf(row, "  verified ones", "-", cell(tcpToStack(openRingsVerified)))
}

func ip(args ...string) { run("ip", args...) }

func run(name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		log.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// median runs a round many times and returns the median time of one.
func median(round func()) float64 {
	times := make([]time.Duration, *rounds)
	for range warmup {
		round()
	}
	for i := range times {
		start := time.Now()
		round()
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return float64(times[*rounds/2])
}

// medianBetween is median for a round that has a part that is not counted.
func medianBetween(counted, rest func()) float64 { return medianOf(*rounds, counted, rest) }

func medianOf(n int, counted, rest func()) float64 {
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
	return float64(times[n/2])
}
