// SPDX-License-Identifier: MIT

package mytun

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// vnetQueue is socketQueue with a virtio header before each packet.
func vnetQueue(t *testing.T, head, tail int) (*Queue, int) {
	t.Helper()
	q, far := socketQueue(t, false, head, tail)
	q.io.(*kernelQueue).vnet = true
	return q, far
}

// socketQueue is a kernelQueue over a socket instead of /dev/net/tun, and the
// socket's other end: a packet for each read and each write is what both have.
func socketQueue(t *testing.T, tap bool, head, tail int) (q *Queue, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newKernelQueue(fds[0], "socket", tap, false, head, tail)
	if err != nil {
		t.Fatal(err)
	}
	q = &Queue{io: m, addr: "tun9"}
	t.Cleanup(func() {
		q.Close()
		unix.Close(fds[1])
	})
	return q, fds[1]
}

func sendTo(t *testing.T, far int, pkts ...string) {
	t.Helper()
	for _, pkt := range pkts {
		if _, err := unix.Write(far, []byte(pkt)); err != nil {
			t.Fatal(err)
		}
	}
}

func receiveFrom(t *testing.T, far int) string {
	t.Helper()
	buf := make([]byte, uapi.PacketMax+1)
	n, err := unix.Read(far, buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestKernelReadBatchTakesWhatIsThere(t *testing.T) {
	q, far := socketQueue(t, false, 64, 32)
	pkts := make([]Packet, 5)
	c := inBackground(func() (int, error) { return q.ReadBatch(pkts) })
	parked(t, q, rxParks, 0)
	sendTo(t, far, "\x45 first")
	if r := await(t, c); r.n != 1 || r.err != nil || string(pkts[0].Data) != "\x45 first" || pkts[0].Proto != unix.ETH_P_IP {
		t.Fatalf("%d, %v, %+v", r.n, r.err, pkts[0])
	}
	first := pkts[0]

	sendTo(t, far, "\x60 second", "\x00", strings.Repeat("long", 16000))
	pkts = make([]Packet, 5)
	n, err := q.ReadBatch(pkts)
	if n != 3 || err != nil || pkts[0].Proto != unix.ETH_P_IPV6 || pkts[1].Proto != 0 || len(pkts[2].Data) != 64000 {
		t.Fatal(n, err)
	}
	for i := range pkts[:n] {
		p := &pkts[i]
		if p.Headroom() != 64 || p.Tailroom() < 32 {
			t.Errorf("headroom %d, tailroom %d", p.Headroom(), p.Tailroom())
		}
		clear(p.Grow(64, 32))
	}
	if string(first.Data) != "\x45 first" {
		t.Errorf("a packet that is held became %q", first.Data)
	}
	q.Release(pkts)
	q.Release([]Packet{first})
	mustPanic(t, "a copy of a released packet", func() { q.Release([]Packet{first}) })
	if n := len(q.io.(*kernelQueue).pool.bufs); n > 5 {
		t.Errorf("%d buffers for 4 packets at a time", n)
	}
}

func TestKernelReadsVNetHeaders(t *testing.T) {
	for _, head := range []int{0, 5, 64} {
		q, far := vnetQueue(t, head, 32)
		want := VNet{VNetNeedsCsum, GSOTCPv6, 60, 1440, 40, 16}
		var hdr [vnetSize]byte
		want.encode(&hdr)
		right := [vnetSize]byte{VNetDataValid}
		pkts := make([]Packet, 3)
		// Twice: into buffers that have been used.
		for range 2 {
			sendTo(t, far,
				string(right[:])+"\x45 complete",
				string(hdr[:])+"\x60"+strings.Repeat("long", 16000),
				string(make([]byte, vnetSize))+"short")
			n, err := q.ReadBatch(pkts)
			if n != 3 || err != nil {
				t.Fatal(n, err)
			}
			if p := &pkts[0]; string(p.Data) != "\x45 complete" || p.VNet != (VNet{}) ||
				p.Proto != unix.ETH_P_IP {
				t.Errorf("%q, %+v", p.Data, p.VNet)
			}
			if p := &pkts[1]; len(p.Data) != 64001 || p.VNet != want ||
				p.Proto != unix.ETH_P_IPV6 {
				t.Errorf("%d bytes, %+v", len(pkts[1].Data), pkts[1].VNet)
			}
			if string(pkts[2].Data) != "short" || pkts[2].VNet != (VNet{}) {
				t.Errorf("%q, %+v", pkts[2].Data, pkts[2].VNet)
			}
			for i := range pkts {
				if pkts[i].Headroom() != head || pkts[i].Tailroom() < 32 {
					t.Errorf("headroom %d, tailroom %d", pkts[i].Headroom(), pkts[i].Tailroom())
				}
			}
			q.Release(pkts)
		}
		sendTo(t, far, string(hdr[:])+"to Read")
		buf := make([]byte, 10)
		if n, err := q.Read(buf); string(buf[:n]) != "to Read" || err != nil {
			t.Errorf("%q, %v", buf[:n], err)
		}
		sendTo(t, far, "not even")
		if n, err := q.ReadBatch(pkts); n != 0 || !errors.Is(err, unix.EIO) {
			t.Errorf("a header that is cut off: %d, %v", n, err)
		}
	}
}

func TestKernelWritesVNetHeaders(t *testing.T) {
	q, far := vnetQueue(t, 64, 32)
	none := string(make([]byte, vnetSize))
	expect := func(want string) {
		t.Helper()
		if got := receiveFrom(t, far); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	v := VNet{VNetNeedsCsum, GSOTCPv4, 52, 1448, 20, 16}
	var hdr [vnetSize]byte
	v.encode(&hdr)
	pkts := make([]Packet, 2)
	if n, err := q.Reserve(pkts, 10); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	copy(pkts[0].Data, "0123456789")
	pkts[0].VNet = v
	copy(pkts[1].Data, "abcdefghij")
	pkts[1].Data = pkts[1].Data[3:6]
	if err := q.Commit(pkts); err != nil {
		t.Fatal(err)
	}
	expect(string(hdr[:]) + "0123456789")
	expect(none + "def")
	pkts = []Packet{{Data: []byte("one"), VNet: v}, {Data: []byte("two")}}
	if n, err := q.WritePackets(pkts); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	expect(string(hdr[:]) + "one")
	expect(none + "two")
	q.Write([]byte("three"))
	expect(none + "three")
	q.WriteBatch([][]byte{[]byte("four")})
	expect(none + "four")
}

func TestKernelHasNoModes(t *testing.T) {
	q, far := socketQueue(t, false, 64, 32)
	write := func(v VNet) error {
		return second(q.WritePackets([]Packet{{Data: []byte("x"), VNet: v}}))
	}
	for name, err := range map[string]error{
		"SetBackpressure": q.SetBackpressure(true),
		"SetInjection":    q.SetInjection(InjectThread),
		"needs csum":      write(VNet{Flags: VNetNeedsCsum}),
		"GSO":             write(VNet{GSOType: GSOUDP}),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// This is a permission, not a demand.
	if err := write(VNet{Flags: VNetDataValid}); err != nil || receiveFrom(t, far) != "x" {
		t.Error(err)
	}
}

// What a packet's virtio header says comes back the same.
func FuzzVNet(f *testing.F) {
	f.Add(make([]byte, vnetSize))
	f.Add([]byte{1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < vnetSize {
			return
		}
		var v VNet
		v.decode((*[vnetSize]byte)(b))
		var got [vnetSize]byte
		v.encode(&got)
		b[0] &= VNetNeedsCsum
		if got != [vnetSize]byte(b) {
			t.Errorf("% x became % x, %+v", b, got, v)
		}
	})
}

// Whatever is read is the packet that it is said to be, with its room around it, or an error.
func FuzzKernelRead(f *testing.F) {
	f.Add([]byte("\x45packet"), uint8(0))
	f.Add([]byte("\x01\x01\x36\x00\xa8\x05\x22\x00\x10\x00\x45packet"), uint8(1))
	f.Add([]byte("\x00\x00\x00"), uint8(1))
	f.Add([]byte("ddddddssssss\x08\x06arp"), uint8(2))
	f.Add([]byte("\x60"), uint8(4))
	f.Fuzz(func(t *testing.T, b []byte, how uint8) {
		tap, vnet, head, tail := how&2 != 0, how&1 != 0, int(how>>2&7)*4, int(how>>5)
		if len(b) == 0 || len(b) > kernelPacketMax {
			return // a file that is not a socket has no empty packets
		}
		q, far := socketQueue(t, tap, head, tail)
		q.io.(*kernelQueue).vnet = vnet
		sendTo(t, far, string(b))
		pkts := make([]Packet, 2)
		n, err := q.ReadBatch(pkts)
		want := b
		if vnet {
			if len(b) < vnetSize {
				if err == nil {
					t.Fatalf("%d bytes are no header, and yet %d packets", len(b), n)
				}
				return
			}
			want = b[vnetSize:]
		}
		p := &pkts[0]
		if n != 1 || err != nil || !bytes.Equal(p.Data, want) {
			t.Fatalf("%d, %v: % x, want % x", n, err, p.Data, want)
		}
		if p.Headroom() != head || p.Tailroom() < tail || len(want) > 0 && !p.within() {
			t.Fatalf("room %d and %d, want %d and %d", p.Headroom(), p.Tailroom(), head, tail)
		}
		if known := len(want) > 0 && (tap && len(want) >= 14 || !tap && (want[0]>>4 == 4 || want[0]>>4 == 6)); p.Proto != 0 && !known {
			t.Fatalf("protocol %#x of % x", p.Proto, want)
		}
		q.Release(pkts[:1])
	})
}

func TestKernelReadsFrames(t *testing.T) {
	q, far := socketQueue(t, true, 0, 0)
	sendTo(t, far, "dddddd"+"ssssss"+"\x08\x06"+"arp", "short")
	pkts := make([]Packet, 2)
	if n, err := q.ReadBatch(pkts); n != 2 || err != nil || pkts[0].Proto != unix.ETH_P_ARP || pkts[1].Proto != 0 {
		t.Errorf("%d, %v, protocols %#x and %#x", n, err, pkts[0].Proto, pkts[1].Proto)
	}
	q.Release(pkts)
}

func TestKernelReadIntoShortBuffer(t *testing.T) {
	q, far := socketQueue(t, false, 64, 32)
	sendTo(t, far, "0123456789", "next")
	buf := make([]byte, 4)
	if n, err := q.Read(buf); n != 4 || !errors.Is(err, io.ErrShortBuffer) || string(buf) != "0123" {
		t.Errorf("got %d, %v, %q", n, err, buf)
	}
	if n, err := q.Read(buf); n != 4 || err != nil || string(buf) != "next" {
		t.Errorf("got %d, %v, %q", n, err, buf)
	}
}

func TestKernelWrites(t *testing.T) {
	q, far := socketQueue(t, false, 64, 32)
	if n, err := q.Write([]byte("one")); n != 3 || err != nil || receiveFrom(t, far) != "one" {
		t.Error(n, err)
	}
	if n, err := q.WriteBatch([][]byte{[]byte("two"), []byte("three")}); n != 2 || err != nil ||
		receiveFrom(t, far) != "two" || receiveFrom(t, far) != "three" {
		t.Error(n, err)
	}
	pkts := make([]Packet, 4)
	if n, err := q.Reserve(pkts, 10); n != 4 || err != nil || len(pkts[3].Data) != 10 {
		t.Fatal(n, err)
	}
	copy(pkts[0].Data, "0123456789")
	copy(pkts[1].Data, "abcdefghij")
	pkts[1].Data = pkts[1].Data[2:4]
	pkts[2].Data = nil
	pkts[3].VNet.Flags = VNetNeedsCsum
	if err := q.Commit(pkts); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("unfinished packet: %v", err)
	}
	if got := receiveFrom(t, far); got != "0123456789" {
		t.Errorf("got %q", got)
	}
	if got := receiveFrom(t, far); got != "cd" {
		t.Errorf("got %q", got)
	}
	if pkts[0].Data != nil || pkts[3].Data != nil {
		t.Error("Commit left the packets' memory in them")
	}
	q.Reserve(pkts, 10)
	pkts[0].Data = make([]byte, 10)
	mustPanic(t, "Data from elsewhere", func() { q.Commit(pkts) })

	for name, err := range map[string]error{
		"nothing": second(q.Write(nil)),
		"size 0":  second(q.Reserve(pkts, 0)),
	} {
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"Write":   second(q.Write(make([]byte, uapi.PacketMax+1))),
		"Reserve": second(q.Reserve(pkts, 1<<20)),
	} {
		if !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ int, err error) error { return err }

func TestKernelWriteWaitsForRoom(t *testing.T) {
	q, far := socketQueue(t, false, 64, 32)
	c := inBackground(func() (int, error) {
		for i := range 1000 {
			if _, err := q.Write([]byte("x")); err != nil {
				return i, err
			}
		}
		return 1000, nil
	})
	parked(t, q, txParks, 0)
	for range 1000 {
		receiveFrom(t, far)
	}
	if r := await(t, c); r.n != 1000 || r.err != nil {
		t.Error(r)
	}
}

func TestKernelDeadlinesAndClose(t *testing.T) {
	q, _ := socketQueue(t, false, 64, 32)
	fill := func() (int, error) {
		for {
			if n, err := q.Write([]byte("x")); err != nil {
				return n, err
			}
		}
	}
	calls := []func() (int, error){
		func() (int, error) { return q.Read(make([]byte, 10)) },
		func() (int, error) { return q.ReadBatch(make([]Packet, 3)) },
		fill, fill,
	}
	q.SetDeadline(longAgo)
	for i, call := range calls {
		if n, err := call(); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("call %d with a deadline that has passed: %d, %v", i, n, err)
		}
	}
	for _, end := range []struct {
		do   func() error
		want error
	}{
		{func() error { return q.SetDeadline(longAgo) }, os.ErrDeadlineExceeded},
		{q.Close, net.ErrClosed},
	} {
		q.SetDeadline(time.Time{})
		var waiting []<-chan result
		for _, call := range calls {
			waiting = append(waiting, inBackground(call))
		}
		time.Sleep(soon)
		if err := end.do(); err != nil {
			t.Fatal(err)
		}
		for i, c := range waiting {
			if r := await(t, c); r.n != 0 || !errors.Is(r.err, end.want) {
				t.Errorf("call %d: %d, %v, want %v", i, r.n, r.err, end.want)
			}
		}
	}
	for i, call := range calls {
		if n, err := call(); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("call %d after Close: %d, %v", i, n, err)
		}
	}
	if _, err := q.Reserve(make([]Packet, 1), 10); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := q.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestKernelDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, vnet := range []bool{false, true} {
		testKernelDoesNotAllocate(t, vnet)
	}
}

func testKernelDoesNotAllocate(t *testing.T, vnet bool) {
	q, far := socketQueue(t, false, 64, 32)
	q.io.(*kernelQueue).vnet = vnet
	own := []Packet{{Data: []byte{1}}, {Data: []byte{2}, VNet: VNet{Flags: VNetDataValid}}}
	buf, pkts, batch := make([]byte, 100), make([]Packet, 2), [][]byte{{1}, {2}}
	if got := testing.AllocsPerRun(100, func() {
		unix.Write(far, buf)
		q.Read(buf)
		unix.Write(far, buf)
		n, _ := q.ReadBatch(pkts)
		q.Release(pkts[:n])
		q.WriteBatch(batch)
		q.WritePackets(own)
		n, _ = q.Reserve(pkts, 10)
		q.Commit(pkts[:n])
		for range 6 {
			unix.Read(far, buf)
		}
	}); got != 0 {
		t.Errorf("%v allocations with headers: %v", got, vnet)
	}
}
