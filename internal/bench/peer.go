// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// device is one queue of an interface that a peer has opened. It is driven by one goroutine in each
// direction.
type device interface {
	// take waits for packets from the stack, as a program of this peer would, and calls f with
	// what one call of the peer's API gave, at most a batch. The packets may be changed, and
	// are f's until it returns.
	take(f func(pkts [][]byte))
	// send gives packets, at most a batch, to the stack. They may have been changed afterwards.
	send(pkts [][]byte)
	// ready tells, without waiting, whether take would have something to do. It is no part
	// of what is counted.
	ready() bool
	// close ends a take that waits, by runtime.Goexit.
	close()
}

// flush waits until the stack has what was sent, where another thread hands it over.
func flush(d device) {
	if f, ok := d.(interface{ flush() }); ok {
		f.flush()
	}
}

// headroom is how many bytes are free before each packet that is sent, as wireguard-go's device needs
// them; and after it, as many as make a packet of 64 KiB.
const headroom = 16

func newPacket(size int) []byte {
	return make([]byte, headroom+1<<16)[headroom : headroom+size]
}

// batch is how many packets a call may take or give at most, where the API has batches.
const batch = 64

// peer is a way to exchange packets with the stack.
type peer struct {
	name string // in tables
	path string // of the Go module that is measured, if it is one of others
	// open makes the interface of this name, in the network namespace of the calling thread.
	open func(name string) device
	// queues makes one with so many queues, if it can have several.
	queues func(name string, n int) []device
}

func (p peer) called() string { return p.name }

var peers = []peer{
	{name: "mytun", open: openRings, queues: openRingsQueues},
	{name: "stock, read/write as from C", open: openStock},
	{name: "stock with IFF_NAPI, as from C", open: openStockNAPI},
	{name: "stock, Go's os.File", open: openFile},
	{name: "water", path: "github.com/songgao/water", open: openWater},
	{name: "wireguard-go tun", path: "golang.zx2c4.com/wireguard", open: openWireguard},
	{name: "nebula overlay tun", path: "github.com/slackhq/nebula", open: openNebula},
	{name: "vhost-net rings", open: openVhost},
}

// version of a module that is part of this program.
func version(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		log.Fatal("built without modules")
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return strings.TrimSuffix(m.Version, "+incompatible")
		}
	}
	log.Fatalf("no module %s in this program", path)
	return ""
}

// polled is a device whose file can be polled, even where the API does not show it.
type polled struct{ fd int }

func (p polled) ready() bool { return readable(p.fd, 0) }

// openPolled calls open, and finds the file of the device node that it has opened.
func openPolled(node string, open func()) polled {
	before := filesOf(node)
	open()
	for fd := range filesOf(node) {
		if !before[fd] {
			return polled{fd}
		}
	}
	log.Fatalf("%s has not been opened", node)
	return polled{}
}

// filesOf is the descriptors that this program has of a file.
func filesOf(path string) map[int]bool {
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	fds := make(map[int]bool)
	for _, e := range entries {
		// The descriptor of the directory itself is gone by now.
		if to, err := os.Readlink(dir + e.Name()); err == nil && to == path {
			fd, err := strconv.Atoi(e.Name())
			if err != nil {
				log.Fatal(err)
			}
			fds[fd] = true
		}
	}
	return fds
}

// readable waits for so many milliseconds, or, if it is negative, until there is something to read.
func readable(fd, ms int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, ms)
		if err != unix.EINTR {
			return n == 1
		}
	}
}
