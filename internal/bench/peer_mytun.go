// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"log"
	"maps"
	"net"
	"runtime"
	"slices"

	"github.com/mytun/mytun"
)

// rings is mytun, by the Go package's batch calls.
type rings struct {
	polled
	tun  *mytun.Tun
	q    *mytun.Queue
	pkts [batch]mytun.Packet
	data [batch][]byte
}

const ringsNode = "/dev/net/mytun"

func openRings(name string) device { return openConfig(mytun.Config{Name: name}) }

func openConfig(c mytun.Config) *rings {
	c.Backend = mytun.BackendRing
	r := new(rings)
	r.polled = openPolled(ringsNode, func() {
		tun, err := mytun.Open(c)
		if err != nil {
			log.Fatal(err)
		}
		r.tun, r.q = tun, tun.Queue(0)
	})
	return r
}

func openRingsQueues(name string, n int) []device {
	tun, err := mytun.Open(mytun.Config{Name: name, Backend: mytun.BackendRing, Queues: n})
	if err != nil {
		log.Fatal(err)
	}
	var queues []device
	// The files were opened in the order of the queues.
	for i, fd := range slices.Sorted(maps.Keys(filesOf(ringsNode))) {
		queues = append(queues, &rings{polled: polled{fd}, tun: tun, q: tun.Queue(i)})
	}
	return queues
}

func (r *rings) take(f func([][]byte)) {
	pkts := r.lease()
	for i := range pkts {
		r.data[i] = pkts[i].Data
	}
	f(r.data[:len(pkts)])
	r.q.Release(pkts)
}

func (r *rings) lease() []mytun.Packet {
	n, err := r.q.ReadBatch(r.pkts[:])
	if errors.Is(err, net.ErrClosed) {
		runtime.Goexit()
	}
	if err != nil {
		log.Fatal(err)
	}
	return r.pkts[:n]
}

func (r *rings) send(pkts [][]byte) {
	if _, err := r.q.WriteBatch(pkts); err != nil {
		log.Fatal(err)
	}
}

func (r *rings) close() { r.tun.Close() }
