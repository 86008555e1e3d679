// SPDX-License-Identifier: MIT

// Command copies counts how often each byte of a packet is copied on its way between the stack and a program.
//
//	copies [-kernel NAME] FIGURES.jsonl
//
// It runs a work of the benchmark in a virtual machine that counts the bytes which are stored, and writes figures for the command
// report. Each way is gone with packets of two sizes: what is stored more with the larger ones, for each byte that they are
// larger, is copies of it. That of the sender from its own memory into the stack, which all have in common, is taken off.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/mytun/mytun/internal/bench/plugin"
)

// The programs of the project run from its root, this one from the benchmark's module.
const root = "../.."

func main() {
	log.SetFlags(0)
	log.SetPrefix("copies: ")
	kernel := flag.String("kernel", "6.1", "the `NAME` of the kernel")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: copies [-kernel NAME] FIGURES.jsonl")
	}
	if err := run(*kernel, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(kernel, figures string) error {
	dir, err := os.MkdirTemp("", "mytun-copies-")
	if err != nil {
		return err
	}
	sections, stored, err := count(kernel, dir)
	if err == nil {
		err = write(figures, sections, stored)
	}
	if err != nil {
		return fmt.Errorf("%w\nfiles: %s", err, dir)
	}
	return os.RemoveAll(dir)
}

// count runs the benchmark, and returns what it says of its sections and what the plugin does.
func count(kernel, dir string) (sections []section, stored map[int][]float64, err error) {
	so, bench, out := filepath.Join(dir, "plugin.so"), filepath.Join(dir, "bench"), filepath.Join(dir, "stored")
	if err := plugin.Build("stores", so); err != nil {
		return nil, nil, err
	}
	if err := plugin.BuildProgram(".", bench); err != nil {
		return nil, nil, err
	}
	marks, err := plugin.Address(bench, "main.marks")
	if err != nil {
		return nil, nil, err
	}
	if err := plugin.Run(root, "go", "run", "./internal/vm", "run", "-kernel", kernel, "-icount", "-timeout", "20m", "-file", bench,
		"-plugin", fmt.Sprintf("%s,marks=%#x,out=%s", so, marks, out), "-out", filepath.Join(dir, "vm"),
		"--", "bench", "-only", "copies"); err != nil {
		return nil, nil, err
	}
	if err := read(filepath.Join(dir, "vm/out/sections"), func(line string) error {
		s, err := parseSection(line)
		sections = append(sections, s)
		return err
	}); err != nil {
		return nil, nil, err
	}
	stored = make(map[int][]float64)
	err = read(out, func(line string) error {
		var index int
		var bytes float64
		_, err := fmt.Sscan(line, &index, &bytes)
		stored[index] = append(stored[index], bytes)
		return err
	})
	return sections, stored, err
}

// read calls f for each line of a file.
func read(path string, f func(line string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if err := f(lines.Text()); err != nil {
			return fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
	}
	return lines.Err()
}

func write(path string, sections []section, stored map[int][]float64) error {
	all, err := copies(sections, stored)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return cmp.Or(encode(f, all), f.Close())
}

func encode(w io.Writer, all []figure) error {
	e := json.NewEncoder(w)
	for _, f := range all {
		if err := e.Encode(f); err != nil {
			return err
		}
	}
	return nil
}
