// SPDX-License-Identifier: MIT

// Package uapi is the Go twin of kmod/uapi/mytun.h: the constants, structures
// and ioctl numbers that the module and a program share. The header is the
// contract and says what everything means; a test of this package holds the
// two equal. Names are the header's without their MYTUN_ prefix, in Go's case.
package uapi

// ABIVersion is the version of the contract that this package was written for.
const ABIVersion = 2

// Bytes of one data area: a power of two within these limits.
const (
	RingSizeMin   = 1 << 12
	RingSizeMax   = 1 << 26
	RxSizeDefault = 1 << 20
	TxSizeDefault = 1 << 19
)

// RoomMax is the most headroom, and the most tailroom, in bytes.
const RoomMax = 4096

// PacketMax is the longest packet of a TX record, in bytes.
const PacketMax = 40 + 65535 + 14 + 8

// QueuesMax is the most queues of one interface.
const QueuesMax = 256

// Flags of IocRings.
const (
	RingsFEventIdx = 1 << 0
	RingsFHash     = 1 << 1
	RingsFAll      = RingsFEventIdx | RingsFHash
)

// Rings is the argument of IocRings, struct mytun_rings.
type Rings struct {
	Flags      uint32 // in: RingsF...
	RxSize     uint32 // in: bytes of the RX data area
	TxSize     uint32 // in: bytes of the TX data area
	RxHeadroom uint16 // in: bytes free before each RX packet
	RxTailroom uint16 // in: bytes free after each RX packet
	RxProd     uint32 // out: offset of the kernel's end of the RX ring
	RxCons     uint32 // out: offset of the program's end of the RX ring
	RxData     uint32 // out: offset of the RX data area
	TxProd     uint32 // out: offset of the program's end of the TX ring
	TxCons     uint32 // out: offset of the kernel's end of the TX ring
	TxData     uint32 // out: offset of the TX data area
	MapSize    uint64 // out: bytes to map
	Reserved   [4]uint32
}

// Flags of an End that the kernel writes.
const (
	EndFFault    = 1 << 0 // the program broke the protocol
	EndFDetached = 1 << 1 // the queue left its interface
)

// End is one end of a ring, struct mytun_end, at the start of a page. Its
// fields are shared memory: use sync/atomic.
type End struct {
	Pos      uint32
	Event    uint32
	Flags    uint32
	Reserved uint32
	Drops    uint64
}

// RecAlign divides every position and every record size.
const RecAlign = 16

// RecBusy in Rec.Size of an RX record: the kernel is still writing it.
const RecBusy = 1 << 31

// RecFSkip in Rec.Flags of a TX record: there is no packet here.
const RecFSkip = 1 << 0

// Rec is the header of a record, struct mytun_rec.
type Rec struct {
	Size       uint32
	Len        uint32
	Off        uint16
	Flags      uint16
	Hash       uint32
	Proto      uint16 // network byte order
	Reserved   uint16
	VnetFlags  uint8
	GsoType    uint8
	HdrLen     uint16
	GsoSize    uint16
	CsumStart  uint16
	CsumOffset uint16
	Reserved2  uint16
}

// RecSize is the size of a Rec in bytes.
const RecSize = 32

// Info is the answer of IocInfo, struct mytun_info.
type Info struct {
	ABIVersion  uint32
	RingsFlags  uint32
	RingSizeMin uint32
	RingSizeMax uint32
	Queue       uint32 // ^0: not attached
	Ifindex     uint32 // 0: not attached
	QueuesMax   uint32
	ModeFlags   uint32 // ModeF... that the module knows
	Injections  uint32 // bit 1<<Inject... for each that it knows
	Reserved    [7]uint32
}

// Flags of a Mode.
const (
	ModeFBackpressure = 1 << 0
	ModeFRecords      = 1 << 1
	ModeFAll          = ModeFBackpressure | ModeFRecords
)

// Who takes the packets of the TX ring up the stack: Mode.Inject.
const (
	InjectSoftirq = 0
	InjectThread  = 1
	InjectDirect  = 2
)

// Mode is the argument of IocSetMode and IocGetMode, struct mytun_mode.
type Mode struct {
	Flags    uint32 // ModeF...
	Inject   uint32 // Inject...
	Reserved [6]uint32
}

// Eventfds is the argument of IocEventfds, struct mytun_eventfds.
type Eventfds struct {
	Rx       int32 // -1: none
	Tx       int32 // -1: none
	Reserved [2]uint32
}

// Argument of IocDoorbell.
const (
	DoorbellTx = 0
	DoorbellRx = 1
)

// IocMagic is the type byte of the module's ioctls.
const IocMagic = 0xBE

// The module's ioctls.
const (
	IocRings    = iocRead | iocWrite | ringsSize<<16 | IocMagic<<8 | 1
	IocDoorbell = iocNone | IocMagic<<8 | 2
	IocDetach   = iocNone | IocMagic<<8 | 3
	IocInfo     = iocRead | infoSize<<16 | IocMagic<<8 | 4
	IocSetMode  = iocWrite | modeSize<<16 | IocMagic<<8 | 5
	IocGetMode  = iocRead | modeSize<<16 | IocMagic<<8 | 6
	IocEventfds = iocWrite | eventfdsSize<<16 | IocMagic<<8 | 7
)

const (
	ringsSize    = 64
	infoSize     = 64
	modeSize     = 32
	eventfdsSize = 16
)

// NeedEvent tells whether a sleeper must be woken that wrote event, now that
// the other side, which looked last when it was at old, is at pos: whether the
// byte at position event lies in [old, pos), in arithmetic modulo 2^32.
func NeedEvent(event, pos, old uint32) bool {
	return pos-event-1 < pos-old
}
