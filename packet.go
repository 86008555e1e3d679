// SPDX-License-Identifier: MIT

package mytun

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Packet is one packet in a record of a ring: one that was received and is
// lent by [Queue.ReadBatch], or one that is being made in a record lent by
// [Queue.Reserve]. The zero Packet is none.
//
// The memory that Data and Buffer show belongs to the program from ReadBatch
// to Release, or from Reserve to Commit. It stays valid that long, even after
// the Queue is closed; afterwards it must not be touched: it may have been
// unmapped. A Packet may be copied and moved as a value, and given to another
// goroutine, but only one copy may be released or committed.
type Packet struct {
	// Data is the packet. Its capacity reaches to the end of the record, so
	// that append uses the tailroom. It may be set to any part of Buffer.
	Data []byte

	// Hash is the hash of a received packet's flow, the same for both
	// directions of a connection, if Config.Hash asked for it; else zero.
	// BackendKernel does not have it. Commit ignores it.
	Hash uint32

	// Proto is the Ethernet protocol number, in the machine's byte order:
	// 0x0800 for IPv4, 0x86dd for IPv6. With Commit on a TUN interface zero
	// means that the kernel shall see for itself whether it is IPv4 or IPv6;
	// on a TAP interface Commit ignores it. BackendKernel tells IPv4 from
	// IPv6 by the packet itself and ignores what Commit is given.
	Proto uint16

	// VNet tells what is still to be done to the packet. It is zero for one that
	// is complete as it is, which all packets of ReadBatch are without
	// Config.WholeGSO.
	VNet VNet

	pos  uint32 // of the record in the ring; of the buffer in its list
	room span   // the record without its header
}

// VNet tells what is still to be done to an unfinished packet, or need not be
// done. The fields, and the values that they can have, are those of struct
// virtio_net_hdr; numbers are in the machine's byte order and offsets count from
// the packet's first byte.
//
// A VPN that has authenticated a packet spares the stack the verification of
// its checksum:
//
//	pkt.VNet.Flags = mytun.VNetDataValid
//
// BackendKernel takes that, and verifies all the same. A packet whose VNet makes no
// sense is dropped and counted.
type VNet struct {
	Flags      uint8  // VNetNeedsCsum or VNetDataValid
	GSOType    uint8  // GSONone, or which packets this one stands for
	HdrLen     uint16 // bytes of headers to repeat before each segment
	GSOSize    uint16 // bytes of payload in each segment, the last may have less
	CsumStart  uint16 // where the checksummed part begins
	CsumOffset uint16 // where the checksum goes, counted from CsumStart
}

// Bits of VNet.Flags.
const (
	// VNetNeedsCsum says that the checksum, over the bytes from CsumStart to the
	// packet's end, is still to be made and put at CsumStart + CsumOffset. What
	// lies there is the sum over the pseudo header.
	VNetNeedsCsum = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM

	// VNetDataValid says of a packet that is written that its transport
	// checksum is right. Who says so of a corrupt packet hands that packet to
	// its receiver; and if it is one of TCP that is merged with others and then
	// forwarded, with a right checksum.
	VNetDataValid = unix.VIRTIO_NET_HDR_F_DATA_VALID
)

// Values of VNet.GSOType: a packet with one of them but GSONone stands for
// several of GSOSize bytes of payload, and needs VNetNeedsCsum too.
const (
	GSONone  = unix.VIRTIO_NET_HDR_GSO_NONE
	GSOTCPv4 = unix.VIRTIO_NET_HDR_GSO_TCPV4
	GSOTCPv6 = unix.VIRTIO_NET_HDR_GSO_TCPV6
	GSOUDP   = unix.VIRTIO_NET_HDR_GSO_UDP_L4 // of IPv4 or IPv6
	GSOECN   = unix.VIRTIO_NET_HDR_GSO_ECN    // a bit beside TCP: the first segment has CWR
)

// vnetSize is the size of struct virtio_net_hdr.
const vnetSize = 10

// encode writes v as a struct virtio_net_hdr.
func (v *VNet) encode(b *[vnetSize]byte) {
	b[0], b[1] = v.Flags, v.GSOType
	binary.NativeEndian.PutUint16(b[2:], v.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], v.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], v.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], v.CsumOffset)
}

// decode reads a struct virtio_net_hdr of a packet that is received. That a
// checksum is right says nothing new: without VNetNeedsCsum all are.
func (v *VNet) decode(b *[vnetSize]byte) {
	v.Flags, v.GSOType = b[0]&VNetNeedsCsum, b[1]
	v.HdrLen = binary.NativeEndian.Uint16(b[2:])
	v.GSOSize = binary.NativeEndian.Uint16(b[4:])
	v.CsumStart = binary.NativeEndian.Uint16(b[6:])
	v.CsumOffset = binary.NativeEndian.Uint16(b[8:])
}

// Buffer returns all of the packet's room: headroom, packet and tailroom.
func (p *Packet) Buffer() []byte { return p.room.bytes() }

// Headroom returns the number of bytes of Buffer before Data. If Data is not
// a part of Buffer, the result means nothing.
func (p *Packet) Headroom() int { return int(p.room.size) - cap(p.Data) }

// Tailroom returns the number of bytes of Buffer after Data.
func (p *Packet) Tailroom() int { return cap(p.Data) - len(p.Data) }

// Grow moves the start of Data head bytes to the front and its end tail bytes
// to the back, and returns Data. Negative numbers cut off. The bytes that are
// gained hold anything. Grow panics if there is not that much room, as a slice
// expression does.
func (p *Packet) Grow(head, tail int) []byte {
	from := p.Headroom()
	p.Data = p.Buffer()[from-head : from+len(p.Data)+tail]
	return p.Data
}

// within tells whether Data, which is not empty, is a part of Buffer, with the
// same end of its capacity: then Headroom says where it begins.
func (p *Packet) within() bool {
	off := p.Headroom()
	return off >= 0 && off < int(p.room.size) && &p.Buffer()[off] == &p.Data[0]
}
