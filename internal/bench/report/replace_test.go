// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"
)

func twoWorks(t *testing.T) []*table {
	t.Helper()
	all, err := tables([]figure{
		{key{Peer: "mytun", Work: "a", Column: "c", Unit: "u"}, 1},
		{key{Peer: "mytun", Work: "b", Column: "c", Unit: "u"}, 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const (
	tableA = "### a\n\n| u     |    c |\n|-------|-----:|\n| mytun | 1.00 |\n"
	tableB = "### b\n\n| u     |    c |\n|-------|-----:|\n| mytun | 2.00 |\n"
)

func TestReplacesBetweenMarks(t *testing.T) {
	all := twoWorks(t)
	for _, tt := range []struct{ name, mark, want string }{
		{"all", "<!-- figures -->", tableA + "\n" + tableB},
		{"one", "<!-- figures: b -->", tableB},
		{"some in another order", "<!-- figures: b; a -->", tableB + "\n" + tableA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := replaced("before\n"+tt.mark+"\nold\n"+endMark+"\nafter", all)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got, "before\n"+tt.mark+"\n\n"+tt.want+"\n"+endMark+"\nafter")
			again, err := replaced(got, all)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, again, got)
		})
	}
}

func TestReplacesWithSomeColumns(t *testing.T) {
	var figures []figure
	for _, at := range []cell{{"mytun", "c"}, {"mytun", "d"}, {"stock", "c"}, {"stock", "d"}, {"veth", "c"}} {
		figures = append(figures, figure{key{Peer: at.peer, Work: "a", Column: at.column, Unit: "u"}, 1})
	}
	all, err := tables(figures)
	if err != nil {
		t.Fatal(err)
	}
	got, err := replaced("<!-- figures: a [d] -->\n"+endMark+"\n", all)
	if err != nil {
		t.Fatal(err)
	}
	const want = "### a\n\n| u     |    d |\n|-------|-----:|\n| mytun | 1.00 |\n| stock | 1.00 |\n"
	equal(t, got, "<!-- figures: a [d] -->\n\n"+want+"\n"+endMark+"\n")
	_, err = replaced("<!-- figures: a [e] -->\n"+endMark+"\n", all)
	fails(t, err, "no column")
}

func TestReplacesAtSeveralPlaces(t *testing.T) {
	const a, b = "<!-- figures: a -->\n", "<!-- figures: b -->\n"
	got, err := replaced(a+"x\n"+endMark+"\nbetween\n"+b+"y\n"+endMark+"\n", twoWorks(t))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, a+"\n"+tableA+"\n"+endMark+"\nbetween\n"+b+"\n"+tableB+"\n"+endMark+"\n")
}

func TestMarksThatAreWrong(t *testing.T) {
	const begin = "<!-- figures -->"
	for _, tt := range []struct{ text, words string }{
		{"no marks\n", "no place for tables"},
		{begin + "\n", "no " + endMark},
		{endMark + "\n", "without a beginning"},
		{begin + "\n" + begin + "\n" + endMark + "\n", "was expected"},
		{"<!-- figures: c -->\n" + endMark + "\n", `"c" has not been measured`},
		{"<!-- figures of a -->\n" + endMark + "\n", "is neither"},
		{"<!-- figures: a\n" + endMark + "\n", "is neither"},
	} {
		path := write(t, "doc.md", tt.text)
		fails(t, replaceTables(path, twoWorks(t)), tt.words)
		if got := read(t, path); got != tt.text {
			t.Errorf("after the error %q the file is\n%s", tt.words, got)
		}
	}
	if !strings.HasPrefix(begin, beginMark) {
		t.Error("the tests know another mark")
	}
}
