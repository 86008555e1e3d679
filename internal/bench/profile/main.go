// SPDX-License-Identifier: MIT

// Command profile shows where the guest instructions of one work of the benchmark go, in the kernel, its
// modules and the program: a table of functions on the terminal, and a flame graph.
//
//	make profile W=rx
//	make profile W=vpn-udp PEERS=wireguard-go
//
// It runs the benchmark in the same virtual machine as "make bench" does, with the plugin of
// plugin/src/profile.c, which counts there all instructions with the calls that led to them, and tells what
// it does not see. Of these only what ran within the measured function is shown, with all that it calls,
// in the kernel too; but not what an interrupt or another thread, ksoftirqd for one, did in its
// place. The rounds that warm up are part of it, and reading the clock is not. Of a tunnel all is shown
// that the machine did from the first packet that is measured to the last one, by whatever program.
//
// Functions are those of the symbols: one that the compiler has put into another is part of that one.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/mytun/mytun/internal/bench/plugin"
)

// work is a work of the benchmark.
type work struct {
	start    string // the function from whose first call on it is counted; empty: main.main
	stop     string // and that until whose; empty: to the end
	not      string // a function that is left out, with all that it calls, a regular expression; empty: none
	measured string // the function that is timed, a regular expression
	packet   string // a function that is called once for each packet, a regular expression
	bytes    int    // or once for so many bytes of a stream
}

var works = map[string]work{
	"rx":      {measured: `^main\.toProgram\.func`, packet: `^udp_sendmsg$`},
	"tx":      {measured: `^main\.toStack\.func1$`, packet: `^udp_queue_rcv_skb$`},
	"vpn-udp": tunneled(`^main\.tunneledPacket$`, 0),
	"vpn-tcp": tunneled(`^main\.\(\*connection\)\.bulk$`, 4<<20),
}

// tunneled is all that the machine does, but the looks at its clock.
func tunneled(packet string, bytes int) work {
	return work{
		start: "main.medianCost", stop: "main.report", not: `^main\.(busy|read)$`,
		measured: `.`, packet: packet, bytes: bytes,
	}
}

// vpnText is where the code of example/vpn is put, so that it can be told from the benchmark's.
const vpnText = 0x40000000

// The programs of the project run from its root, this one from the benchmark's module.
const root = "../.."

func main() {
	log.SetFlags(0)
	log.SetPrefix("profile: ")
	name := flag.String("work", "rx", "the `WORK` of the benchmark: its -only")
	peers := flag.String("peers", "", "the `PEERS` of the benchmark, of which the first is measured")
	program := flag.String("program", ".", "the benchmark's `DIR`")
	measured := flag.String("measured", "", "the function that is shown with all that it calls, a `REGEXP`; empty: the work's")
	packet := flag.String("packet", "", "a function that is called once for each packet, a `REGEXP`; empty: the work's")
	top := flag.Int("top", 30, "how many functions the table has")
	flag.Parse()
	w := works[*name]
	if *measured != "" {
		w.measured = *measured
	}
	if *packet != "" {
		w.packet, w.bytes = *packet, 0
	}
	if w.measured == "" || w.packet == "" {
		log.Fatalf("work %q is not known here: what is measured of it, and what is called for each packet?", *name)
	}
	if err := profile(*name, *peers, w, *program, *top); err != nil {
		log.Fatal(err)
	}
}

func profile(name, peers string, w work, program string, top int) error {
	measured, err := regexp.Compile(w.measured)
	if err != nil {
		return err
	}
	not, err := regexp.Compile(cmp.Or(w.not, `^$`)) // no function's name
	if err != nil {
		return err
	}
	packet, err := regexp.Compile(w.packet)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mytun-profile-"+name+"-")
	if err != nil {
		return err
	}
	counts, syms, err := count(name, peers, w, program, dir)
	if err != nil {
		return fmt.Errorf("%w\nfiles: %s", err, dir)
	}
	p, err := counts.within(syms, measured, not)
	if err != nil {
		return fmt.Errorf("%w\nfiles: %s", err, dir)
	}
	packets, unit := p.calls(packet), "packet"
	if w.bytes > 0 {
		packets, unit = packets*float64(w.bytes)/1000, "1000 bytes"
	}
	if packets == 0 {
		return fmt.Errorf("%v is never called within what is measured\nfiles: %s", packet, dir)
	}
	svg := filepath.Join(dir, "flame.svg")
	f, err := os.Create(svg)
	if err != nil {
		return err
	}
	defer f.Close()
	title := fmt.Sprintf("%s: %.0f guest instructions per %s", name, float64(p.root.total)/packets, unit)
	if err := errors.Join(writeFlame(f, p.root, packets, title), f.Close()); err != nil {
		return err
	}
	if err := writeTables(os.Stdout, p, packets, unit, top); err != nil {
		return err
	}
	fmt.Printf("\nflame graph: %s\n", svg)
	return nil
}

// count runs the benchmark, and returns what the plugin counted, and the symbols for it.
func count(name, peers string, w work, program, dir string) (*counts, symbols, error) {
	so, bench, vpn := filepath.Join(dir, "plugin.so"), filepath.Join(dir, "bench"), filepath.Join(dir, "vpn")
	kallsyms, counted := filepath.Join(dir, "vm/out/kallsyms"), filepath.Join(dir, "counts")
	if err := errors.Join(plugin.Build("profile", so), plugin.BuildProgram(program, bench),
		plugin.BuildProgram(filepath.Join(root, "example/vpn"), vpn,
			"-ldflags", fmt.Sprintf("-extldflags=-Wl,-Ttext-segment=%#x", vpnText))); err != nil {
		return nil, nil, err
	}
	options := so + ",out=" + counted
	for option, name := range map[string]string{"start": cmp.Or(w.start, "main.main"), "stop": w.stop} {
		if name == "" {
			continue
		}
		addr, err := plugin.Address(bench, name)
		if err != nil {
			return nil, nil, err
		}
		options += fmt.Sprintf(",%s=%#x", option, addr)
	}
	if err := plugin.Run(root, "go", "run", "./internal/vm", "run", "-icount", "-timeout", "20m", "-file", bench, "-file", vpn,
		"-plugin", options, "-out", filepath.Join(dir, "vm"),
		"--", "sh", "-c", `bench -only "$0" -peers "$1" && cat /proc/kallsyms >/out/kallsyms`, name, peers); err != nil {
		return nil, nil, err
	}
	syms, err := programSymbols(bench, "")
	if err != nil {
		return nil, nil, err
	}
	vpnSyms, err := programSymbols(vpn, "vpn ")
	if err != nil {
		return nil, nil, err
	}
	if vpnSyms[0].addr < vpnText {
		return nil, nil, fmt.Errorf("example/vpn lies where the benchmark does: is cgo off? it is what has a linker that can move it")
	}
	kernel, err := kernelSymbols(kallsyms)
	if err != nil {
		return nil, nil, err
	}
	c, err := readCounts(counted)
	return c, slices.Concat(syms, vpnSyms, kernel), err
}
