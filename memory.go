// SPDX-License-Identifier: MIT

package mytun

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/mytun/mytun/internal/uapi"
)

// This is the one file of the package that uses unsafe: a structure which the
// kernel and the program share can only be seen as a Go structure, and loaded
// and stored with sync/atomic, through a converted pointer. Where memory begins and
// ends is checked once, in mapRings; a window and a span say why nothing that
// is computed from them lies outside.

// rings are the places of a queue's rings in its mapping.
type rings struct {
	rxProd, rxCons *uapi.End
	txProd, txCons *uapi.End
	rxData, txData []byte // twice as long as the ring
}

// mapRings finds the rings in mem, the mapping. It returns an error if
// the kernel's answer g cannot be true of it.
func mapRings(mem []byte, g *uapi.Rings) (rings, error) {
	for _, size := range []uint32{g.RxSize, g.TxSize} {
		if size < uapi.RingSizeMin || size > uapi.RingSizeMax || size&(size-1) != 0 {
			return rings{}, errGeometry
		}
	}
	for _, area := range []struct {
		off, size uint32
	}{
		{g.RxProd, uint32(unsafe.Sizeof(uapi.End{}))},
		{g.RxCons, uint32(unsafe.Sizeof(uapi.End{}))},
		{g.TxProd, uint32(unsafe.Sizeof(uapi.End{}))},
		{g.TxCons, uint32(unsafe.Sizeof(uapi.End{}))},
		{g.RxData, 2 * g.RxSize},
		{g.TxData, 2 * g.TxSize},
	} {
		if area.off%uapi.RingSizeMin != 0 || uint64(area.off)+uint64(area.size) > uint64(len(mem)) {
			return rings{}, errGeometry
		}
	}
	return rings{
		rxProd: endAt(mem, g.RxProd),
		rxCons: endAt(mem, g.RxCons),
		txProd: endAt(mem, g.TxProd),
		txCons: endAt(mem, g.TxCons),
		rxData: area(mem, g.RxData, 2*g.RxSize),
		txData: area(mem, g.TxData, 2*g.TxSize),
	}, nil
}

var errGeometry = errors.New("the device's rings are not where they can be")

func area(mem []byte, off, size uint32) []byte {
	return mem[off : off+size : off+size]
}

func endAt(mem []byte, off uint32) *uapi.End {
	mem = mem[off : off+uint32(unsafe.Sizeof(uapi.End{}))]
	return (*uapi.End)(unsafe.Pointer(&mem[0]))
}

// getVNet gets the fields of the record that are those of a VNet, in the same order.
func getVNet(v *VNet, rec *uapi.Rec) { *v = *(*VNet)(unsafe.Pointer(&rec.VnetFlags)) }

// setVNet sets them.
func setVNet(rec *uapi.Rec, v *VNet) { *(*VNet)(unsafe.Pointer(&rec.VnetFlags)) = *v }

// protoOf returns the record's protocol number, which is in network byte order.
func protoOf(rec *uapi.Rec) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&rec.Proto))[:])
}

// setProto sets it.
func setProto(rec *uapi.Rec, proto uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&rec.Proto))[:], proto)
}

// The fields are as many bytes, and begin and end alike.
var (
	_ = [1]struct{}{}[unsafe.Offsetof(uapi.Rec{}.CsumOffset)-unsafe.Offsetof(uapi.Rec{}.VnetFlags)-unsafe.Offsetof(VNet{}.CsumOffset)]
	_ = [1]struct{}{}[unsafe.Offsetof(uapi.Rec{}.HdrLen)-unsafe.Offsetof(uapi.Rec{}.VnetFlags)-unsafe.Offsetof(VNet{}.HdrLen)]
)

// window is the memory of a ring, mapped twice in a row, so that no record is cut
// in two. A position, whatever its value, is a place in the first of the two, a
// multiple of RecAlign if it is one: from there on at least the ring's size lies
// within.
type window struct {
	base *byte
	mask uint32 // the ring's size, a power of two, less one
}

// windowOf returns the window of the two mappings.
func windowOf(twice []byte) window {
	return window{base: &twice[0], mask: uint32(len(twice)/2 - 1)}
}

// rec returns the header of the record at pos.
func (w window) rec(pos uint32) *uapi.Rec {
	return (*uapi.Rec)(unsafe.Add(unsafe.Pointer(w.base), pos&w.mask))
}

// room returns the bytes of the record at pos behind its header. The record's
// size is more than a header's and not more than the ring's.
func (w window) room(pos, size uint32) span {
	return span{(*byte)(unsafe.Add(unsafe.Pointer(w.base), pos&w.mask+uapi.RecSize)), size - uapi.RecSize}
}

// span is the memory that a packet may take, headroom and tailroom with it: a
// slice that has no capacity beside its length, in less memory.
type span struct {
	first *byte // nil: of no packet
	size  uint32
}

// spanOf returns the memory of b, which is not empty.
func spanOf(b []byte) span { return span{&b[0], uint32(len(b))} }

// bytes returns all of it.
func (s span) bytes() []byte { return unsafe.Slice(s.first, s.size) }

// part returns n bytes that begin at off, with the rest of the span as capacity.
// off must be less than its size. It panics if n is more than there is.
func (s span) part(off, n uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(s.first), off)), s.size-off)[:n]
}
