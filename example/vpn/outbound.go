// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/mytun/mytun"
)

// outbound takes packets from one queue of the interface, encrypts them where they lie in its ring
// and sends them from there. It returns when the queue or the socket is closed.
func (t *tunnel) outbound(i int) error {
	q, pkts := t.dev.Queue(i), make([]mytun.Packet, t.batch)
	w := newWriter(t.sockets[i], t.batch, &t.counts[i].sent)
	datagrams := make([][]byte, 0, t.batch)
	for {
		n, err := q.ReadBatch(pkts)
		if err != nil {
			return err
		}
		datagrams = datagrams[:0]
		counter := t.sealer.take(i, n)
		for j := range pkts[:n] {
			datagrams = append(datagrams, t.sealer.seal(i, counter+uint64(j), &pkts[j]))
		}
		err = w.write(datagrams)
		q.Release(pkts[:n])
		if err != nil {
			return err
		}
	}
}

// keepalive tells the peer from time to time that this end lives, and for each of its queues where;
// through network address translators, too, which forget those who are silent. It returns when
// the tunnel is closed.
func (t *tunnel) keepalive(closed <-chan struct{}) error {
	writers := make([]*writer, len(t.sockets))
	for i, s := range t.sockets {
		writers[i] = newWriter(s, 1, &t.counts[i].sent)
	}
	tick := time.NewTicker(t.keepaliveEach)
	defer tick.Stop()
	for {
		for i, w := range writers {
			if _, ok := w.destination(); !ok {
				continue // nobody is there to be told
			}
			if err := w.write([][]byte{t.sealer.keepalive(i)}); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-closed:
			return net.ErrClosed
		}
	}
}

// A writer sends datagrams of one goroutine through a socket.
type writer struct {
	*socket
	*sender
	offload bool // the kernel cuts messages into datagrams
	count   *count
}

// newWriter returns a writer for up to n datagrams at a time.
func newWriter(s *socket, n int, c *count) *writer {
	return &writer{socket: s, sender: newSender(s.raw, n), offload: true, count: c}
}

// write sends datagrams to the peer. One that cannot be sent is lost, and counted. It does not
// return an error until the socket is closed.
func (w *writer) write(datagrams [][]byte) error {
	to, ok := w.destination()
	if !ok {
		w.count.dropped.Add(uint64(len(datagrams)))
		return nil
	}
	for len(datagrams) > 0 {
		w.packAll(datagrams, to)
		n, err := w.send()
		w.count.calls.Add(1)
		sent, bytes := 0, 0
		for i := range n {
			sent += w.datagramsOf(i)
		}
		for _, d := range datagrams[:sent] {
			bytes += len(d) - overhead
		}
		w.count.packets.Add(uint64(sent))
		w.count.bytes.Add(uint64(bytes))
		datagrams = datagrams[sent:]
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return err
		case w.datagramsOf(0) > 1 && refusesOffload(err):
			w.offload = false
		default:
			// No route, nobody listens there, the queue is full: as if it was lost on the way.
			lost := w.datagramsOf(0)
			w.count.dropped.Add(uint64(lost))
			datagrams = datagrams[lost:]
		}
	}
	return nil
}

// refusesOffload tells whether the error of a message of several datagrams can be that it has
// several: EIO where the network card does no checksums; EINVAL, or in newer kernels EMSGSIZE, where
// each datagram is too long for the path and must become fragments.
func refusesOffload(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EMSGSIZE)
}

// packAll makes as few messages of the datagrams as it can.
func (w *writer) packAll(datagrams [][]byte, to *sockaddr) {
	w.reset()
	for len(datagrams) > 0 {
		k := 1
		if w.offload {
			k = row(datagrams)
		}
		w.pack(datagrams[:k], to)
		datagrams = datagrams[k:]
	}
}
