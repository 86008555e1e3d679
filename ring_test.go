// SPDX-License-Identifier: MIT

package mytun

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// Where positions begin in tests: at 0 as in life, and where they wrap soon.
var positions = map[string]uint32{"from zero": 0, "over the wrap": 1<<32 - 3*4096}

func TestRxRingHandsOutPacketsInOrder(t *testing.T) {
	for name, pos := range positions {
		t.Run(name, func(t *testing.T) {
			g := smallRings
			g.RxHeadroom, g.RxTailroom = 64, 32
			k := newFakeKernel(t, g, pos)
			r := newRxRing(&k.rings)
			pkts := make([]Packet, 7)
			buf := make([]byte, 600)
			var put, got uint32
			for got < 1000 {
				for k.put(pattern(buf, put, len(buf))) {
					put++
				}
				n, _, err := r.lease(pkts)
				if err != nil {
					t.Fatal(err)
				}
				for i := range pkts[:n] {
					p := &pkts[i]
					if err := checkPattern(p.Data, got, len(buf)); err != nil {
						t.Fatal(err)
					}
					if p.Headroom() != 64 || p.Tailroom() < 32 {
						t.Fatalf("headroom %d and tailroom %d, want 64 and at least 32", p.Headroom(), p.Tailroom())
					}
					got++
				}
				r.release(pkts[:n])
			}
			if r.head-r.next != 0 || k.rxCons.Pos != r.head {
				t.Errorf("all was released, but %d bytes are held", r.next-r.head)
			}
		})
	}
}

func TestRxRingStopsBeforeBusyRecord(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newRxRing(&k.rings)
	pkts := make([]Packet, 4)
	first, _ := k.reserve(3)
	k.put([]byte("second"))
	if n, _, err := r.lease(pkts); n != 0 || err != nil || r.ready() {
		t.Fatalf("lease before a busy record: %d, %v; ready: %v", n, err, r.ready())
	}
	k.complete(first, []byte("1st"), uapi.Rec{})
	if !r.ready() {
		t.Error("not ready after the record is complete")
	}
	n, size, err := r.lease(pkts)
	if n != 2 || size != 9 || err != nil {
		t.Fatalf("lease: %d, %d, %v", n, size, err)
	}
	if string(pkts[0].Data) != "1st" || string(pkts[1].Data) != "second" {
		t.Errorf("got %q and %q", pkts[0].Data, pkts[1].Data)
	}
}

// A position of the kernel's between what is given back and what is lent.
func TestRxRingRejectsPositionAmongLentRecords(t *testing.T) {
	for _, size := range []uint32{uapi.RecBusy | 64, 64, 1 << 31} {
		k := newFakeKernel(t, smallRings, 0)
		r := newRxRing(&k.rings)
		k.put([]byte("first"))
		k.put([]byte("second"))
		pkts := make([]Packet, 3)
		if n, _, err := r.lease(pkts[:2]); n != 2 || err != nil {
			t.Fatalf("lease: %d, %v", n, err)
		}
		rec := r.ring.rec(r.next)
		rec.Size, rec.Len, rec.Off = size, 1<<20, uapi.RecSize
		k.rxProd.Pos = r.head + (r.next-r.head)/2
		if n, _, err := r.lease(pkts[2:]); n != 0 || err != ErrFault {
			t.Errorf("size %#x: %d, %v; want ErrFault", size, n, err)
		}
	}
}

func TestRxRingTakesReleasesInAnyOrder(t *testing.T) {
	const records = 16
	k := newFakeKernel(t, smallRings, 1<<32-512)
	r := newRxRing(&k.rings)
	pkts := make([]Packet, records)
	for range 200 {
		for i := range records {
			if !k.put([]byte{byte(i), 1, 2, 3}) {
				t.Fatal("no room though all is released")
			}
		}
		if n, _, _ := r.lease(pkts); n != records {
			t.Fatalf("leased %d packets", n)
		}
		from := r.head
		released := make([]bool, records)
		for _, i := range rand.Perm(records) {
			if pkts[i].Data[0] != byte(i) {
				t.Fatalf("packet %d became %d while another was released", i, pkts[i].Data[0])
			}
			r.release(pkts[i : i+1])
			released[i] = true
			want := slices.Index(released, false)
			if want < 0 {
				want = records
			}
			if got := atomic.LoadUint32(&k.rxCons.Pos); got != from+uint32(want)*48 {
				t.Fatalf("after releases %v the position is %d records on, want %d", released, (got-from)/48, want)
			}
		}
	}
}

// The doorbell is rung once, when the position passes the one that the kernel waits
// for, and that is when the earliest packet comes back.
func TestRxRingTellsKernelThatWaitsForRoom(t *testing.T) {
	for _, backpressure := range []bool{false, true} {
		for name, pos := range positions {
			t.Run(name, func(t *testing.T) {
				k := newFakeKernel(t, smallRings, pos)
				r := newRxRing(&k.rings)
				r.backpressure = backpressure
				const records = 8
				pkts := make([]Packet, records)
				for range 100 {
					for range records {
						if !k.put(make([]byte, 480)) {
							t.Fatal("no room though all is released")
						}
					}
					if !k.stop() {
						t.Fatal("the kernel does not wait though the ring is full")
					}
					if n, _, _ := r.lease(pkts); n != records {
						t.Fatalf("leased %d packets", n)
					}
					bells := 0
					released := make([]bool, records)
					for _, i := range rand.Perm(records) {
						_, bell := r.release(pkts[i : i+1])
						half := !slices.Contains(released[:records/2], false)
						released[i] = true
						passed := !half && !slices.Contains(released[:records/2], false)
						if bell != (passed && backpressure) {
							t.Fatalf("bell: %v, after releases %v", bell, released)
						}
						if bell {
							bells++
							if k.stop() {
								t.Fatal("rang though the kernel must wait on")
							}
							// It does not wait now.
							k.rxProd.Event = pos - 1
						}
					}
					if bells > 1 {
						t.Fatalf("rang %d times", bells)
					}
				}
			})
		}
	}
}

func TestWritePacketsKeepsMetadata(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newTxRing(&k.rings)
	v := VNet{VNetNeedsCsum, GSOTCPv4, 52, 1000, 20, 16}
	pkts := []Packet{
		{Data: []byte("plain")},
		{Data: []byte("verified"), VNet: VNet{Flags: VNetDataValid}},
		{Data: []byte("whole"), Proto: unix.ETH_P_IP, VNet: v, Hash: 7},
	}
	n, size, bell, err := r.writePackets(pkts)
	if n != 3 || size != 18 || !bell || err != nil {
		t.Fatal(n, size, bell, err)
	}
	if pkts[0].Data == nil {
		t.Error("the packets are not the caller's any more")
	}
	want := []uapi.Rec{
		{Size: 48, Len: 5, Off: 32},
		{Size: 48, Len: 8, Off: 32, VnetFlags: 2},
		{Size: 48, Len: 5, Off: 32, Proto: networkOrder(unix.ETH_P_IP), VnetFlags: 1, GsoType: 1,
			HdrLen: 52, GsoSize: 1000, CsumStart: 20, CsumOffset: 16},
	}
	var got int
	k.take(10, func(rec uapi.Rec, pkt []byte) {
		if rec != want[got] || string(pkt) != string(pkts[got].Data) {
			t.Errorf("packet %d: %q, %+v", got, pkt, rec)
		}
		got++
	})
	if got != 3 {
		t.Errorf("%d packets", got)
	}
	for name, pkt := range map[string]Packet{"nothing": {}, "long": {Data: make([]byte, 5000)}} {
		if n, _, bell, err := r.writePackets([]Packet{pkt}); n != 0 || bell || err == nil {
			t.Errorf("%s: %d, %v, %v", name, n, bell, err)
		}
	}
}

// The module's poll looks at the first record that is not given back, and must not
// find it busy because of a mark of ours.
func TestGivenRecordsDoNotLookBusy(t *testing.T) {
	if recGiven&uapi.RecBusy != 0 {
		t.Error("recGiven is the busy bit")
	}
	if recGiven < 2*uapi.RingSizeMax || recHeld < 2*uapi.RingSizeMax {
		t.Error("a mark can be mistaken for a size")
	}
}

func TestReleaseOfForeignPacketPanics(t *testing.T) {
	k, other := newFakeKernel(t, smallRings, 0), newFakeKernel(t, smallRings, 0)
	r, s := newRxRing(&k.rings), newRxRing(&other.rings)
	pkts, foreign := make([]Packet, 2), make([]Packet, 2)
	for range 2 {
		k.put([]byte("mine"))
		other.put([]byte("other"))
	}
	r.lease(pkts)
	s.lease(foreign)
	copied := slices.Clone(pkts)

	mustPanic(t, "a packet of another queue", func() { r.release(foreign) })
	r.release(pkts[1:])
	mustPanic(t, "a copy of a released packet", func() { r.release(copied[1:]) })
	r.release(pkts[:1])
	mustPanic(t, "a copy of a packet whose record is the kernel's", func() { r.release(copied) })
	if n, _ := r.release(pkts); n != 0 {
		t.Errorf("released %d zero packets", n)
	}
}

func mustPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Errorf("no panic: %s", what)
		}
	}()
	fn()
}

func TestRxRingFaults(t *testing.T) {
	for _, tt := range []struct {
		name string
		rec  uapi.Rec
		prod uint32
	}{
		{"size zero", uapi.Rec{Size: 0, Off: 32, Len: 1}, 64},
		{"size less than the header", uapi.Rec{Size: 16, Off: 32, Len: 1}, 64},
		{"size not aligned", uapi.Rec{Size: 56, Off: 32, Len: 1}, 64},
		{"size over the position", uapi.Rec{Size: 80, Off: 32, Len: 1}, 64},
		{"size over the ring", uapi.Rec{Size: 8192, Off: 32, Len: 1}, 8192},
		{"offset in the header", uapi.Rec{Size: 64, Off: 16, Len: 1}, 64},
		{"offset over the record", uapi.Rec{Size: 64, Off: 80, Len: 1}, 64},
		{"length over the record", uapi.Rec{Size: 64, Off: 48, Len: 17}, 64},
		{"length wraps", uapi.Rec{Size: 64, Off: 48, Len: 1<<32 - 16}, 64},
		{"no packet", uapi.Rec{Size: 64, Off: 48, Len: 0}, 64},
		{"only a header", uapi.Rec{Size: 32, Off: 32, Len: 0}, 32},
		{"position over the ring", uapi.Rec{Size: 64, Off: 32, Len: 1}, 4096 + 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newFakeKernel(t, smallRings, 0)
			r := newRxRing(&k.rings)
			*k.rxRecord(0) = tt.rec
			k.rxProd.Pos = tt.prod
			for range 2 {
				if n, _, err := r.lease(make([]Packet, 2)); n != 0 || err != ErrFault {
					t.Errorf("lease: %d, %v; want 0, ErrFault", n, err)
				}
			}
		})
	}
}

func TestTxRingCarriesPacketsInOrder(t *testing.T) {
	for name, pos := range positions {
		t.Run(name, func(t *testing.T) {
			k := newFakeKernel(t, smallRings, pos)
			r := newTxRing(&k.rings)
			const longest = 900
			var batch [][]byte
			var sent, got uint32
			for got < 1000 {
				batch = batch[:0]
				for i := range uint32(9) {
					batch = append(batch, pattern(make([]byte, longest), sent+i, longest))
				}
				n, _, bell, err := r.write(batch)
				if err != nil {
					t.Fatal(err)
				}
				if bell != (n > 0) {
					t.Errorf("doorbell wanted: %v, of a kernel that sleeps, after %d packets", bell, n)
				}
				sent += uint32(n)
				if _, err := k.take(1000, func(rec uapi.Rec, pkt []byte) {
					if err := checkPattern(pkt, got, longest); err != nil {
						t.Fatal(err)
					}
					got++
				}); err != nil {
					t.Fatal(err)
				}
				if sent != got || !k.sleep() {
					t.Fatalf("sent %d, got %d", sent, got)
				}
			}
		})
	}
}

func TestTxRingIsFullAndFreeAgain(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newTxRing(&k.rings)
	pkts := make([][]byte, 64)
	for i := range pkts {
		pkts[i] = make([]byte, 128-uapi.RecSize) // 32 of them fill the ring
	}
	n, _, _, err := r.write(pkts)
	if n != 32 || err != nil {
		t.Fatalf("wrote %d into an empty ring, %v; want 32", n, err)
	}
	if n, _, bell, err := r.write(pkts); n != 0 || bell || err != nil {
		t.Fatalf("wrote %d, %v, %v into a full ring", n, bell, err)
	}
	k.take(5, func(uapi.Rec, []byte) {})
	if n, _, _, _ := r.write(pkts); n != 5 {
		t.Fatalf("wrote %d when 5 were taken", n)
	}
	largest := make([]byte, 4096-uapi.RecSize)
	if rec, err := r.put(largest); rec != nil || err != nil {
		t.Fatalf("largest packet: %v, %v; want to wait for room", rec, err)
	}
	k.take(1000, func(uapi.Rec, []byte) {})
	if rec, err := r.put(largest); rec == nil || err != nil {
		t.Fatalf("largest packet into an empty ring: %v, %v", rec, err)
	}
}

func TestTxRingRefusesWhatCannotBe(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newTxRing(&k.rings)
	if n, _, _, err := r.write([][]byte{{1}, {}, {2}}); n != 1 || err != unix.EINVAL {
		t.Errorf("empty packet: %d, %v; want 1, EINVAL", n, err)
	}
	if n, _, _, err := r.write([][]byte{make([]byte, 4096-uapi.RecSize+1)}); n != 0 || err != unix.EMSGSIZE {
		t.Errorf("packet larger than the ring: %d, %v; want 0, EMSGSIZE", n, err)
	}
	for _, size := range []int{math.MinInt, -1, 0} {
		if n, err := r.reserve(make([]Packet, 1), size); n != 0 || err != unix.EINVAL {
			t.Errorf("reserve of %d bytes: %d, %v", size, n, err)
		}
	}
	for _, size := range []int{4096 - uapi.RecSize + 1, 1 << 30, math.MaxInt} {
		if n, err := r.reserve(make([]Packet, 1), size); n != 0 || err != unix.EMSGSIZE {
			t.Errorf("reserve of %d bytes: %d, %v", size, n, err)
		}
	}
	k.txCons.Pos = 4096 // never was there
	if _, _, _, err := r.write([][]byte{make([]byte, 4096-uapi.RecSize)}); err != ErrFault {
		t.Errorf("kernel's position ahead of ours: %v, want ErrFault", err)
	}
}

func TestCommitPublishesInOrderOfReserve(t *testing.T) {
	k := newFakeKernel(t, smallRings, 1<<32-64)
	r := newTxRing(&k.rings)
	var got []string
	take := func() []string {
		got = nil
		if _, err := k.take(100, func(_ uapi.Rec, pkt []byte) { got = append(got, string(pkt)) }); err != nil {
			t.Fatal(err)
		}
		k.sleep()
		return got
	}
	pkts := make([]Packet, 4)
	if n, err := r.reserve(pkts, 20); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	for i := range pkts {
		pkts[i].Data = append(pkts[i].Data[:0], "packet "...)
		pkts[i].Data = append(pkts[i].Data, byte('0'+i))
	}
	if n, sent, size, bell := r.commit(pkts[2:]); n != 2 || sent != 2 || size != 16 || bell {
		t.Errorf("commit of the last: %d, %d, %d, %v", n, sent, size, bell)
	}
	if rec, err := r.put([]byte("written after")); rec == nil || err != nil {
		t.Error(rec, err)
	}
	if r.publish() || take() != nil {
		t.Fatalf("published %q before the first was committed", got)
	}
	pkts[1].Data = nil // not to be sent
	if n, sent, size, bell := r.commit(pkts); n != 2 || sent != 1 || size != 8 || !bell {
		t.Errorf("commit of the first: %d, %d, %d, %v", n, sent, size, bell)
	}
	want := []string{"packet 0", "packet 2", "packet 3", "written after"}
	if take(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCommitTakesAnyPartOfBuffer(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newTxRing(&k.rings)
	pkts := make([]Packet, 1)
	other := make([]byte, 200)
	commit := func(cut func(p *Packet)) []byte {
		t.Helper()
		if n, err := r.reserve(pkts, 100); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		for i := range pkts[0].Buffer() {
			pkts[0].Buffer()[i] = byte(i)
		}
		cut(&pkts[0])
		defer r.publish()
		r.commit(pkts)
		var got []byte
		if _, err := k.take(10, func(_ uapi.Rec, pkt []byte) { got = bytes.Clone(pkt) }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := commit(func(p *Packet) { p.Data = p.Data[10:12] }); !bytes.Equal(got, []byte{10, 11}) {
		t.Errorf("cut at both ends: % x", got)
	}
	if got := commit(func(p *Packet) { p.Data = p.Buffer() }); len(got) != 112 {
		t.Errorf("all of the buffer: %d bytes, want 112", len(got))
	}
	if got := commit(func(p *Packet) { p.Grow(-50, 12) }); len(got) != 62 || got[0] != 50 {
		t.Errorf("grown: %d bytes % x", len(got), got)
	}
	if got := commit(func(p *Packet) { p.Data = p.Data[100:] }); got != nil {
		t.Errorf("empty: sent % x", got)
	}

	for name, cut := range map[string]func(p *Packet){
		"memory from elsewhere":             func(p *Packet) { p.Data = other },
		"same capacity from elsewhere":      func(p *Packet) { p.Data = other[:112:112] },
		"capacity cut off":                  func(p *Packet) { p.Data = p.Data[:10:10] },
		"a reallocated append":              func(p *Packet) { p.Data = append(p.Data, other...) },
		"a packet that is not of this ring": func(p *Packet) { p.room = spanOf(other[:112]) },
		"a position that is not reserved":   func(p *Packet) { p.pos += 16 },
	} {
		k := newFakeKernel(t, smallRings, 0)
		r := newTxRing(&k.rings)
		r.reserve(pkts, 100)
		cut(&pkts[0])
		mustPanic(t, name, func() { r.commit(pkts) })
	}
}

func TestCommitCarriesMetadata(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newTxRing(&k.rings)
	pkts := make([]Packet, 1)
	r.reserve(pkts, 60)
	pkts[0].Proto = 0x86dd
	pkts[0].Hash = 99
	pkts[0].VNet = VNet{Flags: 1, GSOType: 4, HdrLen: 60, GSOSize: 1400, CsumStart: 40, CsumOffset: 16}
	r.commit(pkts)
	want := uapi.Rec{
		Size: 96, Len: 60, Off: 32, Proto: networkOrder(0x86dd),
		VnetFlags: 1, GsoType: 4, HdrLen: 60, GsoSize: 1400, CsumStart: 40, CsumOffset: 16,
	}
	k.take(1, func(rec uapi.Rec, _ []byte) {
		if rec != want {
			t.Errorf("got %+v\nwant %+v", rec, want)
		}
	})
}

func TestLeaseCarriesMetadata(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newRxRing(&k.rings)
	pos, _ := k.reserve(10)
	k.complete(pos, make([]byte, 10), uapi.Rec{
		Hash: 0x12345678, Proto: networkOrder(0x0800),
		VnetFlags: 1, GsoType: 4, HdrLen: 60, GsoSize: 1400, CsumStart: 40, CsumOffset: 16,
	})
	pkts := make([]Packet, 1)
	r.lease(pkts)
	p := &pkts[0]
	want := VNet{Flags: 1, GSOType: 4, HdrLen: 60, GSOSize: 1400, CsumStart: 40, CsumOffset: 16}
	if p.Hash != 0x12345678 || p.Proto != 0x0800 || p.VNet != want {
		t.Errorf("got hash %#x, proto %#x, %+v", p.Hash, p.Proto, p.VNet)
	}
}

func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

func TestDoorbellOnlyForKernelThatSleeps(t *testing.T) {
	k := newFakeKernel(t, smallRings, 1<<32-48*3)
	r := newTxRing(&k.rings)
	pkt := [][]byte{[]byte("0123456789")}
	write := func() bool {
		_, _, bell, err := r.write(pkt)
		if err != nil {
			t.Fatal(err)
		}
		return bell
	}
	if !write() {
		t.Error("no doorbell for the first packet")
	}
	for range 2 {
		if write() {
			t.Error("doorbell though one was rung and the kernel has not slept since")
		}
	}
	k.take(100, func(uapi.Rec, []byte) {})
	if write() {
		t.Error("doorbell while the kernel still looks")
	}
	if k.sleep() {
		t.Error("the kernel sleeps though there is a packet")
	}
	k.take(100, func(uapi.Rec, []byte) {})
	if !k.sleep() {
		t.Error("the kernel does not sleep though there is none")
	}
	if !write() {
		t.Error("no doorbell for a kernel that sleeps")
	}
}

// FuzzRxRing lets the "kernel" write anything: the consumer must not step out
// of the mapping, hand out what is not in a record, or loop.
func FuzzRxRing(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add(binary.NativeEndian.AppendUint32(nil, 48), uint32(48))
	seed := unsafe.Slice((*byte)(unsafe.Pointer(&uapi.Rec{Size: 64, Len: 20, Off: 40})), uapi.RecSize)
	f.Add(append(append(bytes.Clone(seed), make([]byte, 32)...), seed...), uint32(128))
	k, err := makeFakeKernel(smallRings, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, prod uint32) {
		clear(k.mem)
		copy(k.rxData, data)
		k.rxProd.Pos, k.rxProd.Event = prod, prod/2
		r := newRxRing(&k.rings)
		r.backpressure = prod&32 == 0
		pkts := make([]Packet, 8)
		var total uint32
		for {
			r.ready()
			n, size, err := r.lease(pkts)
			if err != nil || n == 0 {
				break
			}
			for i := range pkts[:n] {
				p := &pkts[i]
				if off := p.Headroom(); off < 0 || !p.within() || off+len(p.Data) > len(p.Buffer()) {
					t.Fatalf("data of %d bytes at %d of %d", len(p.Data), off, len(p.Buffer()))
				}
				size -= uint64(len(p.Data))
				total += uapi.RecSize + uint32(len(p.Buffer()))
				clear(p.Buffer())
			}
			if size != 0 {
				t.Fatalf("bytes are wrong by %d", int64(size))
			}
			if total > 4096 {
				t.Fatalf("%d bytes of records in a ring of 4096", total)
			}
			if i := len(data) % n; prod&16 == 0 {
				r.release(pkts[i:n])
				r.release(pkts[:i])
			}
		}
		if at := k.rxCons.Pos; at > prod {
			t.Fatalf("gave back up to %d of %d", at, prod)
		}
	})
}

// FuzzTxRing runs a program of operations on both ends: whatever the order, the
// kernel gets what was committed, in the order of the records.
func FuzzTxRing(f *testing.F) {
	f.Add([]byte{0, 10, 1, 20, 2, 0, 3, 5, 4, 1})
	f.Add(bytes.Repeat([]byte{1, 200, 2, 1, 0, 255, 3, 9, 4, 3}, 20))
	k, err := makeFakeKernel(smallRings, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		k.txPos = k.txProd.Pos
		k.txCons.Pos = k.txPos
		r := newTxRing(&k.rings)
		var want []uint32 // tags of records in the ring, in order; 0: cancelled
		var held []Packet
		heldAt := map[uint32]int{} // position of a held record: its index in want
		var tag uint32
		var taken, checked int
		take := func(n int) {
			if _, err := k.take(n, func(_ uapi.Rec, pkt []byte) {
				for want[checked] == 0 {
					checked++
				}
				if got := binary.NativeEndian.Uint32(pkt); got != want[checked] {
					t.Fatalf("got packet %d, want %d", got, want[checked])
				}
				checked++
				taken++
			}); err != nil {
				t.Fatal(err)
			}
		}
		for len(ops) >= 2 {
			op, arg := ops[0]%5, int(ops[1])
			ops = ops[2:]
			switch op {
			case 0: // write
				pkt := make([]byte, 4+3*arg)
				tag++
				binary.NativeEndian.PutUint32(pkt, tag)
				write := func() (int, uint64, bool, error) { return r.write([][]byte{pkt}) }
				if arg%2 == 1 {
					write = func() (int, uint64, bool, error) {
						return r.writePackets([]Packet{{Data: pkt}})
					}
				}
				n, _, _, err := write()
				if err != nil {
					t.Fatal(err)
				}
				if n == 1 {
					want = append(want, tag)
				}
			case 1: // reserve
				pkts := make([]Packet, 1+arg%3)
				n, err := r.reserve(pkts, 4+arg)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range pkts[:n] {
					heldAt[p.pos] = len(want)
					want = append(want, 1<<31)
					held = append(held, p)
				}
			case 2, 3: // commit one, or cancel it
				if len(held) == 0 {
					continue
				}
				i := arg % len(held)
				p := held[i]
				held = slices.Delete(held, i, i+1)
				tag++
				if op == 3 {
					p.Data = nil
					want[heldAt[p.pos]] = 0
				} else {
					want[heldAt[p.pos]] = tag
					binary.NativeEndian.PutUint32(p.Data, tag)
				}
				r.commit([]Packet{p})
			case 4:
				take(arg)
			}
		}
		for i := range held {
			want[heldAt[held[i].pos]] = 0
			held[i].Data = nil
		}
		r.commit(held)
		take(1 << 20)
		for checked < len(want) {
			if want[checked] != 0 {
				t.Fatalf("packet %d never came", want[checked])
			}
			checked++
		}
		if k.txPos != r.next {
			t.Fatalf("kernel is at %d of %d", k.txPos, r.next)
		}
	})
}
