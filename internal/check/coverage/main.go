// SPDX-License-Identifier: MIT

// Command coverage tells which lines of the module the tests reach. Its arguments are directories of
// results, in which it looks for the directories "gcov" that machines with `vm -gcov` brought back; a
// line is reached if it was in any of them. It prints a table of the files, and each line that was not
// reached.
//
// Each of those must stand in a file of explanations, with the reason why no test reaches it. The
// command fails when one does not, and just as well when a line is explained that is reached, or that
// is no longer there.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	kmod := flag.String("kmod", "kmod", "`DIR` of the module's source, as it was when the machines ran")
	unreached := flag.String("unreached", "internal/check/coverage/unreached.txt", "`FILE` of explanations")
	flag.Parse()
	good, err := run(os.Stdout, *kmod, *unreached, flag.Args())
	if err != nil {
		fmt.Fprintf(os.Stderr, "coverage: %v\n", err)
	}
	if !good || err != nil {
		os.Exit(1)
	}
}

func run(w io.Writer, kmod, unreached string, results []string) (bool, error) {
	counts, err := readCounts(results)
	if err != nil {
		return false, err
	}
	sources, err := readSources(kmod)
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(unreached)
	if err != nil {
		return false, err
	}
	all, err := parseExplanations(string(text))
	if err != nil {
		return false, fmt.Errorf("%s: %w", unreached, err)
	}
	r, err := compare(sources, counts, all)
	if err != nil {
		return false, err
	}
	r.print(w, unreached)
	return r.good(), nil
}

// A report is what came of comparing the counts with the source and the explanations.
type report struct {
	files []fileReport
	stale []string // explanations of what is reached, or is not there
}

type fileReport struct {
	name            string
	lines, reached  int
	missed          []missedLine
	leftOut         []lineRange // by the preprocessor, in each of the builds
	explainedMisses int
}

type missedLine struct {
	line
	number int
	reason string // none: not explained
}

func compare(sources map[string]*source, counts counts, all explanations) (*report, error) {
	r := &report{}
	used := map[line]int{}
	for _, name := range sortedKeys(sources) {
		src, hit := sources[name], counts[name]
		if hit == nil && filepath.Ext(name) == ".c" && slices.Contains(src.body, true) {
			return nil, fmt.Errorf("no machine tells of %s: was the module built with -gcov?", name)
		}
		f := fileReport{name: name, lines: len(hit), leftOut: src.leftOut(hit)}
		for _, number := range sortedKeys(hit) {
			if number > len(src.lines) {
				return nil, fmt.Errorf("%s has no line %d: the source is not the one that ran", name, number)
			}
			if hit[number] > 0 {
				f.reached++
				continue
			}
			m := missedLine{line: src.line(number), number: number}
			if n := used[m.line]; n < len(all.reasons[m.line]) {
				m.reason = all.reasons[m.line][n]
				used[m.line]++
				f.explainedMisses++
			}
			f.missed = append(f.missed, m)
		}
		if f.lines > 0 || len(f.leftOut) > 0 {
			r.files = append(r.files, f)
		}
	}
	for _, l := range all.order {
		switch {
		case used[l] == len(all.reasons[l]):
		case sources[l.file] != nil && sources[l.file].has(l):
			r.stale = append(r.stale, l.String()+" (it is reached)")
		default:
			r.stale = append(r.stale, l.String()+" (it is not there)")
		}
	}
	return r, nil
}

func (r *report) good() bool {
	for _, f := range r.files {
		if len(f.missed) > f.explainedMisses {
			return false
		}
	}
	return len(r.stale) == 0
}

func (r *report) print(w io.Writer, unreached string) {
	r.printTable(w)
	fmt.Fprintln(w)
	r.printMissed(w)
	for _, f := range r.files {
		for _, l := range f.leftOut {
			fmt.Fprintf(w, "for other kernels: %s:%d-%d\n", f.name, l.first, l.last)
		}
	}
	for _, s := range r.stale {
		fmt.Fprintf(w, "WRONG in %s: %s\n", unreached, s)
	}
}

// printTable prints a table of the files, and their sum, as Markdown has them.
func (r *report) printTable(w io.Writer) {
	const columns = "|%-16s |%6s |%8s |%6s |%10s |%14s |%18s |\n"
	fmt.Fprintf(w, columns, " file", "lines", "reached", "%", "explained", "not explained", "for other kernels")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|")
	sum := fileReport{name: "all"}
	for _, f := range r.files {
		f.printRow(w, columns)
		sum.lines += f.lines
		sum.reached += f.reached
		sum.explainedMisses += f.explainedMisses
		sum.leftOut = append(sum.leftOut, f.leftOut...)
	}
	sum.printRow(w, columns)
}

func (f *fileReport) printRow(w io.Writer, columns string) {
	percent, others := "-", 0
	if f.lines > 0 {
		percent = fmt.Sprintf("%.1f", 100*float64(f.reached)/float64(f.lines))
	}
	for _, l := range f.leftOut {
		others += l.code
	}
	fmt.Fprintf(w, columns, " "+f.name, fmt.Sprint(f.lines), fmt.Sprint(f.reached), percent, fmt.Sprint(f.explainedMisses),
		fmt.Sprint(f.lines-f.reached-f.explainedMisses), fmt.Sprint(others))
}

// printMissed shows the lines that were not reached, those that nobody explains last.
func (r *report) printMissed(w io.Writer) {
	for _, explained := range []bool{true, false} {
		for _, f := range r.files {
			for _, m := range f.missed {
				if (m.reason != "") != explained {
					continue
				}
				verdict := "NOT EXPLAINED"
				if explained {
					verdict = m.reason
				}
				fmt.Fprintf(w, "unreached: %s:%d %s: %s\n\t%s\n", f.name, m.number, m.function, m.text, strings.ReplaceAll(verdict, "\n", " "))
			}
		}
	}
}
