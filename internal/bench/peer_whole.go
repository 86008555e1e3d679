// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun"
)

// tcpPeers are ways to take and give TCP that a program has to be made for.
var tcpPeers = []peer{
	{name: wholeName, open: openRingsWhole},
	{name: "mytun, verified", open: openRingsVerified},
	{name: "stock, 64 KiB whole, as from C", open: openStockWhole},
}

const wholeName = "mytun, 64 KiB whole"

// openRingsWhole takes packets of up to 64 KiB as the stack has them.
func openRingsWhole(name string) device {
	return &ringsWhole{openConfig(mytun.Config{Name: name, WholeGSO: true, RXSize: 1 << 22, TXSize: 1 << 22})}
}

type ringsWhole struct{ *rings }

// pump hands on what the stack gave as it is.
func (r *ringsWhole) pump(to *ringsWhole) {
	for {
		pkts := r.lease()
		if _, err := to.q.WritePackets(pkts); err != nil {
			log.Fatal(err)
		}
		r.q.Release(pkts)
	}
}

// ringsVerified says of each packet that it sends that its checksum is right, as a VPN knows of what
// it has authenticated.
type ringsVerified struct {
	*rings
	sent [batch]mytun.Packet
}

func openRingsVerified(name string) device {
	return &ringsVerified{rings: openConfig(mytun.Config{Name: name})}
}

func (r *ringsVerified) send(pkts [][]byte) {
	for i, p := range pkts {
		r.sent[i] = mytun.Packet{Data: p, VNet: mytun.VNet{Flags: mytun.VNetDataValid}}
	}
	if _, err := r.q.WritePackets(r.sent[:len(pkts)]); err != nil {
		log.Fatal(err)
	}
}

// stockWhole takes packets of up to 64 KiB as the stack has them, and sends finished ones.
type stockWhole struct {
	*stock
	header [vnetSize]byte // of a packet that is complete
	vec    [2]unix.Iovec
}

const vnetSize = 10

func openStockWhole(name string) device {
	s := &stockWhole{stock: newStock(name, unix.IFF_VNET_HDR)}
	const offload = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if err := unix.IoctlSetInt(s.fd, unix.TUNSETOFFLOAD, offload); err != nil {
		log.Fatalf("TUNSETOFFLOAD: %v", err)
	}
	return s
}

func (s *stockWhole) take(f func([][]byte)) {
	s.stock.take(func(pkts [][]byte) {
		pkts[0] = pkts[0][vnetSize:]
		f(pkts)
	})
}

func (s *stockWhole) send(pkts [][]byte) {
	s.vec[0] = unix.Iovec{Base: &s.header[0], Len: vnetSize}
	for _, p := range pkts {
		s.vec[1] = unix.Iovec{Base: &p[0]}
		s.vec[1].SetLen(len(p))
		if _, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(s.fd), uintptr(unsafe.Pointer(&s.vec[0])), 2); errno != 0 {
			log.Fatalf("writev: %v", errno)
		}
	}
}
