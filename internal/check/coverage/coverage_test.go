// SPDX-License-Identifier: MIT

package main

import (
	"reflect"
	"strings"
	"testing"
)

const sample = `int one(void)
{
	if (never())
		return -1;
#ifdef OLD
	/* What was. */
	old();
	older();
#endif
	return 0;
}
`

func sampleReport(t *testing.T, hit map[int]uint64, text string) *report {
	t.Helper()
	all, err := parseExplanations(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compare(map[string]*source{"a.c": newSource("a.c", sample)}, counts{"a.c": hit}, all)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryLineIsReachedOrExplained(t *testing.T) {
	missed := map[int]uint64{1: 1, 3: 1, 4: 0, 10: 1}
	reached := map[int]uint64{1: 1, 3: 1, 4: 1, 10: 1}
	const why = "It never is.\n\ta.c: one: return -1;\n"
	for _, test := range []struct {
		name, text string
		hit        map[int]uint64
		good       bool
	}{
		{"all reached", "", reached, true},
		{"not explained", "", missed, false},
		{"explained", why, missed, true},
		{"explained though reached", why, reached, false},
		{"explained and not there", why + "\ta.c: one: return -2;\n", missed, false},
		{"explained twice and there once", why + "\ta.c: one: return -1;\n", missed, false},
		{"explained in another function", "Why.\n\ta.c: two: return -1;\n", missed, false},
	} {
		r := sampleReport(t, test.hit, test.text)
		var text strings.Builder
		r.print(&text, "unreached.txt")
		if r.good() != test.good {
			t.Errorf("%s: good is %v\n%s", test.name, r.good(), &text)
		}
		if alarm := strings.Contains(text.String(), "NOT EXPLAINED") || strings.Contains(text.String(), "WRONG"); alarm == test.good {
			t.Errorf("%s: the report does not say so\n%s", test.name, &text)
		}
	}
}

func TestWhatThePreprocessorLeavesOut(t *testing.T) {
	r := sampleReport(t, map[int]uint64{1: 1, 3: 1, 4: 1, 10: 1}, "")
	if got, want := r.files[0].leftOut, []lineRange{{7, 8, 2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("left out: %v, not %v", got, want)
	}
	// Of another kernel's build.
	r = sampleReport(t, map[int]uint64{1: 1, 3: 1, 4: 1, 7: 1, 8: 1, 10: 1}, "")
	if got := r.files[0].leftOut; len(got) > 0 {
		t.Errorf("left out: %v", got)
	}
}

func TestFunctionsAreKnownByTheirNames(t *testing.T) {
	for text, want := range map[string]string{
		"int one(void)":                         "one",
		"__be16 two(const struct sk_buff *skb)": "two",
		"static u8 *three(void)":                "three",
		"DECLARE_EVENT_CLASS(four,":             "DECLARE_EVENT_CLASS",
		"#define FIVE(x)":                       "",
	} {
		s := newSource("a.c", text+"\n{\n\tbody();\n}\n")
		if got := s.functions[2]; got != want {
			t.Errorf("%s: %q, not %q", text, got, want)
		}
	}
}

func TestCountsOfSeveralBuildsAddUp(t *testing.T) {
	c := counts{}
	c.add(makeNote("/x/kmod/a.c", 1, 0, 2, 5))
	c.add(makeNote("/y/kmod/a.c", 1, 3, 4, 0))
	c.add(makeNote("/usr/include/linux/list.h", 1, 1))
	want := counts{"a.c": {1: 3, 2: 5, 4: 0}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%v, not %v", c, want)
	}
}

// makeNote makes what gcov says of a file from pairs of a line's number and its count.
func makeNote(file string, pairs ...int) note {
	f := noteFile{File: file}
	for i := 0; i < len(pairs); i += 2 {
		f.Lines = append(f.Lines, noteLine{pairs[i], uint64(pairs[i+1])})
	}
	return note{[]noteFile{f}}
}

func TestExplanationsThatAreNone(t *testing.T) {
	for _, text := range []string{
		"Why.\n",
		"\ta.c: one: return -1;\n",
		"Why.\n\ta.c: return -1;\n",
		"Why.\n\ta.c: one: x;\nAnd why.\n",
	} {
		if _, err := parseExplanations(text); err == nil {
			t.Errorf("taken: %q", text)
		}
	}
}
