// SPDX-License-Identifier: MIT

// Command bench counts what a packet costs, in a virtual machine whose clock counts guest
// instructions (QEMU's -icount shift=0: one instruction is one nanosecond of guest time). On any
// other machine its figures are nanoseconds, and noisy.
//
//	go build -o bench ./internal/bench
//	go run ./internal/vm run -icount -file bench -- bench
//
// It makes interfaces of its own in the network namespace that it runs in, and needs root, the
// module, the modules tun and dummy, and iproute2.
//
// What it does not see: cache misses, and most of what a system call really costs; so it
// flatters the peer that makes one system call for each packet.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"
)

const (
	batch  = 40 // packets of one round
	warmup = 50 // rounds that are not counted
)

var (
	payloads = []int{18, 512, 1400} // bytes of UDP payload
	rounds   = flag.Int("rounds", 301, "rounds, of 40 packets each, of which the median is taken")
	only     = flag.String("only", "", "measure one `WAY`: rx (stack to program) or tx, with the smallest payload, through mytun alone; for profiles")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	flag.Parse()
	// One thread, and no collector beside it: what is counted is the packets' path.
	runtime.LockOSThread()
	debug.SetGCPercent(-1)

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
	}

	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "guest instructions per packet, batches of %d\tUDP payload\tstock tun, read/write\tmytun\t\n", batch)
	for _, way := range []struct {
		name string
		cost func(open opener, payload int) float64
	}{{"stack to program", stackToProgram}, {"program to stack", programToStack}} {
		for _, payload := range payloads {
			fmt.Fprintf(w, "%s\t%d B\t%.0f\t%.0f\t\n", way.name, payload,
				way.cost(openStock, payload), way.cost(openRings, payload))
			w.Flush()
		}
	}
}

func ip(args ...string) {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		log.Fatalf("ip %v: %v\n%s", args, err, out)
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
func medianBetween(counted, rest func()) float64 {
	times := make([]time.Duration, 0, *rounds)
	for i := range warmup + *rounds {
		start := time.Now()
		counted()
		t := time.Since(start)
		rest()
		if i >= warmup {
			times = append(times, t)
		}
	}
	slices.Sort(times)
	return float64(times[*rounds/2])
}
