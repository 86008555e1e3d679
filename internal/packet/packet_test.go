// SPDX-License-Identifier: MIT

package packet

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
)

var pairs = [][2]netip.AddrPort{
	{netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.2:2000")},
	{netip.MustParseAddrPort("[fd00::1]:1000"), netip.MustParseAddrPort("[fd00::2]:65535")},
}

func TestParseReadsWhatAppendWrote(t *testing.T) {
	for _, pair := range pairs {
		for size := range 70 {
			payload := bytes.Repeat([]byte{byte(size), 0xff}, size)[:size]
			pkt := AppendUDP([]byte("before"), pair[0], pair[1], payload)[6:]
			src, dst, got, err := ParseUDP(pkt)
			if err != nil || src != pair[0] || dst != pair[1] || !bytes.Equal(got, payload) {
				t.Fatalf("%v, %d bytes: %v, %v, % x, %v", pair, size, src, dst, got, err)
			}
		}
	}
}

// A packet whose checksums were worked out by hand.
func TestAppendUDPBytes(t *testing.T) {
	for _, tt := range []struct {
		pair [2]netip.AddrPort
		want string
	}{
		{
			[2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1234"), netip.MustParseAddrPort("192.0.2.2:53")},
			"4500001e000040004011b6cbc0000201c0000202" + "04d20035000a0e66" + "6869",
		},
	} {
		if got := hex.EncodeToString(AppendUDP(nil, tt.pair[0], tt.pair[1], []byte("hi"))); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestParseFindsDamage(t *testing.T) {
	for _, pair := range pairs {
		good := AppendUDP(nil, pair[0], pair[1], []byte("payload"))
		for i := range good {
			if pair[0].Addr().Is6() && (i < 4 || i == 7) {
				continue // traffic class, flow label and hop limit are in no checksum
			}
			bad := bytes.Clone(good)
			bad[i] ^= 0x5a
			if _, _, _, err := ParseUDP(bad); err == nil {
				t.Errorf("%v: byte %d is wrong and nobody noticed", pair[0].Addr(), i)
			}
			if _, _, _, err := ParseUDP(good[:i]); err == nil {
				t.Errorf("%v: %d bytes are a packet", pair[0].Addr(), i)
			}
		}
	}
}

func FuzzParseUDP(f *testing.F) {
	for _, pair := range pairs {
		f.Add(AppendUDP(nil, pair[0], pair[1], []byte("payload")))
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		src, dst, payload, err := ParseUDP(pkt)
		if err != nil {
			return
		}
		again := AppendUDP(nil, src, dst, payload)
		if s, d, p, err := ParseUDP(again); s != src || d != dst || !bytes.Equal(p, payload) || err != nil {
			t.Errorf("% x\nbecame % x", pkt, again)
		}
	})
}
