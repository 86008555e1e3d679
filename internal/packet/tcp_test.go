// SPDX-License-Identifier: MIT

package packet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

func TestParseReadsTCPThatAppendWrote(t *testing.T) {
	for _, pair := range pairs {
		for _, unfinished := range []bool{false, true} {
			for size := range 70 {
				want := TCP{
					Src: pair[0], Dst: pair[1], Seq: 1<<32 - 1, Ack: uint32(size), Flags: ACK | PSH,
					Window: 1000, Options: make([]byte, size%3*4),
					Payload: bytes.Repeat([]byte{byte(size), 0xff}, size)[:size],
				}
				pkt := AppendTCP([]byte("before"), &want, unfinished)[6:]
				got, err := ParseTCP(pkt, unfinished)
				if err != nil || got.Src != want.Src || got.Dst != want.Dst || got.Seq != want.Seq ||
					got.Ack != want.Ack || got.Flags != want.Flags || got.Window != want.Window ||
					!bytes.Equal(got.Options, want.Options) || !bytes.Equal(got.Payload, want.Payload) {
					t.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
				}
				if _, err := ParseTCP(pkt, !unfinished); !errors.Is(err, ErrChecksum) {
					t.Errorf("unfinished is %v, and the other way: %v", unfinished, err)
				}
			}
		}
	}
}

// A SYN whose checksums were worked out by hand.
func TestAppendTCPBytes(t *testing.T) {
	s := TCP{
		Src: netip.MustParseAddrPort("192.0.2.1:80"), Dst: netip.MustParseAddrPort("192.0.2.2:53"),
		Seq: 1, Flags: SYN, Window: 65535, Options: []byte{2, 4, 5, 0xb4},
	}
	const ip = "4500002c000040004006b6c8c0000201c0000202"
	for unfinished, check := range map[bool]string{false: "139d", true: "8422"} {
		want := ip + "005000350000000100000000" + "6002ffff" + check + "0000020405b4"
		if got := hex.EncodeToString(AppendTCP(nil, &s, unfinished)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestParseTCPFindsDamage(t *testing.T) {
	for _, pair := range pairs {
		s := TCP{Src: pair[0], Dst: pair[1], Flags: ACK, Options: make([]byte, 8), Payload: []byte("payload")}
		good := AppendTCP(nil, &s, false)
		for i := range good {
			if pair[0].Addr().Is6() && (i < 4 || i == 7) {
				continue // traffic class, flow label and hop limit are in no checksum
			}
			bad := bytes.Clone(good)
			bad[i] ^= 0x5a
			if _, err := ParseTCP(bad, false); err == nil {
				t.Errorf("%v: byte %d is wrong and nobody noticed", pair[0].Addr(), i)
			}
			if _, err := ParseTCP(good[:i], false); err == nil {
				t.Errorf("%v: %d bytes are a packet", pair[0].Addr(), i)
			}
		}
	}
}

func FuzzParseTCP(f *testing.F) {
	for _, pair := range pairs {
		for _, unfinished := range []bool{false, true} {
			s := TCP{Src: pair[0], Dst: pair[1], Flags: ACK, Options: make([]byte, 4), Payload: []byte("payload")}
			good := AppendTCP(nil, &s, unfinished)
			f.Add(good, unfinished)
			// A header that says to be shorter than one is, which the checksum makes up for.
			bad := bytes.Clone(good)
			tcp := bad[len(bad)-TCPLen-len(s.Options)-len(s.Payload):]
			tcp[12], tcp[18] = 4<<4, 2<<4
			f.Add(bad, unfinished)
		}
	}
	f.Fuzz(func(t *testing.T, pkt []byte, unfinished bool) {
		s, err := ParseTCP(pkt, unfinished)
		if err != nil {
			return
		}
		again := AppendTCP(nil, &s, unfinished)
		if got, err := ParseTCP(again, unfinished); !reflect.DeepEqual(got, s) || len(again) != len(pkt) || err != nil {
			t.Errorf("% x\nbecame % x: %v", pkt, again, err)
		}
	})
}
