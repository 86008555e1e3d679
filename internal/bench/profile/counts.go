// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// counts is what the plugin has written.
type counts struct {
	contexts map[uint64]context
	blocks   []block
}

// context is a call that has not returned; 0 is none.
type context struct{ caller, ret uint64 }

// block is code that ran in a context.
type block struct{ context, addr, runs, instructions uint64 }

func readCounts(file string) (*counts, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseCounts(f)
}

func parseCounts(r io.Reader) (*counts, error) {
	c := &counts{contexts: make(map[uint64]context)}
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return c, lines.Err()
		}
		var id uint64
		var x context
		var b block
		line := lines.Text()
		if _, err := fmt.Sscanf(line, "context %d %d %x", &x.caller, &id, &x.ret); err == nil {
			c.contexts[id] = x
		} else if _, err := fmt.Sscanf(line, "count %d %x %d %d", &b.context, &b.addr, &b.runs, &b.instructions); err == nil {
			c.blocks = append(c.blocks, b)
		} else {
			return nil, fmt.Errorf("counts: %q: %w", line, err)
		}
	}
}

// stack is the functions that have not returned, from the innermost on, when code at addr runs. It ends
// at an interrupt, which nobody has called.
func (c *counts) stack(syms symbols, addr, id uint64, frames []*symbol) []*symbol {
	frames = append(frames[:0], syms.at(addr))
	for id != 0 && !isInterrupt(frames[len(frames)-1].name) {
		x := c.contexts[id]
		// The call is before its return address, which may be another function's.
		frames = append(frames, syms.at(x.ret-1))
		id = x.caller
	}
	return frames
}

// isInterrupt tells the kernel's entries of interrupts from those of exceptions, which are the doing of
// the code that they interrupt.
func isInterrupt(name string) bool {
	return strings.HasPrefix(name, "asm_sysvec_") || name == "asm_common_interrupt" || name == "asm_exc_nmi"
}

// frame is a function in the flame graph, called as it is there.
type frame struct {
	sym         *symbol
	self, total uint64 // instructions
	callees     map[*symbol]*frame
}

func (f *frame) callee(sym *symbol) *frame {
	if f.callees[sym] == nil {
		if f.callees == nil {
			f.callees = make(map[*symbol]*frame)
		}
		f.callees[sym] = &frame{sym: sym}
	}
	return f.callees[sym]
}

// usage is what a function cost, by whomever it was called.
type usage struct {
	self, total uint64 // instructions; total is with those of the functions that it called
	calls       uint64 // or jumps to its beginning
}

// profiled is what was counted within a function.
type profiled struct {
	root  *frame // of no function
	usage map[*symbol]*usage
}

// within leaves what ran in the function, or was called by it, and not by the other one.
func (c *counts) within(syms symbols, function, not *regexp.Regexp) (*profiled, error) {
	p := &profiled{root: new(frame), usage: make(map[*symbol]*usage)}
	chosen, left := make(map[*symbol]bool), make(map[*symbol]bool)
	for _, sym := range syms {
		chosen[sym] = function.MatchString(sym.name)
		left[sym] = not.MatchString(sym.name)
	}
	var frames []*symbol
	for _, b := range c.blocks {
		frames = c.stack(syms, b.addr, b.context, frames)
		if slices.ContainsFunc(frames, func(sym *symbol) bool { return left[sym] }) {
			continue
		}
		outermost := len(frames) - 1
		for outermost >= 0 && !chosen[frames[outermost]] {
			outermost--
		}
		if outermost >= 0 {
			p.add(frames[:outermost+1], b)
		}
	}
	if p.root.total == 0 {
		return nil, fmt.Errorf("%v has not run", function)
	}
	return p, nil
}

func (p *profiled) add(stack []*symbol, b block) {
	at := p.root
	at.total += b.instructions
	seen := make(map[*symbol]bool, len(stack))
	for i := len(stack) - 1; i >= 0; i-- {
		sym := stack[i]
		at = at.callee(sym)
		at.total += b.instructions
		if p.usage[sym] == nil {
			p.usage[sym] = new(usage)
		}
		if !seen[sym] { // it may call itself
			p.usage[sym].total += b.instructions
			seen[sym] = true
		}
	}
	at.self += b.instructions
	u := p.usage[stack[0]]
	u.self += b.instructions
	if b.addr == stack[0].addr {
		u.calls += b.runs
	}
}

// calls is how often these functions were called.
func (p *profiled) calls(functions *regexp.Regexp) (n float64) {
	for sym, u := range p.usage {
		if functions.MatchString(sym.name) {
			n += float64(u.calls)
		}
	}
	return n
}
