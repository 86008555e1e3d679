// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
)

// A peer in a process of its own, as it is in the field: it waits for packets as its API does, and the
// kernel shares the processor between it and who sends. Its interfaces are ifName here and, of a
// relay, relayName in the other namespace.
const relayName = "bench1"

// serveRoles are what such a process does with its packets: each opens its interfaces, and returns
// what is to be done when they are up.
var serveRoles = map[string]func(p peer) func(){
	"echo": func(p peer) func() {
		d := p.open(ifName)
		return func() {
			answer := func(pkts [][]byte) {
				for _, pkt := range pkts {
					turn(pkt)
				}
				d.send(pkts)
			}
			for {
				d.take(answer)
			}
		}
	},
	"sink": func(p peer) func() {
		d := p.open(ifName)
		count := func(pkts [][]byte) { served.Add(uint64(len(pkts))) }
		return func() {
			for {
				d.take(count)
			}
		}
	},
	"source": func(p peer) func() {
		d := p.open(ifName)
		pkt := udpPacket(small.size(0))
		pkts := make([][]byte, batch)
		for i := range pkts {
			pkts[i] = newPacket(len(pkt))
		}
		return func() {
			for {
				for i := range pkts {
					copy(pkts[i], pkt) // a device may have changed it
				}
				d.send(pkts)
			}
		}
	},
	"relay": func(p peer) func() {
		a := p.open(ifName)
		var b device
		inFar(func() { b = p.open(relayName) })
		return func() {
			go pump(a, b)
			pump(b, a)
		}
	},
}

// served is how many packets came to a sink.
var served atomic.Uint64

// pump carries packets in one direction, until from is closed.
func pump(from, to device) {
	if whole, ok := from.(*ringsWhole); ok {
		whole.pump(to.(*ringsWhole))
	}
	for {
		from.take(to.send)
	}
}

// turn makes an answer of a packet: its checksums stay right.
func turn(pkt []byte) {
	if pkt[0] != 0x45 || pkt[9] != 17 {
		return
	}
	swap := func(at, n int) {
		for i := at; i < at+n; i++ {
			pkt[i], pkt[i+n] = pkt[i+n], pkt[i]
		}
	}
	swap(12, 4)
	swap(20, 2)
}

// serve is that process. It ends with its parent, which holds its standard input.
func serve(role, name string) {
	debug.SetGCPercent(100)
	for _, p := range slices.Concat(peers, tcpPeers) {
		if p.name == name {
			work := serveRoles[role](p)
			fmt.Println("ready")
			in := bufio.NewReader(os.Stdin)
			if _, err := in.ReadString('\n'); err != nil {
				log.Fatal(err)
			}
			go work()
			io.Copy(io.Discard, in)
			fmt.Println(served.Load())
			return
		}
	}
	log.Fatalf("no peer %q", name)
}

// server is such a process, seen from outside.
type server struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// started waits until it has its interfaces, and gives them addresses.
func started(role string, p peer) *server {
	s := &server{cmd: exec.Command("/proc/self/exe", "-serve", role, "-peers", p.name)}
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	s.stdin, s.out = in, bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		log.Fatal(err)
	}
	if line, err := s.out.ReadString('\n'); strings.TrimSpace(line) != "ready" {
		log.Fatalf("%s of %s: %q, %v", role, p.name, line, err)
	}
	address(ifName, here)
	if role == "relay" {
		ip("-n", farName, "addr", "add", dotted(relayAddr)+"/24", "dev", relayName)
		ip("-n", farName, "link", "set", relayName, "up")
		ip("route", "add", relayNet, "dev", ifName)
		ip("-n", farName, "route", "add", hereNet, "dev", relayName)
	}
	if _, err := io.WriteString(s.stdin, "up\n"); err != nil {
		log.Fatal(err)
	}
	return s
}

// end ends it, and returns how many packets came if it was a sink.
func (s *server) end() (served uint64) {
	s.stdin.Close()
	if _, err := fmt.Fscan(s.out, &served); err != nil {
		log.Fatalf("%v: %v", s.cmd.Args, err)
	}
	if err := s.cmd.Wait(); err != nil {
		log.Fatal(err)
	}
	return served
}
