// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"runtime"
	"sync/atomic"

	"github.com/sirupsen/logrus"
	"github.com/slackhq/nebula/config"
	"github.com/slackhq/nebula/overlay"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// nebula is the device of slackhq's Nebula, one packet with each call, as its Interface drives it.
type nebula struct {
	polled
	dev    overlay.Device
	link   netlink.Link
	route  *netlink.Handle // of the namespace in which the interface was made
	closed atomic.Bool
	buf    [nebulaSize]byte
	pkts   [1][]byte
}

// nebulaSize is what Nebula itself reads into.
const nebulaSize = 9001

// openNebula does not call Activate, with which Nebula sets the address, the routes, the MTU and the
// length of the queue: the benchmark sets all interfaces up alike, and no read or write depends on it.
func openNebula(name string) device {
	n := new(nebula)
	n.polled = openPolled(stockNode, func() {
		l := logrus.New()
		c := config.NewC(l)
		err := c.LoadString("tun: {dev: " + name + "}")
		if err == nil {
			n.dev, err = overlay.NewDeviceFromConfig(c, l, nil, 1)
		}
		if err != nil {
			log.Fatalf("nebula: %v", err)
		}
	})
	var err error
	if n.route, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		log.Fatal(err)
	}
	if n.link, err = n.route.LinkByName(name); err != nil {
		log.Fatal(err)
	}
	return n
}

func (n *nebula) take(f func([][]byte)) {
	size, err := n.dev.Read(n.buf[:])
	if err != nil {
		if n.closed.Load() {
			runtime.Goexit()
		}
		log.Fatal(err)
	}
	n.pkts[0] = n.buf[:size]
	f(n.pkts[:])
}

func (n *nebula) send(pkts [][]byte) {
	for _, p := range pkts {
		if _, err := n.dev.Write(p); err != nil {
			log.Fatal(err)
		}
	}
}

// close takes the interface away first. Nebula's read waits in the kernel, and its Close does not end
// it, for Nebula ends with the process.
func (n *nebula) close() {
	n.closed.Store(true)
	if err := n.route.LinkDel(n.link); err != nil {
		log.Fatal(err)
	}
	n.dev.Close()
	n.route.Close()
}
