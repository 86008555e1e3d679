// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"io"
	"log"
	"os"
	"runtime"

	"github.com/songgao/water"
)

// stream is what reads and writes one packet with each call, as most Go libraries do.
type stream struct {
	polled
	rw   io.ReadWriteCloser
	buf  [65536]byte
	pkts [1][]byte
}

// openFile is the built-in driver with nothing but the standard library: reads and writes wait in
// Go's poller.
func openFile(name string) device {
	fd := openStockFD(name, 0)
	return &stream{polled: polled{fd}, rw: os.NewFile(uintptr(fd), stockNode)}
}

func openWater(name string) device {
	s := new(stream)
	s.polled = openPolled(stockNode, func() {
		ifce, err := water.New(water.Config{
			DeviceType:             water.TUN,
			PlatformSpecificParams: water.PlatformSpecificParams{Name: name},
		})
		if err != nil {
			log.Fatalf("water: %v", err)
		}
		s.rw = ifce
	})
	return s
}

func (s *stream) take(f func([][]byte)) {
	n, err := s.rw.Read(s.buf[:])
	if errors.Is(err, os.ErrClosed) {
		runtime.Goexit()
	}
	if err != nil {
		log.Fatal(err)
	}
	s.pkts[0] = s.buf[:n]
	f(s.pkts[:])
}

func (s *stream) send(pkts [][]byte) {
	for _, p := range pkts {
		if _, err := s.rw.Write(p); err != nil {
			log.Fatal(err)
		}
	}
}

func (s *stream) close() { s.rw.Close() }
