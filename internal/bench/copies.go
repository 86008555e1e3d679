// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"log"
	"os"
)

// How often a packet is copied on its way no program can count. So this work runs in a machine that does: the plugin
// plugin/src/stores.c counts the bytes that are stored in each of its sections, and the command copies makes
// figures of them.

// marks begins a section where it is written to; see the plugin.
var marks [256]byte

// sectionsFile has a line for each index: the index, the direction, the peer, the bytes of payload of a packet,
// and how many packets a section has; with tabs between them.
const sectionsFile = "/out/sections"

// mark begins a section; section 0 is none.
//
//go:noinline
func mark(index int) { marks[index] = 1 }

// copyMixes differ in nothing but their size, which is not so small that somebody would copy it in another way.
var copyMixes = []mix{{"256 B", []int{256}}, {"1280 B", []int{1280}}}

func copyWorks() {
	f, err := os.Create(sectionsFile)
	if err != nil {
		log.Fatal(err)
	}
	index := 0
	count := func(work, peer string, open func(m mix) way) {
		for _, m := range copyMixes {
			w := open(m)
			for range warmup {
				w.counted()
				w.rest()
			}
			index++
			for range rounds {
				mark(index)
				w.counted()
				mark(0)
				w.rest()
			}
			w.close()
			if _, err := fmt.Fprintf(f, "%d\t%s\t%s\t%d\t%d\n", index, work, peer, m.size(0), w.packets); err != nil {
				log.Fatal(err)
			}
		}
	}
	// The sender's own, which is no part of what is told.
	count("stack to program", "", func(m mix) way { return toNull(m, batch) })
	for _, p := range peers {
		count("stack to program", p.name, func(m mix) way { return toProgram(p, m, batch) })
	}
	for _, p := range peers {
		count("program to stack", p.name, func(m mix) way { return toStack(p, m, batch) })
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}
