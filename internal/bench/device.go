// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun"
)

// device is an interface that this program has opened, with the address 10.90.0.1/24.
type device interface {
	// receive takes exactly n packets from the stack; they are there already.
	receive(n int)
	// send gives packets to the stack.
	send(pkts [][]byte)
	close()
}

type opener func() device

const ifName = "bench0"

func configure() {
	ip("addr", "add", "10.90.0.1/24", "dev", ifName)
	ip("link", "set", ifName, "up")
}

// rings is mytun, by the Go package's batch calls.
type rings struct {
	tun  *mytun.Tun
	q    *mytun.Queue
	pkts [batch]mytun.Packet
}

func openRings() device {
	tun, err := mytun.Open(mytun.Config{Name: ifName, Backend: mytun.BackendRing})
	if err != nil {
		log.Fatal(err)
	}
	configure()
	return &rings{tun: tun, q: tun.Queue(0)}
}

func (r *rings) receive(n int) {
	for n > 0 {
		got, err := r.q.ReadBatch(r.pkts[:])
		if err != nil {
			log.Fatal(err)
		}
		r.q.Release(r.pkts[:got])
		n -= got
	}
}

func (r *rings) send(pkts [][]byte) {
	if _, err := r.q.WriteBatch(pkts); err != nil {
		log.Fatal(err)
	}
}

func (r *rings) close() { r.tun.Close() }

// stock is the built-in driver as a C program uses it: bare read(2) and write(2), which here means
// system calls without the Go scheduler's bookkeeping.
type stock struct {
	fd  int
	buf [65536]byte
}

func openStock() device {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		log.Fatalf("/dev/net/tun: %v", err)
	}
	ifr, err := unix.NewIfreq(ifName)
	if err != nil {
		log.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		log.Fatalf("TUNSETIFF: %v", err)
	}
	configure()
	return &stock{fd: fd}
}

func (s *stock) receive(n int) {
	for range n {
		if _, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&s.buf[0])), uintptr(len(s.buf))); errno != 0 {
			log.Fatalf("read: %v", errno)
		}
	}
}

func (s *stock) send(pkts [][]byte) {
	for _, p := range pkts {
		if _, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))); errno != 0 {
			log.Fatalf("write: %v", errno)
		}
	}
}

func (s *stock) close() { unix.Close(s.fd) }
