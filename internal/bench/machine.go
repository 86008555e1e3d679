// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"log"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// The interface of most measurements is this one, with an address in a network whose other hosts the
// program plays. The dummy frees what it is sent: what a send to it costs is the sender's part.
const (
	ifName    = "bench0"
	dummyName = "bench-dummy"
	port      = 5555 // of sockets here; nobody else listens there
)

var (
	here       = [4]byte{10, 90, 0, 1}
	behind     = [4]byte{10, 90, 0, 2}
	behindNull = [4]byte{10, 91, 0, 2}
)

func prepare() {
	for _, module := range []string{"tun", "veth", "vhost_net"} {
		run("modprobe", module)
	}
	run("modprobe", "dummy", "numdummies=0") // it makes some in the first namespace otherwise
	ip("link", "set", "lo", "up")
	ip("link", "add", dummyName, "type", "dummy")
	address(dummyName, [4]byte{10, 91, 0, 1})
}

// opened is a device of this peer, with its address.
func opened(p peer) device {
	runtime.GC() // of what the last measurement left: there is none while it is measured
	d := p.open(ifName)
	address(ifName, here)
	return d
}

func address(name string, addr [4]byte) {
	ip("addr", "add", dotted(addr)+"/24", "dev", name)
	ip("link", "set", name, "up")
}

func dotted(a [4]byte) string { return fmt.Sprintf("%d.%d.%d.%d", a[0], a[1], a[2], a[3]) }

func ip(args ...string) { run("ip", args...) }

func run(name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		log.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func udpSocket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		log.Fatal(err)
	}
	return fd
}

// connectedTo returns a socket whose packets leave by the interface that has the address's network.
func connectedTo(addr [4]byte) int {
	fd := udpSocket()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: addr}); err != nil {
		log.Fatal(err)
	}
	return fd
}

// bound returns a socket of this address.
func bound(addr [4]byte) int {
	fd := udpSocket()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: addr}); err != nil {
		log.Fatal(err)
	}
	return fd
}

// drainSocket takes packets that are there, or come in a moment: the softirq that is to put them there
// may have been left to its thread.
func drainSocket(fd, n int) {
	var buf [2048]byte
	for i := range n {
		if !readable(fd, 1000) {
			log.Fatalf("%d of %d packets arrived", i, n)
		}
		if _, _, err := unix.Recvfrom(fd, buf[:], 0); err != nil {
			log.Fatal(err)
		}
	}
}
