// SPDX-License-Identifier: MIT

package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// TCPLen is the length of a TCP header without options.
const TCPLen = 20

// Bits of TCP.Flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

const protoTCP = 6

// ErrNotTCP is an error of ParseTCP.
var ErrNotTCP = errors.New("not a TCP segment over IP without extensions or fragments")

// TCP is a TCP segment.
type TCP struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    uint8
	Window   uint16
	Options  []byte // of a length that 4 divides
	Payload  []byte
}

// AppendTCP appends to b the IP packet of a segment. Where the checksum of an
// unfinished one goes lies the sum over the pseudo header.
func AppendTCP(b []byte, s *TCP, unfinished bool) []byte {
	length := TCPLen + len(s.Options) + len(s.Payload)
	b = appendIP(b, s.Src.Addr(), s.Dst.Addr(), protoTCP, length)
	tcp := len(b)
	b = binary.BigEndian.AppendUint16(b, s.Src.Port())
	b = binary.BigEndian.AppendUint16(b, s.Dst.Port())
	b = binary.BigEndian.AppendUint32(b, s.Seq)
	b = binary.BigEndian.AppendUint32(b, s.Ack)
	b = append(b, byte(TCPLen+len(s.Options))<<2, s.Flags)
	b = binary.BigEndian.AppendUint16(b, s.Window)
	b = append(b, 0, 0, 0, 0)
	b = append(append(b, s.Options...), s.Payload...)
	check := fold(pseudo(s.Src.Addr(), s.Dst.Addr(), protoTCP, length))
	if !unfinished {
		check = ^fold(sum(uint64(check), b[tcp:]))
	}
	binary.BigEndian.PutUint16(b[tcp+16:], check)
	return b
}

// ParseTCP reads an IP packet with a TCP segment, and checks its lengths and
// checksums. Of an unfinished one the checksum is the sum over the pseudo header.
// Options and payload are parts of pkt.
func ParseTCP(pkt []byte, unfinished bool) (s TCP, err error) {
	from, to, tcp, err := parseIP(pkt, protoTCP, ErrNotTCP)
	if err != nil {
		return s, err
	}
	if len(tcp) < TCPLen {
		return s, ErrLength
	}
	head := int(tcp[12]>>4) * 4
	if head < TCPLen || head > len(tcp) {
		return s, ErrLength
	}
	check := pseudo(from, to, protoTCP, len(tcp))
	if unfinished && fold(check) != binary.BigEndian.Uint16(tcp[16:]) ||
		!unfinished && fold(sum(check, tcp)) != 0xffff {
		return s, ErrChecksum
	}
	return TCP{
		Src:     netip.AddrPortFrom(from, binary.BigEndian.Uint16(tcp)),
		Dst:     netip.AddrPortFrom(to, binary.BigEndian.Uint16(tcp[2:])),
		Seq:     binary.BigEndian.Uint32(tcp[4:]),
		Ack:     binary.BigEndian.Uint32(tcp[8:]),
		Flags:   tcp[13],
		Window:  binary.BigEndian.Uint16(tcp[14:]),
		Options: tcp[TCPLen:head],
		Payload: tcp[head:],
	}, nil
}
