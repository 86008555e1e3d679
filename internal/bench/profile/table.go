// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// writeTables tells the instructions of one packet: by what they belong to, by the functions that have
// the most of them, and all functions of mytun.
func writeTables(w io.Writer, p *profiled, packets float64, unit string, top int) error {
	var b bytes.Buffer
	all := float64(p.root.total)
	var sums [parts]uint64
	for sym, u := range p.usage {
		sums[sym.part] += u.self
	}
	fmt.Fprintf(&b, "\nguest instructions per %s, of %.0f of them\n", unit, packets)
	for part, sum := range sums {
		if sum > 0 {
			fmt.Fprintf(&b, "%8.1f  %5.1f %%  %s\n", float64(sum)/packets, 100*float64(sum)/all, partNames[part])
		}
	}
	fmt.Fprintf(&b, "%8.1f  %5.1f %%  all\n", all/packets, 100.0)

	var own, some []*symbol
	for _, sym := range slices.SortedFunc(maps.Keys(p.usage), func(a, b *symbol) int {
		return cmp.Or(cmp.Compare(p.usage[b].self, p.usage[a].self), strings.Compare(a.name, b.name), cmp.Compare(a.addr, b.addr))
	}) {
		if len(some) < top {
			some = append(some, sym)
		}
		if sym.part == partModule || sym.part == partPackage {
			own = append(own, sym)
		}
	}
	for _, t := range []struct {
		title     string
		functions []*symbol
	}{{"the most", some}, {"mytun's own", own}} {
		fmt.Fprintf(&b, "\n%8s  %7s  %8s  %7s  %s\n", "self", "share", "with all", "calls", "function: "+t.title)
		for _, sym := range t.functions {
			u := p.usage[sym]
			fmt.Fprintf(&b, "%8.1f  %5.1f %%  %8.1f  %7.3f  %s\n", float64(u.self)/packets, 100*float64(u.self)/all,
				float64(u.total)/packets, float64(u.calls)/packets, sym.name)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
