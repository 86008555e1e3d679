// SPDX-License-Identifier: MIT

package main

import (
	"math"
	"sync"
)

// windowSize is how far behind the newest datagram of a queue one may come and still be taken:
// more than what the network and several receiving goroutines put out of order.
const windowSize = 2048 - 64

// A window remembers which counters of one queue of the sender have been seen. The zero window
// has seen none. The bits are a ring of words that counters walk round; a word is cleared when
// the newest counter enters it, so one word fewer than there are is the memory (RFC 6479).
type window struct {
	mu   sync.Mutex
	next uint64 // one more than the highest counter seen
	bits [(windowSize + 64) / 64]uint64
}

// accept tells whether a counter is seen for the first time, and is not so old that nobody knows,
// and remembers it; and whether it is the highest so far. Only authentic counters may come here.
func (w *window) accept(counter uint64) (fresh, newest bool) {
	if counter == math.MaxUint64 {
		return false, false // there could be none after it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	words := uint64(len(w.bits))
	newest = counter >= w.next
	switch {
	case newest:
		// The words after that of the highest counter so far are of an older round.
		from, to := w.next/64, counter/64
		if w.next%64 != 0 {
			from++
		}
		if to >= from+words {
			from = to - words + 1
		}
		for word := from; word <= to; word++ {
			w.bits[word%words] = 0
		}
		w.next = counter + 1
	case w.next-counter > windowSize:
		return false, false
	}
	bit := uint64(1) << (counter % 64)
	word := &w.bits[counter/64%words]
	if *word&bit != 0 {
		return false, false
	}
	*word |= bit
	return true, newest
}
