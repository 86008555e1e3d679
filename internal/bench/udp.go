// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"log"
	"unsafe"

	"golang.org/x/sys/unix"
)

// port is where the program's packets go; nobody else listens there.
const port = 5555

func udpSocket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
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

func sendBatch(fd int, payload []byte) {
	for range batch {
		if _, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&payload[0])), uintptr(len(payload)), 0, 0, 0); errno != 0 {
			log.Fatalf("sendto: %v", errno)
		}
	}
}

// stackToProgram is what a packet from a local socket costs on its way to the program, above what
// the same send costs to a dummy device, which frees it.
func stackToProgram(open opener, size int) float64 {
	payload := make([]byte, size)
	null := connectedTo([4]byte{10, 91, 0, 2})
	defer unix.Close(null)
	base := median(func() { sendBatch(null, payload) })

	d := open()
	defer d.close()
	fd := connectedTo([4]byte{10, 90, 0, 2})
	defer unix.Close(fd)
	full := median(func() {
		sendBatch(fd, payload)
		d.receive(batch)
	})
	return (full - base) / batch
}

// programToStack is what a packet costs from the program into the receive queue of a local socket.
func programToStack(open opener, size int) float64 {
	d := open()
	defer d.close()
	fd := udpSocket()
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{10, 90, 0, 1}}); err != nil {
		log.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20); err != nil {
		log.Fatal(err)
	}
	pkts := make([][]byte, batch)
	for i := range pkts {
		pkts[i] = udpPacket(size)
	}
	return medianBetween(func() { d.send(pkts) }, func() { drainSocket(fd, batch) }) / batch
}

// udpPacket is an IPv4 packet from 10.90.0.2 to the socket of programToStack. It has no UDP
// checksum, so that its verification is no part of the cost.
func udpPacket(size int) []byte {
	p := make([]byte, 28+size)
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[8] = 64
	p[9] = unix.IPPROTO_UDP
	copy(p[16:], []byte{10, 90, 0, 1})
	binary.BigEndian.PutUint16(p[22:], port)
	binary.BigEndian.PutUint16(p[24:], uint16(8+size))
	setSource(p, 0)
	return p
}

// setSource makes it a packet of flow i.
func setSource(p []byte, i int) {
	sa := peer(90, i)
	copy(p[12:], sa.Addr[:])
	binary.NativeEndian.PutUint16(p[20:], sa.Port)
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p[:20])))
}
