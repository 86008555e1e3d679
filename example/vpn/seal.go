// SPDX-License-Identifier: MIT

package main

import (
	"crypto/cipher"
	"sync/atomic"
	"time"

	"github.com/mytun/mytun"
)

// A sealer encrypts what this end sends, in one session: one run of the program.
type sealer struct {
	id       sessionID
	aead     cipher.AEAD
	counters []counter // one for each queue
}

// A counter is alone in its cache line, or the queues would pass the line to and fro.
type counter struct {
	atomic.Uint64
	_ [56]byte
}

func newSealer(k key, self role, queues int) (*sealer, error) {
	s := &sealer{id: newSessionID(time.Now()), counters: make([]counter, queues)}
	var err error
	s.aead, err = k.session(self, s.id)
	return s, err
}

// take takes n counters of a queue, for the caller alone, and returns the first. No two datagrams
// of a session may have the same queue and counter: it is their nonce. There are 2^64 for each
// queue, which do not run out.
func (s *sealer) take(queue, n int) uint64 {
	return s.counters[queue].Add(uint64(n)) - uint64(n)
}

// seal encrypts p where it lies, with the header in its headroom and the tag in its tailroom, and
// returns the datagram. The counter has been taken, and is used for nothing else.
func (s *sealer) seal(queue int, counter uint64, p *mytun.Packet) []byte {
	plain := p.Data
	datagram := p.Grow(headerSize, tagSize)
	s.sealAt(queue, counter, datagram, plain)
	return datagram
}

// sealAt encrypts plain, which lies headerSize bytes into datagram or is empty.
func (s *sealer) sealAt(queue int, counter uint64, datagram, plain []byte) {
	h := header{queue: uint16(queue), counter: counter, session: s.id}
	h.put(datagram)
	s.aead.Seal(datagram[headerSize:headerSize], datagram[:nonceSize], plain, nil)
}

// keepalive returns a datagram without a packet.
func (s *sealer) keepalive(queue int) []byte {
	datagram := make([]byte, overhead)
	s.sealAt(queue, s.take(queue, 1), datagram, nil)
	return datagram
}
