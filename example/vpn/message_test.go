// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"testing"
	"time"
)

func TestHeaderIsParsedAsItIsPut(t *testing.T) {
	want := header{queue: 255, counter: 1<<63 + 7, session: newSessionID(time.Now())}
	b := make([]byte, overhead+3)
	want.put(b)
	copy(b[headerSize:], "packet and tag")
	h, nonce, sealed, ok := parse(b)
	if !ok || h != want {
		t.Fatalf("parse: %+v, %v; want %+v", h, ok, want)
	}
	if !bytes.Equal(nonce, b[:nonceSize]) || !bytes.Equal(sealed, b[headerSize:]) {
		t.Fatalf("nonce %x, sealed %x of %x", nonce, sealed, b)
	}
}

func TestParseRefuses(t *testing.T) {
	good := make([]byte, overhead)
	(&header{}).put(good)
	for name, change := range map[string]func([]byte) []byte{
		"nothing":       func(b []byte) []byte { return nil },
		"short":         func(b []byte) []byte { return b[:overhead-1] },
		"another type":  func(b []byte) []byte { b[0] = 2; return b },
		"not zero":      func(b []byte) []byte { b[1] = 1; return b },
		"queue too big": func(b []byte) []byte { b[2] = 1; return b },
	} {
		if _, _, _, ok := parse(change(bytes.Clone(good))); ok {
			t.Errorf("%s: taken", name)
		}
	}
	if _, _, _, ok := parse(good); !ok {
		t.Error("the one without a fault is not taken")
	}
}

// Two sessions that start at once have different names, or they would use a nonce twice.
func TestSessionIDsDiffer(t *testing.T) {
	now, seen := time.Now(), map[sessionID]bool{}
	for range 1000 {
		seen[newSessionID(now)] = true
	}
	if len(seen) != 1000 {
		t.Fatalf("1000 sessions have %d names", len(seen))
	}
	if a, b := newSessionID(now), newSessionID(now.Add(1)); a.started() >= b.started() {
		t.Fatal("a later session is not later")
	}
}

func FuzzParse(f *testing.F) {
	good := make([]byte, overhead+20)
	(&header{queue: 3, counter: 9, session: sessionID{1, 2, 3}}).put(good)
	f.Add(good)
	f.Add(good[:overhead])
	f.Add([]byte{typeData, 0, 0, 1})
	k := newKey()
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, nonce, sealed, ok := parse(b)
		if !ok {
			return
		}
		if len(nonce) != nonceSize || len(sealed) != len(b)-headerSize || len(sealed) < tagSize || h.queue >= maxQueues {
			t.Fatalf("%d bytes: %+v, nonce %d, sealed %d", len(b), h, len(nonce), len(sealed))
		}
		again := make([]byte, headerSize)
		if h.put(again); !bytes.Equal(again, b[:headerSize]) {
			t.Fatalf("%x became %x", b[:headerSize], again)
		}
		// Nobody but the fuzzer has this key, and it does not know it either.
		if _, v, _ := newOpener(k, listener).open(nil, &h, nonce, sealed); v != forged {
			t.Fatalf("%x is %v", b, v)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the datagram was written to")
		}
	})
}
