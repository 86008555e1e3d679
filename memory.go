// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"unsafe"

	"github.com/mytun/mytun/internal/uapi"
)

// This is the one file of the package that uses unsafe: a structure which the
// kernel and the program share can only be seen as a Go structure, and loaded
// and stored with sync/atomic, through a converted pointer. Each conversion
// here starts from the address of a slice element, so that bounds are checked.

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
		rxData: window(mem, g.RxData, 2*g.RxSize),
		txData: window(mem, g.TxData, 2*g.TxSize),
	}, nil
}

var errGeometry = errors.New("the device's rings are not where they can be")

func window(mem []byte, off, size uint32) []byte {
	return mem[off : off+size : off+size]
}

func endAt(mem []byte, off uint32) *uapi.End {
	mem = mem[off : off+uint32(unsafe.Sizeof(uapi.End{}))]
	return (*uapi.End)(unsafe.Pointer(&mem[0]))
}

// vnetOf returns the fields of a record that are those of a VNet, in the same order.
func vnetOf(rec *uapi.Rec) VNet { return *(*VNet)(unsafe.Pointer(&rec.VnetFlags)) }

// The fields are as many bytes, and begin and end alike.
var (
	_ = [1]struct{}{}[unsafe.Offsetof(uapi.Rec{}.CsumOffset)-unsafe.Offsetof(uapi.Rec{}.VnetFlags)-unsafe.Offsetof(VNet{}.CsumOffset)]
	_ = [1]struct{}{}[unsafe.Offsetof(uapi.Rec{}.HdrLen)-unsafe.Offsetof(uapi.Rec{}.VnetFlags)-unsafe.Offsetof(VNet{}.HdrLen)]
)

// recordAt returns the header of the record that begins at data[at].
func recordAt(data []byte, at uint32) *uapi.Rec {
	data = data[at : at+uapi.RecSize]
	return (*uapi.Rec)(unsafe.Pointer(&data[0]))
}
