// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// A history is what a window should do, in so many words.
type history struct {
	seen map[uint64]bool
	next uint64
}

func (h *history) accept(c uint64) (fresh, newest bool) {
	if c == math.MaxUint64 || c < h.next && h.next-c > windowSize || h.seen[c] {
		return false, false
	}
	if newest = c >= h.next; newest {
		h.next = c + 1
	}
	h.seen[c] = true
	return true, newest
}

// check gives counters to a window and to a history, which must agree.
func check(t *testing.T, counters []uint64) {
	t.Helper()
	var w window
	h := history{seen: map[uint64]bool{}}
	for i, c := range counters {
		fresh, newest := w.accept(c)
		wantFresh, wantNewest := h.accept(c)
		if fresh != wantFresh || newest != wantNewest {
			t.Fatalf("counter %d, number %d: fresh %v, newest %v; want %v, %v", c, i, fresh, newest, wantFresh, wantNewest)
		}
	}
}

func TestWindow(t *testing.T) {
	const top = math.MaxUint64
	for name, counters := range map[string][]uint64{
		"in order":            {0, 1, 2, 3},
		"twice":               {0, 0, 1, 1, 0},
		"out of order":        {5, 3, 4, 0, 1, 2, 3},
		"oldest of all":       {windowSize, 1, 0, 1},
		"too old":             {windowSize + 1, 1, 0},
		"edge of a word":      {63, 64, 63, 0, 65, 127, 128, 64},
		"jump of one round":   {0, 2048, 0, 1, 100, 2047, 2048},
		"jump of many rounds": {7, 1 << 40, 7, 1<<40 - 1, 1<<40 - windowSize + 1, 1<<40 - windowSize},
		"the end":             {top - 1, top, top - 1, top - windowSize, top - windowSize - 1, top - 64},
		"to the end":          {0, top - 1, 0},
	} {
		t.Run(name, func(t *testing.T) { check(t, counters) })
	}
}

func TestWindowAgainstHistory(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var counters []uint64
		var at uint64
		for range 500 {
			at += r.Uint64N(1 << r.IntN(13))
			counters = append(counters, at-min(at, r.Uint64N(1<<r.IntN(13))))
		}
		check(t, counters)
	}
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 7, 192, 0, 63, 7, 193, 0, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var counters []uint64
		var at uint64
		for ; len(steps) >= 2; steps = steps[2:] {
			// Forwards and backwards, by up to eight rounds.
			at += uint64(int16(binary.BigEndian.Uint16(steps)))
			counters = append(counters, at)
		}
		check(t, counters)
	})
}

// What several goroutines receive of one queue is taken once.
func TestWindowInParallel(t *testing.T) {
	var w window
	var taken atomic.Uint64
	var wg sync.WaitGroup
	const n = 20000
	for range 4 {
		wg.Go(func() {
			for c := range uint64(n) {
				if fresh, _ := w.accept(c); fresh {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	// One goroutine may have been so far behind that its counters were too old, but then another
	// had taken them.
	if taken.Load() != n {
		t.Fatalf("%d counters were taken %d times", n, taken.Load())
	}
}
