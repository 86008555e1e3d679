// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	got, err := readLines(strings.NewReader(`ok a
building things
not ok b: it broke: badly
# first
# second
skip c: no such kernel
# a remark on nothing
not ok d
missing kernel 4.4: no package
`))
	want := []result{
		{name: "a"},
		{name: "b", status: failed, why: "it broke: badly", output: "first\nsecond\n"},
		{name: "c", status: skipped, why: "no such kernel"},
		{name: "d", status: failed, why: "no reason given"},
		{name: "kernel 4.4", status: missing, why: "no package"},
	}
	check(t, got, want, err)
}

func TestGo(t *testing.T) {
	for _, tt := range []struct {
		name, events string
		want         []result
	}{
		{"leaves count, parents do not", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestA/x"}
			{"Action":"run","Package":"p","Test":"TestA/x/y"}
			{"Action":"pass","Package":"p","Test":"TestA/x/y"}
			{"Action":"pass","Package":"p","Test":"TestA/x"}
			{"Action":"pass","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestAB"}
			{"Action":"pass","Package":"p","Test":"TestAB"}
			{"Action":"pass","Package":"p"}`,
			[]result{{name: "p TestA/x/y"}, {name: "p TestAB"}}},
		{"a failed leaf counts once", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestA/x"}
			{"Action":"fail","Package":"p","Test":"TestA/x"}
			{"Action":"fail","Package":"p","Test":"TestA"}
			{"Action":"fail","Package":"p"}`,
			[]result{{name: "p TestA/x", status: failed, why: "failed"}}},
		{"a parent that fails by itself counts", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"p","Test":"TestA/x"}
			{"Action":"fail","Package":"p","Test":"TestA"}
			{"Action":"fail","Package":"p"}`,
			[]result{{name: "p TestA", status: failed, why: "failed"}, {name: "p TestA/x"}}},
		{"a slash in a subtest's own name makes no test", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestA/x/y"}
			{"Action":"pass","Package":"p","Test":"TestA/x/y"}
			{"Action":"pass","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"p"}`,
			[]result{{name: "p TestA/x/y"}}},
		{"a test that never ended failed", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestB"}`,
			[]result{{name: "p TestA"}, {name: "p TestB", status: failed, why: "did not come to its end"}}},
		{"a package that does not build counts once", `
			{"ImportPath":"p [p.test]","Action":"build-output","Output":"x.go:1: bad\n"}
			{"ImportPath":"p [p.test]","Action":"build-fail"}
			{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
			{"Action":"fail","Package":"p"}`,
			[]result{{name: "p", status: failed, why: "the package failed outside of its tests",
				output: "x.go:1: bad\nFAIL\tp [build failed]\n"}}},
		{"skips have reasons, empty packages are none", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
			{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: needs the module\n"}
			{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
			{"Action":"skip","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"p"}
			{"Action":"skip","Package":"q"}`,
			[]result{{name: "p TestA", status: skipped, why: "needs the module"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readGo(strings.NewReader(tt.events))
			for i := range got {
				if got[i].status == skipped {
					got[i].output = ""
				}
			}
			check(t, got, tt.want, err)
		})
	}
}

func TestGoWithoutEvents(t *testing.T) {
	if _, err := readGo(strings.NewReader("go: no such module\n")); err == nil {
		t.Error("a stream without events passed")
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	ok := report(&out, []result{
		{name: "a"}, {name: "b"},
		{name: "c", status: failed, why: "w", output: "o\n"},
		{name: "d", status: skipped, why: "r"}, {name: "e", status: skipped, why: "r"},
	}, "DIR")
	want := "FAILED c: w\n    o\nskipped, r:\n    d\n    e\neverything that was printed is in DIR\n2 passed, 1 failed, 2 skipped\n"
	if ok || out.String() != want {
		t.Errorf("report = %v\n%s\nwant false\n%s", ok, &out, want)
	}
	out.Reset()
	ok = report(&out, []result{{name: "a"}, {name: "k", status: missing, why: "w"}}, "DIR")
	want = "MISSING k: w\n1 MISSING, and so not tested\n1 passed, 0 failed, 0 skipped\n"
	if !ok || out.String() != want {
		t.Errorf("report = %v\n%s\nwant true\n%s", ok, &out, want)
	}
	if report(&out, nil, "") {
		t.Error("no test at all is reported as success")
	}
}

func check(t *testing.T, got, want []result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d results, want %d:\n%+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("result %d = %+v\nwant %+v", i, got[i], want[i])
		}
	}
}
