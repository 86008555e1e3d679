// SPDX-License-Identifier: MIT

package mytun

import (
	"runtime"
	"sync/atomic"
)

// Being parked and woken costs some microseconds, so a waiter first looks again
// for about that long: while looking pays. Each round that was in vain halves
// the number of rounds, down to none; now and then a few are tried again. An
// idle queue therefore spins for no more than a few microseconds in each of the
// first waits, and a parked one not at all.
const (
	spinMax   = 32 // rounds, of about 0.3 microseconds each
	spinProbe = 4  // rounds of a new try
	spinRest  = 16 // waits without spinning until then
	spinLooks = 16 // looks in a round
)

// spinner adapts the spinning of the waiters of one direction.
type spinner struct {
	off    bool // for tests: park at once
	rounds atomic.Int32
	rested atomic.Int32
}

// spin looks until ready says true or it is no longer worth it. It tells
// whether ready said true.
func (s *spinner) spin(ready func() bool) bool {
	if s.off || runtime.GOMAXPROCS(0) == 1 {
		return false // nobody could make it ready meanwhile
	}
	rounds := s.rounds.Load()
	if rounds == 0 {
		if s.rested.Add(1) < spinRest {
			return false
		}
		s.rested.Store(0)
		rounds = spinProbe
	}
	for range rounds {
		for range spinLooks {
			if ready() {
				s.rounds.Store(min(rounds+spinProbe, spinMax))
				return true
			}
		}
		runtime.Gosched()
	}
	s.rounds.Store(rounds / 2)
	return false
}
