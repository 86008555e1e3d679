// SPDX-License-Identifier: MIT

// Command report shows what the benchmark measured, and says whether mytun has become dearer.
//
//	report [-out DIR] [-markdown FILE] [-budget FILE [-lower]] FIGURES.jsonl
//
// It prints a table of each work. With -markdown these tables also replace what stands between
//
//	<!-- figures -->
//	<!-- end of figures -->
//
// in a file; the first of these lines may name some works, of which alone the tables stand there, in
// this order: <!-- figures: stack to program; program to stack -->. With -out it draws charts.
//
// With -budget it prints results of tests, in the format that internal/check/tally reads, instead of
// tables: what mytun costs must not be more than 2 % above the budget; where it is as much below, that
// is told, so that the budget can be lowered. Its exit status is 1 if something is above. With -lower
// it writes what was measured to the budget.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
)

type options struct {
	out, markdown, budget string
	lower                 bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("report: ")
	var o options
	flag.StringVar(&o.out, "out", "", "draw charts into `DIR`")
	flag.StringVar(&o.markdown, "markdown", "", "replace the tables in `FILE`")
	flag.StringVar(&o.budget, "budget", "", "compare with `FILE`")
	flag.BoolVar(&o.lower, "lower", false, "write what was measured to the budget's file instead")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: report [flags] FIGURES.jsonl")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	stdout := bufio.NewWriter(os.Stdout)
	good, err := run(stdout, o, flag.Arg(0))
	if flushed := stdout.Flush(); err == nil {
		err = flushed
	}
	if err != nil {
		log.Fatal(err)
	}
	if !good {
		os.Exit(1)
	}
}

// run does what was asked for, and says whether everything is within its budget.
func run(stdout io.Writer, o options, path string) (good bool, err error) {
	if o.lower && o.budget == "" {
		return false, errors.New("-lower needs -budget")
	}
	figures, err := readFigures(path)
	if err != nil {
		return false, err
	}
	if o.lower {
		figures = worst(figures)
	}
	all, err := tables(figures)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	if o.out != "" {
		if err := drawCharts(o.out, all); err != nil {
			return false, err
		}
	}
	if o.markdown != "" {
		if err := replaceTables(o.markdown, all); err != nil {
			return false, err
		}
	}
	switch {
	case o.lower:
		if err := lowerBudget(o.budget, figures); err != nil {
			return false, err
		}
	case o.budget != "":
		b, err := readBudget(o.budget)
		if err != nil {
			return false, err
		}
		return b.check(stdout, figures), nil
	}
	_, err = io.WriteString(stdout, markdown(all))
	return true, err
}
