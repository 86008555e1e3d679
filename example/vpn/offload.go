// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// UDP segmentation offload. One message to the kernel can be many datagrams, of one length but for
// the last, to one destination (UDP_SEGMENT); they go through the network stack as one, and are
// cut by the network card or just before it. In return the kernel hands over datagrams that came in
// a row as one message (UDP_GRO). What a program then pays for each datagram is its own work.

const (
	// maxSegments is how many datagrams Linux takes in one message.
	maxSegments = 64

	// maxMessage is the longest message, the largest IPv4 packet without its headers.
	maxMessage = 65535 - ipv4.HeaderLen - 8
)

// oobSize is room for the one control message that says the length of the datagrams in a message:
// two bytes when sending, four when receiving.
var oobSize = unix.CmsgSpace(4)

// putSegmentSize writes the control message that makes the kernel cut a message into datagrams of
// size bytes into oob, and returns the part of it that is used.
func putSegmentSize(oob []byte, size int) []byte {
	oob = oob[:unix.CmsgSpace(2)]
	clear(oob)
	// struct cmsghdr has the machine's word size, which only unsafe can write portably.
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(oob[unix.CmsgLen(0):], uint16(size))
	return oob
}

// segmentSize returns the length of the datagrams in a message of n bytes that was received with these
// control messages.
func segmentSize(oob []byte, n int) int {
	for len(oob) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			if size := int(binary.NativeEndian.Uint32(data)); size > 0 {
				return size
			}
		}
		oob = rest
	}
	return max(n, 1)
}

// row returns how many of the first datagrams can go as one message.
func row(datagrams [][]byte) int {
	size, total := len(datagrams[0]), 0
	for i, d := range datagrams {
		total += len(d)
		switch {
		case i == maxSegments || total > maxMessage || len(d) > size:
			return i
		case len(d) < size:
			return i + 1 // a shorter one is the last
		}
	}
	return len(datagrams)
}
