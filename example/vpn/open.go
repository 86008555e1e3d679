// SPDX-License-Identifier: MIT

package main

import (
	"crypto/cipher"
	"sync"
	"sync/atomic"
)

// A verdict is what became of a datagram.
type verdict int

const (
	accepted  verdict = iota
	malformed         // is none of this protocol
	forged            // the tag is wrong: changed on its way, or not made with this key
	replayed          // was there before, or is too old to know
	stale             // of a session that ended: the peer has started anew since
	verdicts
)

func (v verdict) String() string {
	return [...]string{"accepted", "malformed", "forged", "replayed", "stale"}[v]
}

// An opener decrypts what the peer sends and decides what to believe. All queues share it.
type opener struct {
	key  key
	from role // the peer's

	mu      sync.Mutex // held while session changes
	session atomic.Pointer[peerSession]
}

// A peerSession is the run of the peer that is being listened to.
type peerSession struct {
	id      sessionID
	aead    cipher.AEAD
	windows *[maxQueues]window // for each queue of the peer
}

func newOpener(k key, self role) *opener {
	return &opener{key: k, from: self.peer()}
}

// open decrypts a datagram that parse has split, behind dst, and returns dst with the packet
// behind it. dst needs room for it and must not overlap with sealed. newest tells that no
// accepted datagram of its queue was sent after this one. Without acceptance dst is returned as
// it was; the room behind it may have been written to.
func (o *opener) open(dst []byte, h *header, nonce, sealed []byte) (_ []byte, v verdict, newest bool) {
	s := o.session.Load()
	switch {
	case s == nil || h.session.started() > s.id.started():
		aead, err := o.key.session(o.from, h.session)
		if err != nil {
			return dst, forged, false
		}
		s = &peerSession{id: h.session, aead: aead}
	case h.session != s.id:
		return dst, stale, false
	}
	out, err := s.aead.Open(dst, nonce, sealed, nil)
	if err != nil {
		return dst, forged, false
	}
	// Only now is it known that the header is the peer's.
	if s.windows == nil {
		if s = o.begin(s); s.id != h.session {
			return dst, stale, false
		}
	}
	fresh, newest := s.windows[h.queue].accept(h.counter)
	if !fresh {
		return dst, replayed, false
	}
	return out, accepted, newest
}

// begin makes s, of which a datagram has proved authentic, the peer's session, unless another
// goroutine was faster or the peer has a later one. It returns the peer's session.
func (o *opener) begin(s *peerSession) *peerSession {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := o.session.Load(); now != nil && now.id.started() >= s.id.started() {
		return now
	}
	s.windows = new([maxQueues]window)
	o.session.Store(s)
	return s
}
