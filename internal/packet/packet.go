// SPDX-License-Identifier: MIT

// Package packet builds and reads UDP and TCP packets over IPv4 and IPv6, for tests and
// measurements: what a program on the other side of a TUN interface would send.
package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Bytes of the headers that this package writes.
const (
	EthernetLen = 14
	IPv4Len     = 20
	IPv6Len     = 40
	UDPLen      = 8
)

// Ethernet protocol numbers, in the machine's byte order.
const (
	ProtoIPv4 = 0x0800
	ProtoIPv6 = 0x86dd
)

const (
	protoUDP    = 17
	protoICMP   = 1
	protoICMPv6 = 58
	hopLimit    = 64
)

// Errors of Parse.
var (
	ErrNotUDP   = errors.New("not a UDP packet over IP without extensions or fragments")
	ErrLength   = errors.New("a length field says something else than the length")
	ErrChecksum = errors.New("a checksum is wrong")
)

// AppendEcho appends to b the IP packet of an ICMP echo request, or of an ICMPv6
// one, from src to dst.
func AppendEcho(b []byte, src, dst netip.Addr) []byte {
	const length = 8
	kind, proto, from := byte(8), byte(protoICMP), uint64(0)
	if src.Is6() {
		kind, proto = 128, protoICMPv6
		from = pseudo(src, dst, protoICMPv6, length)
	}
	b = appendIP(b, src, dst, proto, length)
	icmp := len(b)
	b = append(b, kind, 0, 0, 0, 0, 1, 0, 1) // identifier 1, sequence number 1
	binary.BigEndian.PutUint16(b[icmp+2:], ^fold(sum(from, b[icmp:])))
	return b
}

// appendIP appends an IP header for length bytes of payload.
func appendIP(b []byte, src, dst netip.Addr, proto byte, length int) []byte {
	start := len(b)
	if src.Is4() {
		b = append(b,
			0x45, 0, byte((IPv4Len+length)>>8), byte(IPv4Len+length),
			0, 0, 0x40, 0, // don't fragment
			hopLimit, proto, 0, 0)
	} else {
		b = append(b, 0x60, 0, 0, 0, byte(length>>8), byte(length), proto, hopLimit)
	}
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	if src.Is4() {
		binary.BigEndian.PutUint16(b[start+10:], ^fold(sum(0, b[start:])))
	}
	return b
}

// AppendUDP appends to b the IP packet of a UDP datagram from src to dst, which
// are addresses of the same family.
func AppendUDP(b []byte, src, dst netip.AddrPort, payload []byte) []byte {
	length := UDPLen + len(payload)
	b = appendIP(b, src.Addr(), dst.Addr(), protoUDP, length)
	udp := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = append(b, payload...)
	check := ^fold(sum(pseudo(src.Addr(), dst.Addr(), protoUDP, length), b[udp:]))
	if check == 0 {
		check = 0xffff // 0 would say that there is none
	}
	binary.BigEndian.PutUint16(b[udp+6:], check)
	return b
}

// AppendEthernet appends to b an Ethernet header.
func AppendEthernet(b []byte, dst, src [6]byte, proto uint16) []byte {
	b = append(append(b, dst[:]...), src[:]...)
	return binary.BigEndian.AppendUint16(b, proto)
}

// ParseUDP reads an IP packet with a UDP datagram, and checks its lengths and
// checksums. The payload is a part of pkt.
func ParseUDP(pkt []byte) (src, dst netip.AddrPort, payload []byte, err error) {
	from, to, udp, err := parseIP(pkt, protoUDP, ErrNotUDP)
	if err != nil {
		return src, dst, nil, err
	}
	if len(udp) < UDPLen || int(binary.BigEndian.Uint16(udp[4:])) != len(udp) {
		return src, dst, nil, ErrLength
	}
	if udp[6]|udp[7] != 0 && fold(sum(pseudo(from, to, protoUDP, len(udp)), udp)) != 0xffff {
		return src, dst, nil, ErrChecksum
	}
	src = netip.AddrPortFrom(from, binary.BigEndian.Uint16(udp))
	dst = netip.AddrPortFrom(to, binary.BigEndian.Uint16(udp[2:]))
	return src, dst, udp[UDPLen:], nil
}

// parseIP returns the payload of an IP packet of that protocol; other is the error
// for those of others.
func parseIP(pkt []byte, proto byte, other error) (src, dst netip.Addr, payload []byte, err error) {
	switch {
	case len(pkt) >= IPv4Len && pkt[0] == 0x45 && pkt[9] == proto && pkt[6]&0x3f|pkt[7] == 0:
		if int(binary.BigEndian.Uint16(pkt[2:])) != len(pkt) {
			return src, dst, nil, ErrLength
		}
		if fold(sum(0, pkt[:IPv4Len])) != 0xffff {
			return src, dst, nil, ErrChecksum
		}
		src, _ = netip.AddrFromSlice(pkt[12:16])
		dst, _ = netip.AddrFromSlice(pkt[16:20])
		return src, dst, pkt[IPv4Len:], nil
	case len(pkt) >= IPv6Len && pkt[0]>>4 == 6 && pkt[6] == proto:
		if int(binary.BigEndian.Uint16(pkt[4:])) != len(pkt)-IPv6Len {
			return src, dst, nil, ErrLength
		}
		src, _ = netip.AddrFromSlice(pkt[8:24])
		dst, _ = netip.AddrFromSlice(pkt[24:40])
		return src, dst, pkt[IPv6Len:], nil
	}
	return src, dst, nil, other
}

// PseudoUDP is what an unfinished UDP packet has for its checksum: the sum over the
// pseudo header of a datagram of length bytes, its header included.
func PseudoUDP(src, dst netip.Addr, length int) uint16 {
	return fold(pseudo(src, dst, protoUDP, length))
}

// pseudo is the sum over the pseudo header of a protocol.
func pseudo(src, dst netip.Addr, proto byte, length int) uint64 {
	return sum(sum(uint64(proto)+uint64(length), src.AsSlice()), dst.AsSlice())
}

// sum adds the 16-bit words of b to s.
func sum(s uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
