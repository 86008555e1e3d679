// SPDX-License-Identifier: MIT

// Command profile shows where the guest instructions of one work of the benchmark go, in the kernel, its
// modules and the program: a table of functions on the terminal, and a flame graph.
//
//	make profile W=rx
//
// It runs the benchmark in the same virtual machine as "make bench" does, with the plugin of
// plugin/plugin.c, which counts there all instructions with the calls that led to them, and tells what
// it does not see. Of these only what ran within the measured function is shown, with all that it calls,
// in the kernel too; but not what an interrupt or another thread, ksoftirqd for one, did in its
// place. The rounds that warm up are part of it, and reading the clock is not.
//
// Functions are those of the symbols: one that the compiler has put into another is part of that one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// work is a work of the benchmark.
type work struct {
	measured string // the function that is timed, a regular expression
	packet   string // a function that is called once for each packet, a regular expression
}

var works = map[string]work{
	"rx": {`^main\.toProgram\.func`, `^udp_sendmsg$`},
	"tx": {`^main\.toStack\.func1$`, `^udp_queue_rcv_skb$`},
}

// The programs of the project run from its root, this one from the benchmark's module.
const root = "../.."

func main() {
	log.SetFlags(0)
	log.SetPrefix("profile: ")
	name := flag.String("work", "rx", "the `WORK` of the benchmark: its -only")
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
		w.packet = *packet
	}
	if w.measured == "" || w.packet == "" {
		log.Fatalf("work %q is not known here: what is measured of it, and what is called for each packet?", *name)
	}
	if err := profile(*name, w, *program, *top); err != nil {
		log.Fatal(err)
	}
}

func profile(name string, w work, program string, top int) error {
	measured, err := regexp.Compile(w.measured)
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
	counts, syms, err := count(name, program, dir)
	if err != nil {
		return fmt.Errorf("%w\nfiles: %s", err, dir)
	}
	p, err := counts.within(syms, measured)
	if err != nil {
		return fmt.Errorf("%w\nfiles: %s", err, dir)
	}
	packets := p.calls(packet)
	if packets == 0 {
		return fmt.Errorf("%v is never called within what is measured\nfiles: %s", packet, dir)
	}
	svg := filepath.Join(dir, "flame.svg")
	f, err := os.Create(svg)
	if err != nil {
		return err
	}
	defer f.Close()
	title := fmt.Sprintf("%s: %.0f guest instructions per packet", name, float64(p.root.total)/packets)
	if err := errors.Join(writeFlame(f, p.root, packets, title), f.Close()); err != nil {
		return err
	}
	if err := writeTables(os.Stdout, p, packets, top); err != nil {
		return err
	}
	fmt.Printf("\nflame graph: %s\n", svg)
	return nil
}

// count runs the benchmark, and returns what the plugin counted, and the symbols for it.
func count(name, program, dir string) (*counts, symbols, error) {
	plugin, bench := filepath.Join(dir, "plugin.so"), filepath.Join(dir, "bench")
	kallsyms, counted := filepath.Join(dir, "vm/out/kallsyms"), filepath.Join(dir, "counts")
	if err := buildPlugin("profile/plugin/plugin.c", plugin); err != nil {
		return nil, nil, err
	}
	// As internal/vm builds it, so that it lies in memory as it does in "make bench".
	if err := run(program, "go", "build", "-trimpath", "-buildvcs=false", "-o", bench, "."); err != nil {
		return nil, nil, err
	}
	syms, err := programSymbols(bench)
	if err != nil {
		return nil, nil, err
	}
	start := syms.named("main.main")
	if start == nil {
		return nil, nil, fmt.Errorf("%s has no main.main", bench)
	}
	if err := run(root, "go", "run", "./internal/vm", "run", "-icount", "-timeout", "20m", "-file", bench,
		"-plugin", fmt.Sprintf("%s,start=%#x,out=%s", plugin, start.addr, counted), "-out", filepath.Join(dir, "vm"),
		"--", "sh", "-c", "bench -only "+name+" && cat /proc/kallsyms >/out/kallsyms"); err != nil {
		return nil, nil, err
	}
	kernel, err := kernelSymbols(kallsyms)
	if err != nil {
		return nil, nil, err
	}
	c, err := readCounts(counted)
	return c, append(syms, kernel...), err
}

func buildPlugin(src, dst string) error {
	return run(".", "gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden",
		"-shared", "-fPIC", "-o", dst, src)
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
