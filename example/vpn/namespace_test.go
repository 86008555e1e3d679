// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The two ends of a test's underlay, as in the documentation's addresses.
const (
	left4, right4 = "192.0.2.1", "192.0.2.2"
	left6, right6 = "2001:db8::1", "2001:db8::2"
)

// A namespace is a network namespace of its own, which is gone when the test ends.
type namespace netns.NsHandle

// do calls f on a thread in the namespace. What f opens stays in the namespace; f must not use
// t.FailNow.
func (n namespace) do(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never back: the thread ends with the goroutine
		err := netns.Set(netns.NsHandle(n))
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// underlay returns two namespaces with a virtual Ethernet between them.
func underlay(t *testing.T) (left, right namespace) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	left, right = newNamespace(t), newNamespace(t)
	left.do(t, func() error {
		if err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: "under", MTU: 1500},
			PeerName:      "under",
			PeerNamespace: netlink.NsFd(right),
		}); err != nil {
			return fmt.Errorf("veth: %w", err)
		}
		return configure("under", left4+"/24", left6+"/64")
	})
	right.do(t, func() error { return configure("under", right4+"/24", right6+"/64") })
	return left, right
}

func newNamespace(t *testing.T) namespace {
	t.Helper()
	type result struct {
		ns  netns.NsHandle
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread()
		ns, err := netns.New()
		if err == nil {
			err = configure("lo")
		}
		made <- result{ns, err}
	}()
	r := <-made
	if r.err != nil {
		t.Skip("no network namespace: ", r.err)
	}
	t.Cleanup(func() { r.ns.Close() })
	return namespace(r.ns)
}

// configure gives an interface addresses and sets it up.
func configure(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD // it can be used at once
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// interfaces returns the names of all interfaces of the namespace.
func (n namespace) interfaces(t *testing.T) (names []string) {
	n.do(t, func() error {
		all, err := net.Interfaces()
		for _, i := range all {
			names = append(names, i.Name)
		}
		return err
	})
	return names
}
