// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A pair of veth interfaces between this network namespace and another is what the kernel can do
// with no program on the way: the packet ends in a socket there.
const (
	vethName = "no program: kernel's veth"
	vethHere = "bench-veth0"
	vethFar  = "bench-veth1"
	farName  = "bench-far" // the other namespace
)

var (
	vethAddr    = [4]byte{10, 92, 0, 1}
	vethFarAddr = [4]byte{10, 92, 0, 2}
)

func makeFar() {
	ip("netns", "add", farName)
	ip("link", "add", vethHere, "type", "veth", "peer", "name", vethFar, "netns", farName)
	address(vethHere, vethAddr)
	ip("-n", farName, "addr", "add", dotted(vethFarAddr)+"/24", "dev", vethFar)
	ip("-n", farName, "link", "set", vethFar, "up")
	ip("-n", farName, "link", "set", "lo", "up")
}

// inFar calls f in the other namespace. The calling goroutine is bound to its thread.
func inFar(f func()) {
	old := namespace("/proc/thread-self/ns/net")
	far := namespace("/run/netns/" + farName)
	defer unix.Close(old)
	defer unix.Close(far)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, step := range []func() error{
		func() error { return unix.Setns(far, unix.CLONE_NEWNET) },
		func() error { f(); return nil },
		func() error { return unix.Setns(old, unix.CLONE_NEWNET) },
	} {
		if err := step(); err != nil {
			log.Fatal(err)
		}
	}
}

func namespace(path string) int {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	return fd
}

// vethUDP is from a local socket into the receive queue of one at the other end, and its read there.
func vethUDP(m mix) way {
	var far int
	inFar(func() { far = bound(vethFarAddr) })
	fd := udpSocket()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: vethFarAddr}); err != nil {
		log.Fatal(err)
	}
	var buf [2048]byte
	k := perRound(m, 1)
	return way{func() {
		for i := range k {
			sendMix(fd, m, i, i+1)
			if _, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(far), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf))); errno != 0 {
				log.Fatalf("read: %v", errno)
			}
		}
	}, nothing, k, func() {
		unix.Close(fd)
		unix.Close(far)
	}}
}

// vethTCP is what a byte costs from a socket's write to the read of one at the other end.
func vethTCP() float64 {
	c := connected(vethFarAddr)
	defer c.close()
	move := func() {
		writeRound(c.ends[0], c.buf)
		readRound(c.ends[1], c.buf)
	}
	for range warmup {
		move()
	}
	return middle(move, nothing) / round
}
