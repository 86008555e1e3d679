// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// A relay is the network between the ends, in the hands of somebody. It passes the connector's
// datagrams to the listener and back, and does to them what meddle says.
type relay struct {
	t     *testing.T
	ns    namespace // where the listener is
	to    string    // the listener
	front *net.UDPConn
	wg    sync.WaitGroup

	mu     sync.Mutex
	meddle func(datagram []byte) [][]byte // what to send in its place; nil: itself
	backs  map[string]*net.UDPConn        // for each of the connector's addresses, the socket to the listener
}

// newRelay starts a relay to the listener at an address of right.
func newRelay(t *testing.T, right namespace, to string) *relay {
	t.Helper()
	r := &relay{t: t, ns: right, to: to, backs: map[string]*net.UDPConn{}}
	right.do(t, func() error {
		at := net.UDPAddrFromAddrPort(mustAddrPort(to))
		var err error
		r.front, err = net.ListenUDP("udp", &net.UDPAddr{IP: at.IP})
		return err
	})
	r.wg.Go(r.forwards)
	t.Cleanup(r.close)
	return r
}

// address is where the connector finds the relay.
func (r *relay) address() string { return r.front.LocalAddr().String() }

// set makes f decide what becomes of each datagram. It is called for one at a time.
func (r *relay) set(f func(datagram []byte) [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meddle = f
}

func (r *relay) meddled(d []byte) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.meddle == nil {
		return [][]byte{d}
	}
	return r.meddle(d)
}

func (r *relay) forwards() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := r.front.ReadFromUDP(buf)
		if err != nil {
			return
		}
		back := r.back(from)
		for _, d := range r.meddled(bytes.Clone(buf[:n])) {
			back.Write(d)
		}
	}
}

// back returns the socket that stands for one of the connector's to the listener.
func (r *relay) back(from *net.UDPAddr) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.backs[from.String()]; c != nil {
		return c
	}
	var back *net.UDPConn
	r.ns.do(r.t, func() (err error) {
		back, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(mustAddrPort(r.to)))
		return err
	})
	r.backs[from.String()] = back
	r.wg.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := back.Read(buf)
			if err != nil {
				return
			}
			for _, d := range r.meddled(bytes.Clone(buf[:n])) {
				r.front.WriteToUDP(d, from)
			}
		}
	})
	return back
}

// rebind gives the connector other addresses towards the listener, as a NAT does that forgot.
func (r *relay) rebind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for from, c := range r.backs {
		c.Close()
		delete(r.backs, from)
	}
}

func (r *relay) close() {
	r.front.Close()
	r.rebind()
	r.wg.Wait()
}
