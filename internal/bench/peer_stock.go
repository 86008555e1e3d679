// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stock is the built-in driver as a C program uses it: bare read(2) and write(2), which here means
// system calls without the Go scheduler's bookkeeping. It does not wait in a call, which would keep Go
// from the processor, but asks in poll(2) when there is nothing.
type stock struct {
	polled
	buf  [65536 + vnetSize]byte
	pkts [1][]byte
}

const stockNode = "/dev/net/tun"

func openStock(name string) device     { return newStock(name, 0) }
func openStockNAPI(name string) device { return newStock(name, unix.IFF_NAPI) }

func newStock(name string, flags uint16) *stock {
	return &stock{polled: polled{openStockFD(name, flags)}}
}

// openStockFD makes an interface of IP packets; the file does not block.
func openStockFD(name string, flags uint16) int {
	fd, err := unix.Open(stockNode, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		log.Fatalf("%s: %v", stockNode, err)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		log.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		log.Fatalf("TUNSETIFF: %v", err)
	}
	return fd
}

func (s *stock) take(f func([][]byte)) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd),
			uintptr(unsafe.Pointer(&s.buf[0])), uintptr(len(s.buf)))
		switch errno {
		case 0:
			s.pkts[0] = s.buf[:n]
			f(s.pkts[:])
			return
		case unix.EAGAIN:
			readable(s.fd, -1)
		case unix.EBADFD, unix.EBADF:
			runtime.Goexit()
		default:
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
