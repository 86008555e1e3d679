// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"
)

// ends returns what the connector seals with and the listener opens with.
func ends(t testing.TB, k key) (*sealer, *opener) {
	t.Helper()
	s, err := newSealer(k, connector, 2)
	if err != nil {
		t.Fatal(err)
	}
	return s, newOpener(k, listener)
}

// sealPacket makes a datagram of a packet.
func sealPacket(s *sealer, queue int, counter uint64, packet []byte) []byte {
	d := make([]byte, len(packet)+overhead)
	plain := d[headerSize:][:len(packet)]
	copy(plain, packet)
	s.sealAt(queue, counter, d, plain)
	return d
}

// receive gives a datagram to an opener.
func receive(o *opener, d []byte) ([]byte, verdict, bool) {
	h, nonce, sealed, ok := parse(d)
	if !ok {
		return nil, malformed, false
	}
	return o.open(make([]byte, 0, len(d)), &h, nonce, sealed)
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	s, o := ends(t, newKey())
	for _, n := range []int{0, 1, 20, 64, 1400, 65000} {
		packet := make([]byte, n)
		rand.Read(packet)
		counter := s.take(1, 1)
		got, v, newest := receive(o, sealPacket(s, 1, counter, packet))
		if v != accepted || !newest || !bytes.Equal(got, packet) {
			t.Fatalf("%d bytes: %v, newest %v, %d bytes", n, v, newest, len(got))
		}
	}
}

// A datagram in which any one bit has changed is not accepted, and changes nothing.
func TestTamperedIsRejected(t *testing.T) {
	s, o := ends(t, newKey())
	if _, v, _ := receive(o, s.keepalive(0)); v != accepted {
		t.Fatal(v)
	}
	d := sealPacket(s, 0, s.take(0, 1), []byte("a packet of the peer"))
	for bit := range len(d) * 8 {
		bad := bytes.Clone(d)
		bad[bit/8] ^= 1 << (bit % 8)
		if got, v, _ := receive(o, bad); v == accepted || len(got) > 0 {
			t.Fatalf("with bit %d changed it is %v and has %d bytes", bit, v, len(got))
		}
	}
	for n := range len(d) {
		if _, v, _ := receive(o, d[:n]); v == accepted {
			t.Fatalf("its first %d bytes are accepted", n)
		}
	}
	if _, v, _ := receive(o, d); v != accepted {
		t.Fatalf("afterwards the true one is %v", v)
	}
}

func TestVerdicts(t *testing.T) {
	k := newKey()
	s, o := ends(t, k)
	older := *s
	older.id = newSessionID(time.Now().Add(-time.Hour))
	var err error
	if older.aead, err = k.session(connector, older.id); err != nil {
		t.Fatal(err)
	}
	self, err := newSealer(k, listener, 1)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := ends(t, newKey())
	first, second := s.keepalive(0), s.keepalive(0)
	other := s.keepalive(1)
	restarted, _ := ends(t, k)
	for _, step := range []struct {
		what   string
		d      []byte
		want   verdict
		newest bool
	}{
		{"a stranger's, before the peer's", stranger.keepalive(0), forged, false},
		{"our own, sent back, before the peer's", self.keepalive(0), forged, false},
		{"the first of a session that is over, heard again", older.keepalive(0), accepted, true}, // nobody can know
		{"second", second, accepted, true},
		{"the older session, now that another began", older.keepalive(0), stale, false},
		{"second again", second, replayed, false},
		{"first, late", first, accepted, false},
		{"first again", first, replayed, false},
		{"first of another queue", other, accepted, true},
		{"a stranger's", stranger.keepalive(0), forged, false},
		{"our own, sent back", self.keepalive(0), forged, false},
		{"the peer has started anew", restarted.keepalive(0), accepted, true},
		{"the session before", s.keepalive(0), stale, false},
		{"garbage", []byte("garbage"), malformed, false},
	} {
		if _, v, newest := receive(o, step.d); v != step.want || newest != step.newest {
			t.Fatalf("%s: %v, newest %v; want %v, %v", step.what, v, newest, step.want, step.newest)
		}
	}
}

// No two datagrams have the same queue and counter, whoever takes them.
func TestCountersAreTakenOnce(t *testing.T) {
	s, _ := ends(t, newKey())
	seen := map[uint64]bool{}
	for _, n := range []int{1, 5, 128, 1} {
		first := s.take(0, n)
		for c := first; c < first+uint64(n); c++ {
			if seen[c] {
				t.Fatalf("%d is taken twice", c)
			}
			seen[c] = true
		}
	}
}

func TestSealAndOpenDoNotAllocate(t *testing.T) {
	s, o := ends(t, newKey())
	d, out := make([]byte, 1400+overhead), make([]byte, 0, 1400)
	allocs := testing.AllocsPerRun(1000, func() {
		s.sealAt(0, s.take(0, 1), d, d[headerSize:][:1400])
		h, nonce, sealed, ok := parse(d)
		if !ok {
			t.Fatal("malformed")
		}
		if _, v, _ := o.open(out, &h, nonce, sealed); v != accepted {
			t.Fatal(v)
		}
	})
	// The first makes the session.
	if allocs >= 1 {
		t.Fatalf("%v allocations for each packet", allocs)
	}
}

func BenchmarkSeal(b *testing.B) { benchmark(b, false) }
func BenchmarkOpen(b *testing.B) { benchmark(b, true) }

func benchmark(b *testing.B, open bool) {
	for _, size := range []struct {
		name string
		n    int
	}{{"64", 64}, {"1400", 1400}} {
		b.Run(size.name, func(b *testing.B) {
			s, o := ends(b, newKey())
			d, out := make([]byte, size.n+overhead), make([]byte, 0, size.n)
			plain := d[headerSize:][:size.n]
			s.sealAt(0, 0, d, plain)
			_, nonce, sealed, _ := parse(d)
			aead, err := o.key.session(connector, s.id)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size.n))
			b.ReportAllocs()
			for b.Loop() {
				if !open {
					s.sealAt(0, s.take(0, 1), d, plain)
				} else if _, err := aead.Open(out, nonce, sealed, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
