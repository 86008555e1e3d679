// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"log"
	"os"
	"runtime"
	"unsafe"

	"golang.zx2c4.com/wireguard/tun"
)

// wireguard is wireguard-go's own device, with its offloads: it takes super-packets from the kernel and
// cuts them, and puts segments that it is given together.
type wireguard struct {
	polled
	dev   tun.Device
	bufs  [][]byte
	sizes []int
	pkts  [][]byte
	out   [128][]byte
}

// wgSize is what wireguard-go itself gives to each packet.
const wgSize = 1<<16 - 1

func openWireguard(name string) device {
	w := new(wireguard)
	w.polled = openPolled(stockNode, func() {
		dev, err := tun.CreateTUN(name, 1500)
		if err != nil {
			log.Fatalf("wireguard-go: %v", err)
		}
		w.dev = dev
	})
	n := w.dev.BatchSize()
	w.sizes, w.pkts = make([]int, n), make([][]byte, n)
	for range n {
		w.bufs = append(w.bufs, make([]byte, wgSize))
	}
	return w
}

func (w *wireguard) take(f func([][]byte)) {
	n, err := w.dev.Read(w.bufs, w.sizes, headroom)
	if errors.Is(err, os.ErrClosed) {
		runtime.Goexit()
	}
	if err != nil {
		log.Fatal(err)
	}
	for i := range n {
		w.pkts[i] = w.bufs[i][headroom : headroom+w.sizes[i]]
	}
	f(w.pkts[:n])
}

// send hands over the packets where they lie, as wireguard-go does.
func (w *wireguard) send(pkts [][]byte) {
	for i, p := range pkts {
		first := (*byte)(unsafe.Add(unsafe.Pointer(&p[0]), -headroom))
		w.out[i] = unsafe.Slice(first, headroom+cap(p))[:headroom+len(p)]
	}
	if _, err := w.dev.Write(w.out[:len(pkts)], headroom); err != nil {
		log.Fatal(err)
	}
}

func (w *wireguard) close() { w.dev.Close() }
