// SPDX-License-Identifier: MIT

package main

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// A datagram is a header, an encrypted IP packet, and the tag that proves it:
//
//	 0       1       2       3       4
//	+-------+-------+-------+-------+
//	| type  |   0   |     queue     |  \
//	+-------+-------+-------+-------+   |
//	|                               |   |  the nonce of the cipher
//	+            counter            +   |
//	|                               |  /
//	+-------+-------+-------+-------+
//	|                               |
//	+         start of the          +  \
//	|   session, in nanoseconds     |   |  the session, from which, and from the
//	+-------+-------+-------+-------+   |  shared key, the cipher's key is derived
//	|         random number         |  /
//	+-------+-------+-------+-------+
//	|   packet, encrypted  ...      |
//	+-------+-------+-------+-------+
//	|   tag, 16 bytes  ...          |
//	+-------+-------+-------+-------+
//
// Numbers are in network byte order. Every bit of the header goes into the cipher as nonce or as
// key, so that none can be changed without the tag failing.
//
// An empty packet is a keepalive: it shows that the sender lives, and where.
const (
	nonceSize  = chacha20poly1305.NonceSize
	headerSize = nonceSize + sessionIDSize
	tagSize    = chacha20poly1305.Overhead
	overhead   = headerSize + tagSize

	// typeData is the only type of datagram.
	typeData = 1

	// queueOffset is where the header has the queue; the kernel reads it too, see steer.
	queueOffset = 2

	// maxQueues is the most queues that an interface can have.
	maxQueues = 256
)

const sessionIDSize = 12

// A sessionID names one run of one end. It never comes twice with the same key: it has the time of
// the start, to the nanosecond, and should a clock be set back there are 32 random bits yet.
type sessionID [sessionIDSize]byte

// newSessionID names a run that starts now.
func newSessionID(now time.Time) sessionID {
	var id sessionID
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixNano()))
	rand.Read(id[8:]) // never fails
	return id
}

// started is when the session began; of two sessions of one end the later has more.
func (id sessionID) started() uint64 { return binary.BigEndian.Uint64(id[:]) }

// A header is the part of a datagram that is not encrypted.
type header struct {
	queue   uint16 // of the sender
	counter uint64 // of the datagrams of that queue in that session
	session sessionID
}

// put writes the header into the first headerSize bytes of b.
func (h *header) put(b []byte) {
	b[0], b[1] = typeData, 0
	binary.BigEndian.PutUint16(b[queueOffset:], h.queue)
	binary.BigEndian.PutUint64(b[4:], h.counter)
	copy(b[nonceSize:headerSize], h.session[:])
}

// parse splits a datagram into header, nonce and encrypted packet with tag. It tells false for
// what cannot be a datagram of this protocol. Nothing is copied but the header.
func parse(b []byte) (h header, nonce, sealed []byte, ok bool) {
	if len(b) < overhead || b[0] != typeData || b[1] != 0 {
		return header{}, nil, nil, false
	}
	h.queue = binary.BigEndian.Uint16(b[queueOffset:])
	h.counter = binary.BigEndian.Uint64(b[4:])
	h.session = sessionID(b[nonceSize:headerSize])
	if h.queue >= maxQueues {
		return header{}, nil, nil, false
	}
	return h, b[:nonceSize:nonceSize], b[headerSize:], true
}
