// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"syscall"

	"github.com/mytun/mytun"
)

// A datagram is one that was received and parsed.
type datagram struct {
	header
	nonce, sealed []byte
	from          *sockaddr
}

// inbound receives what the peer sends to one socket and decrypts it straight into the ring of one
// queue of the interface. It returns when the queue or the socket is closed.
func (t *tunnel) inbound(i int) error {
	s, c := t.sockets[i], &t.counts[i]
	in := newDeliverer(t.dev.Queue(i), t.opener, s, c, t.batch)
	return newReceiver(s, &c.received).run(func(m message) error {
		for b := m.bytes; len(b) > 0; {
			end := min(m.size, len(b))
			if err := in.add(b[:end], m.from); err != nil {
				return err
			}
			b = b[end:]
		}
		return nil
	}, in.flush)
}

// A deliverer collects datagrams and writes their packets to a queue, a batch at a time.
type deliverer struct {
	queue  *mytun.Queue
	opener *opener
	socket *socket
	counts *counts

	batch []datagram
	size  int            // bytes of the longest packet of the batch
	pkts  []mytun.Packet // reserved records
	tally [verdicts]uint64
}

func newDeliverer(q *mytun.Queue, o *opener, s *socket, c *counts, n int) *deliverer {
	return &deliverer{queue: q, opener: o, socket: s, counts: c, batch: make([]datagram, 0, n), pkts: make([]mytun.Packet, n)}
}

// add takes one datagram, which must stay as it is until flush.
func (d *deliverer) add(b []byte, from *sockaddr) error {
	h, nonce, sealed, ok := parse(b)
	switch {
	case !ok:
		d.tally[malformed]++
		return nil
	case len(sealed) == tagSize: // a keepalive, nothing for the interface
		_, v, newest := d.opener.open(nil, &h, nonce, sealed)
		d.judge(v, newest, from)
		return nil
	}
	d.batch = append(d.batch, datagram{h, nonce, sealed, from})
	d.size = max(d.size, len(sealed)-tagSize)
	if len(d.batch) == cap(d.batch) {
		return d.flush()
	}
	return nil
}

// flush delivers what was added. Its error is that the queue is closed, or damaged.
func (d *deliverer) flush() error {
	defer d.done()
	for batch := d.batch; len(batch) > 0; {
		// One size for all: datagrams that come together are mostly of one kind.
		n, err := d.queue.Reserve(d.pkts[:len(batch)], d.size)
		if err != nil {
			return err
		}
		var bytes uint64
		for i := range d.pkts[:n] {
			g, p := &batch[i], &d.pkts[i]
			plain, v, newest := d.opener.open(p.Data[:0], &g.header, g.nonce, g.sealed)
			p.Data = plain // empty unless accepted: then Commit gives the record back
			// What the cipher has proved to be what the peer sent, the stack need not sum up.
			p.VNet.Flags = mytun.VNetDataValid
			bytes += uint64(len(plain))
			d.judge(v, newest, g.from)
		}
		d.counts.received.bytes.Add(bytes)
		err = d.queue.Commit(d.pkts[:n])
		if err != nil && !errors.Is(err, syscall.ENETDOWN) {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// judge counts one datagram, and believes its sender's address if it is the newest of its queue.
func (d *deliverer) judge(v verdict, newest bool, from *sockaddr) {
	d.tally[v]++
	if newest {
		d.socket.roam(from)
	}
}

// done empties the batch and adds up the counters.
func (d *deliverer) done() {
	d.batch, d.size = d.batch[:0], 0
	d.counts.received.packets.Add(d.tally[accepted])
	for v := malformed; v < verdicts; v++ {
		if n := d.tally[v]; n > 0 {
			d.counts.rejected[v].Add(n)
		}
	}
	clear(d.tally[:])
}
