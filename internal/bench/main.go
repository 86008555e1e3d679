// SPDX-License-Identifier: MIT

// Command bench counts what a packet costs by way of mytun and of its peers, in a virtual machine whose
// clock counts guest instructions (QEMU's -icount shift=0: one instruction is one nanosecond of guest
// time). On any other machine its figures are nanoseconds, and noisy.
//
//	make bench
//
// It makes interfaces and network namespaces of its own, and needs root, the module, the modules tun,
// dummy, veth, vhost_net and wireguard, iproute2, and for tunnels the program of example/vpn as "vpn".
//
// What it does not see: cache misses, and most of what a system call really costs; so it flatters the
// peer that makes one system call for each packet. And it counts a byte that the kernel copies by
// "rep movsb" as an instruction, of which a real machine does many at a time; so it weighs the copies
// of a TCP stream too heavily, which are the same for all.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// works are what is measured, by the names of -only.
var works = []struct {
	name    string
	measure func()
	alone   bool // only when it is asked for
}{
	{name: "udp", measure: udpWorks},
	{name: "tcp", measure: tcpWorks},
	{name: "relay", measure: relayWorks},
	{name: "ping", measure: pingWorks},
	{name: "scale", measure: scaleWorks},
	{name: "hold", measure: holdWorks},
	{name: "vpn", measure: tunnelWorks},
	// On two processors, by the clock.
	{name: "wall", measure: func() { wallWorks(true) }, alone: true},
	{name: "ratios", measure: func() { wallWorks(false) }, alone: true},
	// In a machine with the plugin for it.
	{name: "copies", measure: copyWorks, alone: true},
	// For profiles.
	{name: "rx", measure: func() { cost(func() way { return toProgram(first(peers), small, batch) }) }, alone: true},
	{name: "tx", measure: func() { cost(func() way { return toStack(first(peers), small, batch) }) }, alone: true},
	{name: "vpn-udp", measure: func() { t := first(tunnels); t.through(t.udp) }, alone: true},
	{name: "vpn-tcp", measure: func() { t := first(tunnels); t.through(t.tcp) }, alone: true},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	names := make([]string, 0, len(works))
	for _, w := range works {
		names = append(names, w.name)
	}
	only := flag.String("only", "", "measure these `WORKS` alone, of "+strings.Join(names, ", "))
	by := flag.String("peers", "", "only `PEERS` whose names begin with one of these, with a semicolon between them")
	out := flag.String("out", "/out/figures.jsonl", "the `FILE` for the figures")
	role := flag.String("serve", "", "for the program's own use: be the process that has this `ROLE`, by the peer of -peers")
	flag.Parse()
	switch *role {
	case "":
	case "wireguard-go":
		serveWireGuard()
		return
	default:
		serve(*role, *by)
		return
	}

	// One thread, and no collector beside it: what is counted is the packets' path.
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	var err error
	if figures, err = os.Create(*out); err != nil {
		log.Fatal(err)
	}
	peers, tcpPeers, tunnels = begin(peers, *by), begin(tcpPeers, *by), begin(tunnels, *by)
	for _, p := range peers {
		if p.path != "" {
			fmt.Printf("%s: %s %s\n", p.name, p.path, version(p.path))
		}
	}
	prepare()
	makeFar()
	for _, w := range works {
		if asked := strings.Contains(","+*only+",", ","+w.name+","); !asked && (*only != "" || w.alone) {
			continue
		}
		start := time.Now()
		w.measure()
		fmt.Printf("%s: %.1f s of guest time\n", w.name, time.Since(start).Seconds())
	}
	if err := figures.Close(); err != nil {
		log.Fatal(err)
	}
}

// first is the first of those that -peers has left.
func first[P any](some []P) P {
	if len(some) == 0 {
		log.Fatal("none of -peers does this work")
	}
	return some[0]
}

// begin is those of all whose name begins with one of these.
func begin[P interface{ called() string }](all []P, names string) (some []P) {
	for _, p := range all {
		for _, name := range strings.Split(names, ";") {
			if strings.HasPrefix(p.called(), name) {
				some = append(some, p)
				break
			}
		}
	}
	return some
}
