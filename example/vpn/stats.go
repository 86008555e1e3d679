// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// A count counts datagrams in one direction.
type count struct {
	packets atomic.Uint64
	bytes   atomic.Uint64 // of the packets inside
	calls   atomic.Uint64 // system calls sendmmsg or recvmmsg that moved something
	dropped atomic.Uint64 // that could not be sent
}

// counts are the counters of one queue and its socket. Each queue has cache lines of its own.
type counts struct {
	sent     count
	received count // without the rejected
	rejected [verdicts]atomic.Uint64
	_        [64]byte
}

// totals are the counters of all queues together, and of the interface.
type totals struct {
	sentPackets, sentBytes, sentCalls, sendDrops      uint64
	receivedPackets, receivedBytes, receivedCalls     uint64
	rejected                                          [verdicts]uint64
	rxDrops, txDrops, parks, doorbells, reads, writes uint64
}

func (t *tunnel) totals() (s totals) {
	for i := range t.counts {
		c := &t.counts[i]
		s.sentPackets += c.sent.packets.Load()
		s.sentBytes += c.sent.bytes.Load()
		s.sentCalls += c.sent.calls.Load()
		s.sendDrops += c.sent.dropped.Load()
		s.receivedPackets += c.received.packets.Load()
		s.receivedBytes += c.received.bytes.Load()
		s.receivedCalls += c.received.calls.Load()
		for v := range c.rejected {
			s.rejected[v] += c.rejected[v].Load()
		}
		q := t.dev.Queue(i).Stats()
		s.rxDrops += q.RXDrops
		s.txDrops += q.TXDrops
		s.parks += q.RXParks + q.TXParks
		s.doorbells += q.Doorbells
		s.reads += q.Reads
		s.writes += q.Writes
	}
	return s
}

// print writes all counters, a name and a number a line.
func (s *totals) print(w io.Writer) {
	for _, c := range []struct {
		name  string
		value uint64
	}{
		{"sent_packets", s.sentPackets},
		{"sent_bytes", s.sentBytes},
		{"sent_calls", s.sentCalls},
		{"received_packets", s.receivedPackets},
		{"received_bytes", s.receivedBytes},
		{"received_calls", s.receivedCalls},
		{"dropped_send", s.sendDrops},
		{"dropped_interface", s.rxDrops},
		{"dropped_malformed", s.rejected[malformed]},
		{"dropped_forged", s.rejected[forged]},
		{"dropped_replayed", s.rejected[replayed]},
		{"dropped_stale", s.rejected[stale]},
		{"dropped_stack", s.txDrops},
		{"tun_parks", s.parks},
		{"tun_doorbells", s.doorbells},
		{"tun_reads", s.reads},
		{"tun_writes", s.writes},
	} {
		fmt.Fprintf(w, "%s %d\n", c.name, c.value)
	}
}

// printRates writes one line for the time since then.
func (s *totals) printRates(w io.Writer, then *totals, elapsed time.Duration) {
	rate := func(now, then uint64) float64 { return float64(now-then) / elapsed.Seconds() }
	fmt.Fprintf(w, "sent %.0f packets/s %.1f Mbit/s, received %.0f packets/s %.1f Mbit/s, dropped %d\n",
		rate(s.sentPackets, then.sentPackets), rate(s.sentBytes, then.sentBytes)*8/1e6,
		rate(s.receivedPackets, then.receivedPackets), rate(s.receivedBytes, then.receivedBytes)*8/1e6,
		s.drops()-then.drops())
}

// drops is how many packets were dropped, in either direction and for whatever reason.
func (s *totals) drops() uint64 {
	n := s.sendDrops + s.rxDrops + s.txDrops
	for _, r := range s.rejected {
		n += r
	}
	return n
}

// printEach writes the rates each second until done is closed.
func (t *tunnel) printEach(w io.Writer, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	then, at := t.totals(), time.Now()
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		now := t.totals()
		now.printRates(w, &then, time.Since(at))
		then, at = now, time.Now()
	}
}
