// SPDX-License-Identifier: MIT

package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestSplitSections(t *testing.T) {
	got := splitSections(`booting
@@ begin go mytun
=== RUN   TestA
@@ end 1
between
@@ begin lines module
ok a
not ok b`)
	want := []section{
		{kind: "go", name: "mytun", text: "=== RUN   TestA\n", status: "1"},
		{kind: "lines", name: "module", text: "ok a\nnot ok b"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestReporterLines(t *testing.T) {
	for _, tt := range []struct {
		name    string
		section section
		failure string // the one that is added, if any
	}{
		{"well", section{name: "s", text: "ok a\n", status: "0"}, ""},
		{"told its failure", section{name: "s", text: "ok a\nnot ok b: w\n", status: "1"}, ""},
		{"failed without a word", section{name: "s", text: "ok a\n", status: "3"}, "not ok s: exit status 3"},
		{"machine died", section{name: "s", text: "ok a\nnot ok b: w\n"}, "not ok s: the machine ended in the middle of it"},
		{"nothing in this share", section{name: "s", text: "# none of the tests is in this share\n", status: "0"}, ""},
		{"no test at all", section{name: "s", text: "hello\n", status: "0"}, "not ok s: it reported no test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.section.reporterLines()
			if tt.failure == "" && got != tt.section.text {
				t.Errorf("got %q, want %q", got, tt.section.text)
			}
			if !strings.Contains(got, tt.failure) {
				t.Errorf("got %q, which lacks %q", got, tt.failure)
			}
		})
	}
}

func TestNeverRan(t *testing.T) {
	ran := []string{"abi", "load"}
	for pattern, want := range map[string]string{"^(abi|load)$": "", "^(abi|laod|gone)$": "laod gone", "^abi$": "", "": ""} {
		if got := strings.Join(neverRan(pattern, ran), " "); got != want {
			t.Errorf("neverRan(%q) = %q, want %q", pattern, got, want)
		}
	}
	if got := neverRan("^abi$", nil); len(got) != 1 {
		t.Errorf("nothing ran, and neverRan = %q", got)
	}
}

func TestNeverMatched(t *testing.T) {
	names := []string{"stress/no_doorbell_is_lost", "life/detach_wakes_read"}
	words := []string{"-t", "^stress/", "detach", "^detach", "doorbel_is"}
	if got := strings.Join(neverMatched(words, names), " "); got != "^detach doorbel_is" {
		t.Errorf("neverMatched = %q", got)
	}
}
