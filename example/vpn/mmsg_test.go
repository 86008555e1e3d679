// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

var errEnough = errors.New("enough")

// received runs a receiver until it has n messages.
func received(s *socket, n int, f func(m message)) error {
	return newReceiver(s, new(count)).run(func(m message) error {
		f(m)
		if n--; n == 0 {
			return errEnough
		}
		return nil
	}, func() error { return nil })
}

// More than one system call takes come, once and in their order, and so does what comes later.
func TestReceiveMany(t *testing.T) {
	in, out := pair(t, "127.0.0.1:0", 1)
	const n, late = 5*readMessages + 3, 10
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := out[0].Write(binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
				t.Error(err)
			}
		}
	}
	send(0, n)
	in[0].SetReadDeadline(time.Now().Add(10 * time.Second))
	next := 0
	err := received(in[0], n+late, func(m message) {
		if i := int(binary.BigEndian.Uint32(m.bytes)); i != next {
			t.Errorf("datagram %d comes after %d", i, next-1)
		}
		if next++; next == n {
			go send(n, n+late)
		}
	})
	if err != errEnough {
		t.Errorf("%v after %d", err, next)
	}
}

// A socket that was told that nobody listens hears who does later.
func TestReceiveAfterRefusal(t *testing.T) {
	nobody, out := pair(t, "127.0.0.1:0", 1)
	address := nobody[0].LocalAddr().(*net.UDPAddr)
	closeAll(nobody)
	if _, err := out[0].Write([]byte("anybody?")); err != nil {
		t.Fatal(err)
	}
	out[0].SetReadDeadline(time.Now().Add(10 * time.Second))
	done := make(chan error)
	go func() { done <- received(out[0], 1, func(message) {}) }()
	time.Sleep(20 * time.Millisecond) // it is refused
	somebody, err := net.ListenUDP("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer somebody.Close()
	if _, err := somebody.WriteTo([]byte("here"), out[0].LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != errEnough {
		t.Error(err)
	}
}

// However much comes, closing ends it.
func TestCloseInAFlood(t *testing.T) {
	in, out := pair(t, "127.0.0.1:0", 1)
	var over atomic.Bool
	defer over.Store(true)
	go func() {
		for !over.Load() {
			out[0].Write([]byte("x"))
		}
	}()
	full := make(chan struct{})
	done := make(chan error)
	go func() {
		calls := 0
		done <- newReceiver(in[0], new(count)).run(func(message) error { return nil }, func() error {
			time.Sleep(5 * time.Millisecond) // there are always more than a call takes
			if calls++; calls == 5 {
				close(full)
			}
			return nil
		})
	}()
	<-full
	in[0].Close()
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}
