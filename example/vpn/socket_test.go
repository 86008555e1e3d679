// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Each queue of the peer is received on the socket of the same number, and answered to where it
// came from.
func TestQueuesKeepTheirSockets(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		in, out := pair(t, address, 4)
		for i := range out {
			if _, ok := in[i].destination(); ok {
				t.Fatal("the listener has a destination before it heard anything")
			}
			d := make([]byte, overhead)
			(&header{queue: uint16(i)}).put(d)
			for range 3 {
				if err := newWriter(out[i], 1, new(count)).write([][]byte{d}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range in {
			_, got := read(t, in[i], 3)
			for _, d := range got {
				if h, _, _, ok := parse(d); !ok || int(h.queue) != i {
					t.Errorf("%s: socket %d has a datagram of queue %d", address, i, h.queue)
				}
			}
		}
		for i := range in {
			if err := newWriter(in[i], 1, new(count)).write([][]byte{{byte(i)}}); err != nil {
				t.Fatal(err)
			}
			if _, got := read(t, out[i], 1); got[0][0] != byte(i) {
				t.Errorf("%s: the answer of socket %d went to socket %d", address, got[0][0], i)
			}
		}
	}
}

// An end with fewer queues than the other still hears all of it.
func TestUnequalQueues(t *testing.T) {
	in, err := listen("127.0.0.1:0", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(in)
	out, err := connect(in[0].LocalAddr().String(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(out)
	for i := range out {
		d := make([]byte, overhead)
		(&header{queue: uint16(i)}).put(d)
		if _, err := out[i].Write(d); err != nil {
			t.Fatal(err)
		}
	}
	read(t, in[0], 2)
	read(t, in[1], 1)
}

// The peer comes from another address, as after a change of its network.
func TestRoam(t *testing.T) {
	in, err := listen("127.0.0.1:0", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(in)
	for host := range byte(3) {
		from := &sockaddr{raw: unix.RawSockaddrInet6{Family: unix.AF_INET, Port: 1, Addr: [16]byte{host}}, len: 16}
		in[0].roam(from)
		for i, s := range in { // socket 1 heard nothing and takes what socket 0 knows
			if to, ok := s.destination(); !ok || *to != *from || to == from {
				t.Errorf("socket %d sends to %v, want %v", i, to, from)
			}
		}
	}
}

// pair returns n sockets that listen at an address and n that are connected to them.
func pair(t *testing.T, address string, n int) (in, out []*socket) {
	t.Helper()
	in, err := listen(address, n)
	if err != nil {
		t.Skip(err) // no IPv6
	}
	t.Cleanup(func() { closeAll(in) })
	to := in[0].LocalAddr().(*net.UDPAddr)
	if to.IP.IsUnspecified() {
		to.IP = net.IPv4(127, 0, 0, 1)
	}
	out, err = connect(to.String(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(out) })
	return in, out
}

// read receives n datagrams, believes where they come from, and returns in how many messages they
// came.
func read(t *testing.T, s *socket, n int) (messages int, datagrams [][]byte) {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var c count
	enough := errors.New("enough")
	err := newReceiver(s, &c).run(func(m message) error {
		messages++
		s.roam(m.from)
		for b := bytes.Clone(m.bytes); len(b) > 0; {
			end := min(m.size, len(b))
			datagrams, b = append(datagrams, b[:end]), b[end:]
		}
		return nil
	}, func() error {
		if len(datagrams) < n {
			return nil
		}
		return enough
	})
	if err != enough {
		t.Fatalf("after %d of %d datagrams: %v", len(datagrams), n, err)
	}
	return messages, datagrams
}
