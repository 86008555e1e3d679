// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"cmp"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
)

// part is what a function belongs to.
type part int

const (
	partModule  part = iota // mytun's module
	partPackage             // mytun's Go package
	partKernel
	partBench // the benchmark itself
	partVPN   // example/vpn
	partGo    // the rest of these programs
	partOther // other programs
	parts
)

var partNames = [parts]string{"mytun's module", "mytun's Go package", "kernel", "benchmark", "example/vpn", "Go runtime and packages", "other programs"}

// symbol is a function.
type symbol struct {
	addr, end uint64
	name      string
	part      part
}

// symbols are sorted by their addresses: the programs', and after them the kernel's.
type symbols []*symbol

// unknown is where no symbol is: a C library, for one.
var unknown = &symbol{name: "[unknown]", part: partOther}

func (s symbols) at(addr uint64) *symbol {
	i := sort.Search(len(s), func(i int) bool { return s[i].addr > addr }) - 1
	if i < 0 || addr >= s[i].end {
		return unknown
	}
	return s[i]
}

// tidy sorts them, and leaves one for each address: the first by name of those that begin with the
// fewest underscores. One without an end ends where the next begins.
func (s symbols) tidy() symbols {
	underscores := func(sym *symbol) int { return len(sym.name) - len(strings.TrimLeft(sym.name, "_")) }
	slices.SortFunc(s, func(a, b *symbol) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(underscores(a), underscores(b)), strings.Compare(a.name, b.name))
	})
	s = slices.CompactFunc(s, func(a, b *symbol) bool { return a.addr == b.addr })
	for i, sym := range s {
		if sym.end == 0 {
			sym.end = ^uint64(0)
			if i+1 < len(s) {
				sym.end = s[i+1].addr
			}
		}
	}
	return s
}

// programSymbols is the functions of a Go program; prefix comes before their names.
func programSymbols(file, prefix string) (symbols, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var s symbols
	for _, sym := range all {
		if elf.ST_TYPE(sym.Info) == elf.STT_FUNC && sym.Value != 0 && sym.Size != 0 {
			s = append(s, &symbol{sym.Value, sym.Value + sym.Size, prefix + sym.Name, partOfProgram(prefix + sym.Name)})
		}
	}
	return s.tidy(), nil
}

func partOfProgram(name string) part {
	switch {
	case strings.HasPrefix(strings.TrimPrefix(name, "vpn "), "github.com/mytun/mytun"):
		return partPackage
	case strings.HasPrefix(name, "vpn main."):
		return partVPN
	case strings.HasPrefix(name, "main."):
		return partBench
	}
	return partGo
}

func kernelSymbols(file string) (symbols, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseKallsyms(f)
}

// parseKallsyms reads lines of "ADDRESS TYPE NAME", with the module's name in brackets behind it.
func parseKallsyms(r io.Reader) (symbols, error) {
	var s symbols
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return s.tidy(), lines.Err()
		}
		var addr uint64
		var kind, name, module string
		if n, err := fmt.Sscanf(lines.Text(), "%x %s %s %s", &addr, &kind, &name, &module); n < 3 {
			return nil, fmt.Errorf("kallsyms: %q: %w", lines.Text(), err)
		}
		if !strings.Contains("tTwW", kind) {
			continue
		}
		sym := &symbol{addr: addr, name: name, part: partKernel}
		if module != "" {
			sym.name += " " + module
		}
		if module == "[mytun]" {
			sym.part = partModule
		}
		s = append(s, sym)
	}
}
