// SPDX-License-Identifier: MIT

package main

import (
	"slices"
	"time"
)

const (
	warmup = 40  // rounds that are not counted
	rounds = 400 // of which the middle half is
	chunks = 9   // of what runs on by itself; the median is taken
)

// middle runs a round many times and returns how long one takes: the mean of the middle half. rest is
// a part of each that is not counted. The dearest quarter has the ticks of the clock, and what else the
// kernel does in between; a median would be one or the other where every second round needs a new
// page.
func middle(counted, rest func()) float64 { return middleOf(rounds, counted, rest) }

func middleOf(n int, counted, rest func()) float64 {
	times := make([]time.Duration, 0, n)
	for i := range warmup + n {
		start := time.Now()
		counted()
		t := time.Since(start)
		rest()
		if i >= warmup {
			times = append(times, t)
		}
	}
	slices.Sort(times)
	var sum time.Duration
	half := times[n/4 : n-n/4]
	for _, t := range half {
		sum += t
	}
	return float64(sum) / float64(len(half))
}

func nothing() {}

// medianCost is what each of n costs on the whole machine, the median of several runs after a first one.
func medianCost(n int, run func()) float64 {
	run()
	costs := make([]float64, chunks)
	for i := range costs {
		start := busy()
		run()
		costs[i] = float64(busy()-start) / float64(n)
	}
	slices.Sort(costs)
	return costs[len(costs)/2]
}
