// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// defaultMTU is that of an Ethernet, for a network of which nothing is known.
const defaultMTU = 1500

// interfaceMTU returns the MTU of the interface that has the address, or defaultMTU.
func interfaceMTU(ip net.IP) int {
	interfaces, err := net.Interfaces()
	if err != nil {
		return defaultMTU
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
				return i.MTU
			}
		}
	}
	return defaultMTU
}

// addAddresses gives an interface addresses, each with the length of its network's prefix. They
// go away with the interface.
func addAddresses(name string, addresses []netip.Prefix) error {
	if len(addresses) == 0 {
		return nil
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, a := range addresses {
		n := net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}
		// Nobody else can have the address, so nothing is to be detected and it can be used at once.
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &n, Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("%s: address %v: %w", name, a, err)
		}
	}
	return nil
}
