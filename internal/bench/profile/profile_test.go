// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const testKallsyms = `ffffffff81000000 T startup
ffffffff81000100 t handler
ffffffff81000200 T __alias
ffffffff81000200 T alias
ffffffff81000300 d data
ffffffff81000400 T asm_sysvec_timer
ffffffff81000500 W last
ffffffffc0000000 t xmit	[mytun]
ffffffffc0000100 t send	[tun]
`

// The kernel's symbols, and before them a program: main.work at 0x1000, that calls sys at 0x2000.
func testSymbols(t *testing.T) symbols {
	t.Helper()
	kernel, err := parseKallsyms(strings.NewReader(testKallsyms))
	if err != nil {
		t.Fatal(err)
	}
	return append(symbols{
		{0x1000, 0x1100, "main.work", partBench},
		{0x2000, 0x2100, "github.com/mytun/mytun.sys", partPackage},
	}, kernel...)
}

func (s symbols) named(name string) *symbol {
	i := slices.IndexFunc(s, func(sym *symbol) bool { return sym.name == name })
	if i < 0 {
		return nil
	}
	return s[i]
}

func TestSymbols(t *testing.T) {
	syms := testSymbols(t)
	for _, c := range []struct {
		addr uint64
		name string
		part part
	}{
		{0xfff, "[unknown]", partOther},
		{0x1000, "main.work", partBench},
		{0x10ff, "main.work", partBench},
		{0x1100, "[unknown]", partOther},
		{0xffffffff81000001, "startup", partKernel},
		{0xffffffff81000200, "alias", partKernel},
		{0xffffffff81000300, "alias", partKernel}, // data is no function
		{0xffffffffc00000ff, "xmit [mytun]", partModule},
		{0xffffffffc0000100, "send [tun]", partKernel},
	} {
		if got := syms.at(c.addr); got.name != c.name || got.part != c.part {
			t.Errorf("%#x: %s of %s, want %s of %s", c.addr, got.name, partNames[got.part], c.name, partNames[c.part])
		}
	}
	if sym := syms.named("main.work"); sym == nil || sym.addr != 0x1000 {
		t.Errorf("main.work: %+v", sym)
	}
	if sym := syms.named("main.play"); sym != nil {
		t.Errorf("main.play: %+v", sym)
	}
}

func TestKallsymsOfAnotherForm(t *testing.T) {
	if _, err := parseKallsyms(strings.NewReader("not one symbol\n")); err == nil {
		t.Error("no error")
	}
}

// main.work calls sys, which enters the kernel: startup calls xmit, which is interrupted, and calls itself.
const testCounts = `context 0 1 1011
context 1 2 2011
context 2 3 ffffffff81000011
context 3 4 ffffffff81000411
context 3 5 ffffffffc0000011
count 0 1000 2 20
count 1 2000 2 6
count 2 ffffffff81000000 2 10
count 3 ffffffffc0000000 2 30
count 3 ffffffffc0000020 2 4
count 4 ffffffff81000100 1 1000
count 5 ffffffffc0000000 1 5
count 0 5000 1 1000
`

// none is no function.
var none = regexp.MustCompile(`^$`)

func testProfile(t *testing.T) (symbols, *profiled) {
	t.Helper()
	c, err := parseCounts(strings.NewReader(testCounts))
	if err != nil {
		t.Fatal(err)
	}
	syms := testSymbols(t)
	p, err := c.within(syms, regexp.MustCompile(`^main\.work$`), none)
	if err != nil {
		t.Fatal(err)
	}
	return syms, p
}

func TestUsageWithinTheMeasuredFunction(t *testing.T) {
	syms, p := testProfile(t)
	want := map[string]usage{
		"main.work":                  {20, 75, 2},
		"github.com/mytun/mytun.sys": {6, 55, 2},
		"startup":                    {10, 49, 2},
		"xmit [mytun]":               {39, 39, 3},
	}
	for name, want := range want {
		if got := p.usage[syms.named(name)]; got == nil || *got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if len(p.usage) != len(want) {
		t.Errorf("%d functions, want %d", len(p.usage), len(want))
	}
	if n := p.calls(regexp.MustCompile("xmit")); n != 3 {
		t.Errorf("%v calls, want 3", n)
	}
}

// What is left out is left out with what it called, and with nothing else.
func TestLeftOut(t *testing.T) {
	c, err := parseCounts(strings.NewReader(testCounts))
	if err != nil {
		t.Fatal(err)
	}
	syms := testSymbols(t)
	p, err := c.within(syms, regexp.MustCompile(`^main\.work$`), regexp.MustCompile(`^startup$`))
	if err != nil {
		t.Fatal(err)
	}
	if u := p.usage[syms.named("main.work")]; u.self != 20 || u.total != 26 {
		t.Errorf("main.work: %+v", *u)
	}
	if u := p.usage[syms.named("startup")]; u != nil {
		t.Errorf("startup: %+v", *u)
	}
}

func TestCalls(t *testing.T) {
	_, p := testProfile(t)
	f := p.root
	for _, want := range []struct {
		name        string
		self, total uint64
	}{
		{"main.work", 20, 75}, {"github.com/mytun/mytun.sys", 6, 55}, {"startup", 10, 49}, {"xmit [mytun]", 34, 39}, {"xmit [mytun]", 5, 5},
	} {
		if len(f.callees) != 1 {
			t.Fatalf("%d functions called, want %s alone", len(f.callees), want.name)
		}
		for _, f = range f.callees {
			if f.sym.name != want.name || f.self != want.self || f.total != want.total {
				t.Errorf("%s: %d, %d; want %+v", f.sym.name, f.self, f.total, want)
			}
		}
	}
}

func TestFunctionThatHasNotRun(t *testing.T) {
	c := &counts{blocks: []block{{0, 0x2000, 1, 1}}}
	if _, err := c.within(testSymbols(t), regexp.MustCompile(`^main\.work$`), none); err == nil {
		t.Error("no error")
	}
}

func TestCountsOfAnotherForm(t *testing.T) {
	if _, err := parseCounts(strings.NewReader("count 1 2\n")); err == nil {
		t.Error("no error")
	}
}

func TestTables(t *testing.T) {
	_, p := testProfile(t)
	var b strings.Builder
	if err := writeTables(&b, p, 2, "packet", 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"    37.5  100.0 %  all\n",
		"    19.5   52.0 %  mytun's module\n",
		"    19.5   52.0 %      19.5    1.500  xmit [mytun]\n",
		"     3.0    8.0 %      27.5    1.000  github.com/mytun/mytun.sys\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "startup") {
		t.Errorf("more than the first function:\n%s", b.String())
	}
}

func TestFlame(t *testing.T) {
	_, p := testProfile(t)
	p.root.callee(&symbol{name: "<autogenerated> & more"}).total = 25
	p.root.total += 25
	var b, again bytes.Buffer
	for _, b := range []*bytes.Buffer{&b, &again} {
		if err := writeFlame(b, p.root, 2, "a <title>"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("differs from time to time")
	}
	for _, want := range []string{
		"<title>main.work: 37.5 per packet, 75.0 %; 10.0 its own</title>",
		"<title>&lt;autogenerated&gt; &amp; more: 12.5 per packet, 25.0 %; 0.0 its own</title>",
		"a &lt;title&gt;",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	for d := xml.NewDecoder(&b); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		name    string
		letters int
		want    string
	}{
		{"short", 5, "short"},
		{"kmem_cache_alloc", 6, "kmem.."},
		{"github.com/mytun/mytun.(*rxRing).lease", 40, "github.com/mytun/mytun.(*rxRing).lease"},
		{"github.com/mytun/mytun.(*rxRing).lease", 22, "mytun.(*rxRing).lease"},
		{"github.com/mytun/mytun.(*rxRing).lease", 10, "mytun.(*.."},
	} {
		if got := shorten(c.name, c.letters); got != c.want {
			t.Errorf("%s in %d: %q, want %q", c.name, c.letters, got, c.want)
		}
	}
}
