// SPDX-License-Identifier: MIT

package main

import (
	"reflect"
	"testing"
)

func TestCopies(t *testing.T) {
	sections := []section{
		{1, "in", "", 100, 10}, {2, "in", "", 300, 10},
		{3, "in", "a", 100, 10}, {4, "in", "a", 300, 20},
		{5, "out", "a", 100, 10}, {6, "out", "a", 300, 10},
	}
	// 50 bytes a packet of something else; the sender copies once.
	stored := map[int][]float64{1: {1500}, 2: {3500}, 3: {9999, 3500, 3500}, 4: {20 * 950}, 5: {1500}, 6: {3500}}
	got, err := copies(sections, stored)
	want := []figure{
		{"copies", "copies of each byte", "in", "a", 2},
		{"copies", "copies of each byte", "out", "a", 1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	delete(stored, 6)
	for name, s := range map[string][]section{
		"not seen":    sections,
		"half a pair": sections[:3],
		"no pair":     {sections[0], sections[3]},
		"no peer":     sections[:2],
		"none":        nil,
	} {
		if got, err := copies(s, stored); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestParseSection(t *testing.T) {
	got, err := parseSection("7\tstack to program\tstock, as from C\t256\t1600")
	if want := (section{7, "stack to program", "stock, as from C", 256, 1600}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, line := range []string{"", "7\ta\tb\t256", "x\ta\tb\t256\t1", "7\ta\tb\t\t1", "7\ta\tb\t256\t0"} {
		if got, err := parseSection(line); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
}
