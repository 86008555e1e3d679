// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"log"
	"os"
	"time"
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

// tcpDevice is one for the measurements of TCP.
type tcpDevice interface {
	device
	// next copies one packet into b.
	next(b []byte)
	// takeTCP takes what is there, at least one packet, and returns the bytes of TCP payload.
	takeTCP() int
	// drain takes all that is there.
	drain()
}

type opener func() device

const ifName = "bench0"

func configure() {
	ip("addr", "add", "10.90.0.1/24", "dev", ifName)
	ip("link", "set", ifName, "up")
}

// rings is mytun, by the Go package's batch calls.
type rings struct {
	verified bool // what is sent
	sent     [segments]mytun.Packet

	tun  *mytun.Tun
	q    *mytun.Queue
	pkts [batch]mytun.Packet
	many [64]mytun.Packet
}

func openRings() device { return openConfig(mytun.Config{}) }

// openRingsWhole takes packets of up to 64 KiB as the stack has them.
func openRingsWhole() device { return openConfig(mytun.Config{WholeGSO: true}) }

// openRingsVerified says of each packet that its checksum is right, as a VPN knows of what it has
// authenticated.
func openRingsVerified() device {
	r := openConfig(mytun.Config{}).(*rings)
	r.verified = true
	return r
}

func openConfig(c mytun.Config) device {
	c.Name, c.Backend = ifName, mytun.BackendRing
	tun, err := mytun.Open(c)
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
	if r.verified {
		for i, p := range pkts {
			r.sent[i] = mytun.Packet{Data: p, VNet: mytun.VNet{Flags: mytun.VNetDataValid}}
		}
		if _, err := r.q.WritePackets(r.sent[:len(pkts)]); err != nil {
			log.Fatal(err)
		}
		return
	}
	if _, err := r.q.WriteBatch(pkts); err != nil {
		log.Fatal(err)
	}
}

func (r *rings) next(b []byte) {
	if _, err := r.q.Read(b); err != nil {
		log.Fatal(err)
	}
}

func (r *rings) takeTCP() (payload int) {
	n, err := r.q.ReadBatch(r.many[:])
	if err != nil {
		log.Fatal(err)
	}
	for i := range r.many[:n] {
		if data := r.many[i].Data; isTCP(data) {
			payload += len(data) - headers
		}
	}
	r.q.Release(r.many[:n])
	return payload
}

func (r *rings) drain() {
	for {
		r.q.SetReadDeadline(time.Now().Add(time.Microsecond))
		n, err := r.q.ReadBatch(r.many[:])
		r.q.SetReadDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		r.q.Release(r.many[:n])
	}
}

func (r *rings) close() { r.tun.Close() }

// stock is the built-in driver as a C program uses it: bare read(2) and write(2), which here means
// system calls without the Go scheduler's bookkeeping.
type stock struct {
	fd   int
	vnet int // bytes of the virtio header before each packet
	zero [vnetSize]byte
	vec  [2]unix.Iovec
	buf  [vnetSize + 65536]byte
}

const vnetSize = 10

func openStock() device { return openStockWith(0) }

// openStockWhole takes packets of up to 64 KiB as the stack has them.
func openStockWhole() device {
	s := openStockWith(unix.IFF_VNET_HDR)
	s.vnet = vnetSize
	const offload = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if err := unix.IoctlSetInt(s.fd, unix.TUNSETOFFLOAD, offload); err != nil {
		log.Fatalf("TUNSETOFFLOAD: %v", err)
	}
	return s
}

func openStockWith(flags uint16) *stock {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		log.Fatalf("/dev/net/tun: %v", err)
	}
	ifr, err := unix.NewIfreq(ifName)
	if err != nil {
		log.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		log.Fatalf("TUNSETIFF: %v", err)
	}
	configure()
	return &stock{fd: fd}
}

func (s *stock) receive(n int) {
	for range n {
		s.read()
	}
}

// read reads one packet and returns its length.
func (s *stock) read() int {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd),
		uintptr(unsafe.Pointer(&s.buf[0])), uintptr(len(s.buf)))
	if errno != 0 {
		log.Fatalf("read: %v", errno)
	}
	return int(n) - s.vnet
}

func (s *stock) next(b []byte) {
	n := s.read()
	copy(b, s.buf[s.vnet:s.vnet+n])
}

func (s *stock) takeTCP() int {
	n := s.read()
	if !isTCP(s.buf[s.vnet:]) {
		return 0
	}
	return n - headers
}

func (s *stock) drain() {
	poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, 0)
		if err != nil {
			log.Fatalf("poll: %v", err)
		}
		if n == 0 {
			return
		}
		s.read()
	}
}

func (s *stock) send(pkts [][]byte) {
	if s.vnet != 0 {
		s.sendVNet(pkts)
		return
	}
	for _, p := range pkts {
		if _, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))); errno != 0 {
			log.Fatalf("write: %v", errno)
		}
	}
}

// sendVNet writes packets that are complete, with a header that says so.
func (s *stock) sendVNet(pkts [][]byte) {
	s.vec[0] = unix.Iovec{Base: &s.zero[0], Len: vnetSize}
	for _, p := range pkts {
		s.vec[1] = unix.Iovec{Base: &p[0]}
		s.vec[1].SetLen(len(p))
		if _, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(s.fd), uintptr(unsafe.Pointer(&s.vec[0])), 2); errno != 0 {
			log.Fatalf("writev: %v", errno)
		}
	}
}

func (s *stock) close() { unix.Close(s.fd) }
