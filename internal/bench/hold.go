// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"log"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mytun/mytun"
)

// TCP through a slow program: connections from this network namespace to another one, over two
// interfaces between which the program carries packets, slowly in the direction of the data.
const (
	slowBatch  = 8                // packets that are carried
	slowPause  = time.Millisecond // after each batch
	slowWarmup = 2 * time.Second  // in which the connections come up to speed
	slowTime   = 5 * time.Second  // in which bytes are counted
	slowRing   = 1 << 18          // bytes: smaller than what the senders have in flight
	slowNet    = "10.94.0."       // .1 here, .2 there
	slowFrom   = ifName           // the interface here
	slowTo     = "bench1"         // the interface there
	slowChunk  = 64 << 10         // bytes of one write to a socket
)

func holdWorks() {
	for _, senders := range []int{1, 8, 16} {
		for _, way := range []struct {
			name string
			hold bool
		}{{"mytun, dropping", false}, {"mytun, backpressure", true}} {
			bits, drops := slowTCP(senders, way.hold)
			column := several(senders, "sender")
			report(figure{"TCP through a slow program", "Mbit/s", column, way.name, bits / 1e6})
			report(figure{"TCP through a slow program", "packets dropped", column, way.name, float64(drops)})
		}
	}
}

// slowTCP returns the bits per second that arrive, and how many packets found no room.
func slowTCP(senders int, hold bool) (rate float64, drops uint64) {
	// This thread is the benchmark's own; those that Go starts from here on share its namespace.
	here, err := mytun.Open(mytun.Config{
		Name: slowFrom, Backend: mytun.BackendRing, RXSize: slowRing, Backpressure: hold,
	})
	if err != nil {
		log.Fatal(err)
	}
	ip("addr", "add", slowNet+"1/24", "dev", slowFrom)
	// Both modes with the same discipline, one that never drops by itself.
	run("tc", "qdisc", "replace", "dev", slowFrom, "root", "pfifo", "limit", "10000")
	ip("link", "set", slowFrom, "up")
	there, listener := openThere()

	var wg sync.WaitGroup
	carry := func(from, to *mytun.Queue, pause time.Duration) {
		defer wg.Done()
		pkts := make([]mytun.Packet, slowBatch)
		bufs := make([][]byte, slowBatch)
		for {
			n, err := from.ReadBatch(pkts)
			if err != nil {
				return
			}
			for i := range n {
				bufs[i] = pkts[i].Data
			}
			_, err = to.WriteBatch(bufs[:n])
			from.Release(pkts[:n])
			if err != nil {
				return
			}
			if pause > 0 {
				time.Sleep(pause)
			}
		}
	}
	wg.Add(2)
	go carry(here.Queue(0), there.Queue(0), slowPause)
	go carry(there.Queue(0), here.Queue(0), 0)

	var received atomic.Int64
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer conn.Close()
				io.Copy(counter{&received}, conn)
			}()
		}
	}()
	conns := make([]net.Conn, senders)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", slowNet+"2:"+strconv.Itoa(port)); err != nil {
			log.Fatal(err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			chunk := make([]byte, slowChunk)
			for {
				if _, err := conns[i].Write(chunk); err != nil {
					return
				}
			}
		}()
	}

	time.Sleep(slowWarmup)
	from, start := received.Load(), time.Now()
	time.Sleep(slowTime)
	rate = float64(received.Load()-from) * 8 / time.Since(start).Seconds()
	drops = here.Queue(0).Stats().RXDrops

	for _, conn := range conns {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	listener.Close()
	// The resets pass, and the other ends close.
	time.Sleep(time.Second)
	here.Close()
	there.Close()
	wg.Wait()
	return rate, drops
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// openThere makes the interface, and the listener, in the other network namespace.
func openThere() (tun *mytun.Tun, listener net.Listener) {
	var err error
	inFar(func() {
		tun, err = mytun.Open(mytun.Config{Name: slowTo, Backend: mytun.BackendRing, RXSize: 1 << 22})
		if err != nil {
			log.Fatal(err)
		}
		// The thread's namespace is that of what it starts.
		ip("addr", "add", slowNet+"2/24", "dev", slowTo)
		ip("link", "set", slowTo, "up")
		listener, err = net.Listen("tcp", slowNet+"2:"+strconv.Itoa(port))
		if err != nil {
			log.Fatal(err)
		}
	})
	return tun, listener
}
