// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestRow(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []int
		want  int
	}{
		{"one", []int{100}, 1},
		{"equal", []int{100, 100, 100}, 3},
		{"a shorter one ends it", []int{100, 100, 60, 60}, 3},
		{"a longer one is not of it", []int{100, 100, 120}, 2},
		{"growing", []int{40, 100}, 1},
		{"as many as one message can have", repeat(60, 100), maxSegments},
		{"as much as one message can hold", repeat(1472, 60), maxMessage / 1472},
	} {
		datagrams := make([][]byte, len(c.sizes))
		for i, n := range c.sizes {
			datagrams[i] = make([]byte, n)
		}
		if got := row(datagrams); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func repeat(size, n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = size
	}
	return s
}

// What one message cuts another puts together again, through the loopback interface.
func TestSegmentsArrive(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		in, out := pair(t, address, 1)
		datagrams := make([][]byte, 10)
		for i := range datagrams {
			datagrams[i] = make([]byte, 700)
			datagrams[i][0] = byte(i)
		}
		datagrams[9] = datagrams[9][:50]
		var c count
		w := newWriter(out[0], len(datagrams), &c)
		if err := w.write(datagrams); err != nil {
			t.Fatal(err)
		}
		if !w.offload || c.calls.Load() != 1 || c.packets.Load() != 10 || c.dropped.Load() != 0 {
			t.Errorf("%s: 10 datagrams took %d calls, %d were sent, %d dropped, offload %v",
				address, c.calls.Load(), c.packets.Load(), c.dropped.Load(), w.offload)
		}
		messages, got := read(t, in[0], 10)
		for i, d := range got {
			if d[0] != byte(i) || len(d) != len(datagrams[i]) {
				t.Errorf("%s: datagram %d is number %d with %d bytes", address, i, d[0], len(d))
			}
		}
		if messages != 1 && !cutsSegments(t) {
			t.Errorf("%s: 10 datagrams arrive as %d messages", address, messages)
		}
	}
}

// cutsSegments says whether the kernel cuts a message into datagrams even where it stays on the
// machine. Until 5.10 it does: the loopback interface and veth have no tx-udp-segmentation there.
func cutsSegments(t *testing.T) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major < 5 || major == 5 && minor <= 10
}

// Whatever control messages come with a message, it is cut into pieces that are there.
func FuzzSegmentSize(f *testing.F) {
	gro := make([]byte, oobSize)
	putSegmentSize(gro, 1200)
	(*unix.Cmsghdr)(unsafe.Pointer(&gro[0])).Type = unix.UDP_GRO
	(*unix.Cmsghdr)(unsafe.Pointer(&gro[0])).SetLen(unix.CmsgLen(4))
	f.Add(gro, 3000)
	f.Add(append(putSegmentSize(make([]byte, oobSize), 7), gro...), 3000)
	f.Add(gro[:unix.SizeofCmsghdr+1], 1)
	f.Add(bytes.Repeat([]byte{0xff}, 2*oobSize), 0)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, oob []byte, n int) {
		if size := segmentSize(oob, max(n, 0)); size < 1 {
			t.Fatalf("%d bytes in pieces of %d: % x", n, size, oob)
		}
	})
}
