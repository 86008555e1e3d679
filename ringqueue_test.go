// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// soon is long enough for a goroutine to be parked, and short enough to wait for
// in a test. A test that is right does not fail if it is too short.
const soon = 20 * time.Millisecond

// parked waits until a goroutine of the test waits in the poller.
func parked(t *testing.T, q *Queue, parks func(Stats) uint64, before uint64) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); parks(q.Stats()) == before; {
		if time.Now().After(end) {
			t.Fatal("nobody was parked in ten seconds")
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Millisecond)
}

func rxParks(s Stats) uint64 { return s.RXParks }
func txParks(s Stats) uint64 { return s.TXParks }

// result is what a call in another goroutine returned.
type result struct {
	n   int
	err error
}

func inBackground(fn func() (int, error)) <-chan result {
	c := make(chan result, 1)
	go func() {
		n, err := fn()
		c <- result{n, err}
	}()
	return c
}

func await(t *testing.T, c <-chan result) result {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(patient(10 * time.Second)):
		t.Fatal("the call has not returned")
		panic("not reached")
	}
}

func fillTx(t *testing.T, q *Queue) {
	t.Helper()
	pkt := [][]byte{make([]byte, 128-uapi.RecSize)}
	for range 4096 / 128 {
		if _, err := q.WriteBatch(pkt); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadWaitsForPacket(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	for i := range 5 {
		buf := make([]byte, 100)
		before := q.Stats().RXParks
		c := inBackground(func() (int, error) { return q.Read(buf) })
		parked(t, q, rxParks, before)
		k.put([]byte{byte(i), 2, 3})
		if r := await(t, c); r.n != 3 || r.err != nil || buf[0] != byte(i) {
			t.Fatalf("got %d, %v, % x", r.n, r.err, buf[:r.n])
		}
	}
}

func TestReadBatchWaitsForBusyRecord(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	pos, _ := k.reserve(4)
	k.put([]byte("second"))
	pkts := make([]Packet, 4)
	c := inBackground(func() (int, error) { return q.ReadBatch(pkts) })
	parked(t, q, rxParks, 0)
	k.complete(pos, []byte("1st!"), uapi.Rec{})
	if r := await(t, c); r.n != 2 || r.err != nil || string(pkts[0].Data) != "1st!" {
		t.Fatalf("got %d, %v, %q", r.n, r.err, pkts[0].Data)
	}
	q.Release(pkts)
}

func TestReadOfNothingReturnsAtOnce(t *testing.T) {
	q := newFakeKernel(t, smallRings, 0).queue(t)
	if n, err := q.ReadBatch(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := q.Reserve(nil, 10); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := q.WriteBatch(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := q.WritePackets(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if err := q.Commit(nil); err != nil {
		t.Error(err)
	}
	q.Release(nil)
}

func TestReadIntoShortBuffer(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	k.put([]byte("0123456789"))
	k.put([]byte("next"))
	buf := make([]byte, 4)
	if n, err := q.Read(buf); n != 4 || !errors.Is(err, io.ErrShortBuffer) || string(buf) != "0123" {
		t.Errorf("got %d, %v, %q", n, err, buf)
	}
	if n, err := q.Read(buf); n != 4 || err != nil || string(buf) != "next" {
		t.Errorf("got %d, %v, %q", n, err, buf)
	}
}

func TestWriteWaitsForRoom(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	write := map[string]func() (int, error){
		"Write":      func() (int, error) { return q.Write(make([]byte, 96)) },
		"WriteBatch": func() (int, error) { return q.WriteBatch([][]byte{make([]byte, 96)}) },
		"WritePackets": func() (int, error) {
			return q.WritePackets([]Packet{{Data: make([]byte, 96)}})
		},
		"Reserve": func() (int, error) { return q.Reserve(make([]Packet, 1), 96) },
	}
	for _, name := range []string{"Write", "WriteBatch", "WritePackets", "Reserve"} {
		fillTx(t, q)
		before := q.Stats().TXParks
		c := inBackground(write[name])
		parked(t, q, txParks, before)
		select {
		case r := <-c:
			t.Fatalf("%s on a full ring returned %d, %v", name, r.n, r.err)
		case <-time.After(soon):
		}
		k.take(1000, func(uapi.Rec, []byte) {})
		if r := await(t, c); r.n == 0 || r.err != nil {
			t.Fatalf("%s: %d, %v", name, r.n, r.err)
		}
		k.take(1000, func(uapi.Rec, []byte) {})
	}
}

func TestWriteBatchLargerThanRing(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	const longest = 1000
	var got uint32
	stop := make(chan struct{})
	var kernel sync.WaitGroup
	kernel.Go(func() {
		if err := k.napi(stop, func(_ uapi.Rec, pkt []byte) {
			if err := checkPattern(pkt, got, longest); err != nil {
				t.Error(err)
			}
			got++
		}); err != nil {
			t.Error(err)
		}
	})
	pkts := make([][]byte, 1000)
	for i := range pkts {
		pkts[i] = pattern(make([]byte, longest), uint32(i), longest)
	}
	n, err := q.WriteBatch(pkts)
	if n != len(pkts) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	close(stop)
	kernel.Wait()
	k.take(1<<20, func(uapi.Rec, []byte) { got++ })
	if got != 1000 {
		t.Errorf("%d packets arrived", got)
	}
}

func TestDeadlines(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	fillTx(t, q)
	calls := []struct {
		name string
		set  func(time.Time) error
		call func() (int, error)
	}{
		{"Read", q.SetReadDeadline, func() (int, error) { return q.Read(make([]byte, 10)) }},
		{"ReadBatch", q.SetDeadline, func() (int, error) { return q.ReadBatch(make([]Packet, 1)) }},
		{"Write", q.SetWriteDeadline, func() (int, error) { return q.Write(make([]byte, 96)) }},
		{"WriteBatch", q.SetDeadline, func() (int, error) { return q.WriteBatch([][]byte{make([]byte, 96)}) }},
		{"Reserve", q.SetDeadline, func() (int, error) { return q.Reserve(make([]Packet, 1), 96) }},
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			check := func(r result) {
				t.Helper()
				var netErr net.Error
				if r.n != 0 || !errors.Is(r.err, os.ErrDeadlineExceeded) || !errors.As(r.err, &netErr) || !netErr.Timeout() {
					t.Errorf("got %d, %v", r.n, r.err)
				}
			}
			defer tt.set(time.Time{})
			// Passed before the call.
			tt.set(longAgo)
			check(await(t, inBackground(tt.call)))
			check(await(t, inBackground(tt.call)))
			// Passes during it.
			tt.set(time.Now().Add(soon))
			check(await(t, inBackground(tt.call)))
			// Set from elsewhere during it.
			tt.set(time.Time{})
			c := inBackground(tt.call)
			time.Sleep(soon)
			tt.set(longAgo)
			check(await(t, c))
			// One that is far away does nothing, and is taken back.
			tt.set(time.Now().Add(time.Hour))
			c = inBackground(tt.call)
			select {
			case r := <-c:
				t.Errorf("deadline in an hour: %d, %v", r.n, r.err)
			case <-time.After(soon):
			}
			tt.set(longAgo)
			check(await(t, c))
		})
	}
}

func TestPassedDeadlineFailsThoughThereIsWork(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	k.put([]byte("packet"))
	q.SetDeadline(longAgo)
	if n, err := q.ReadBatch(make([]Packet, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadBatch: %d, %v", n, err)
	}
	if n, err := q.Write([]byte("packet")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %d, %v", n, err)
	}
	q.SetDeadline(time.Time{})
	if n, err := q.Read(make([]byte, 10)); n != 6 || err != nil {
		t.Errorf("Read without a deadline: %d, %v", n, err)
	}
}

func TestCloseWakesEveryone(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	fillTx(t, q)
	var all []<-chan result
	for range 3 {
		all = append(all,
			inBackground(func() (int, error) { return q.Read(make([]byte, 10)) }),
			inBackground(func() (int, error) { return q.ReadBatch(make([]Packet, 10)) }),
			inBackground(func() (int, error) { return q.Write(make([]byte, 96)) }),
			inBackground(func() (int, error) { return q.WriteBatch([][]byte{make([]byte, 96)}) }),
			inBackground(func() (int, error) { return q.Reserve(make([]Packet, 1), 96) }))
	}
	parked(t, q, rxParks, 0)
	parked(t, q, txParks, 0)
	time.Sleep(soon)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		if r := await(t, c); r.n != 0 || !errors.Is(r.err, net.ErrClosed) {
			t.Errorf("call %d: %d, %v", i, r.n, r.err)
		}
	}
	if k.unmapped.Load() != 1 || k.detached.Load() != 1 {
		t.Errorf("unmapped %d times, detached %d times", k.unmapped.Load(), k.detached.Load())
	}
}

func TestEverythingFailsAfterClose(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	k.put([]byte("never read"))
	before := q.Stats()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() (int, error){
		"Read":        func() (int, error) { return q.Read(make([]byte, 10)) },
		"ReadBatch":   func() (int, error) { return q.ReadBatch(make([]Packet, 10)) },
		"Write":       func() (int, error) { return q.Write(make([]byte, 96)) },
		"WriteBatch":  func() (int, error) { return q.WriteBatch([][]byte{make([]byte, 96)}) },
		"Reserve":     func() (int, error) { return q.Reserve(make([]Packet, 1), 96) },
		"Close":       func() (int, error) { return 0, q.Close() },
		"SetDeadline": func() (int, error) { return 0, q.SetDeadline(time.Now()) },
	} {
		n, err := call()
		var opErr *net.OpError
		if n != 0 || !errors.Is(err, net.ErrClosed) || !errors.As(err, &opErr) || opErr.Net != "mytun" || opErr.Addr.String() != "fake0" {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if q.Stats() != before {
		t.Errorf("counters changed from %+v to %+v", before, q.Stats())
	}
}

func TestLeaseIsValidAfterClose(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	for range 5 {
		k.put([]byte("still here"))
	}
	rx, tx := make([]Packet, 5), make([]Packet, 3)
	if n, err := q.ReadBatch(rx); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := q.Reserve(tx, 100); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range rx {
		if string(rx[i].Data) != "still here" {
			t.Errorf("packet %d is %q", i, rx[i].Data)
		}
		clear(rx[i].Buffer())
	}
	for i := range tx {
		clear(tx[i].Buffer())
	}
	q.Release(rx[1:3])
	if err := q.Commit(tx[:2]); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Commit: %v", err)
	}
	q.Release(rx)
	if k.unmapped.Load() != 0 {
		t.Fatal("unmapped while a record is lent")
	}
	if err := q.Commit(tx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Commit: %v", err)
	}
	if k.unmapped.Load() != 1 {
		t.Error("not unmapped when the last record was given back")
	}
	q.Release(rx)
	q.Commit(tx)
	if k.unmapped.Load() != 1 {
		t.Error("unmapped again")
	}
}

func TestFlagsBecomeErrors(t *testing.T) {
	for _, tt := range []struct {
		flag uint32
		want error
	}{
		{uapi.EndFFault, ErrFault},
		{uapi.EndFDetached, ErrDetached},
		{uapi.EndFFault | uapi.EndFDetached, ErrFault},
	} {
		k := newFakeKernel(t, smallRings, 0)
		q := k.queue(t)
		fillTx(t, q)
		calls := []func() (int, error){
			func() (int, error) { return q.ReadBatch(make([]Packet, 1)) },
			func() (int, error) { return q.Read(make([]byte, 10)) },
			func() (int, error) { return q.Write(make([]byte, 96)) },
			func() (int, error) { return q.WriteBatch([][]byte{make([]byte, 96)}) },
			func() (int, error) { return q.Reserve(make([]Packet, 1), 10) },
		}
		var waiting []<-chan result
		for _, call := range calls {
			waiting = append(waiting, inBackground(call))
		}
		parked(t, q, rxParks, 0)
		parked(t, q, txParks, 0)
		k.flag(tt.flag)
		for i, c := range waiting {
			if r := await(t, c); r.n != 0 || !errors.Is(r.err, tt.want) {
				t.Errorf("flags %d, waiting call %d: %d, %v", tt.flag, i, r.n, r.err)
			}
		}
		for i, call := range calls {
			if r := await(t, inBackground(call)); r.n != 0 || !errors.Is(r.err, tt.want) {
				t.Errorf("flags %d, later call %d: %d, %v", tt.flag, i, r.n, r.err)
			}
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPacketsBeforeDetachAreRead(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	k.put([]byte("last"))
	k.flag(uapi.EndFDetached)
	buf := make([]byte, 10)
	if n, err := q.Read(buf); n != 4 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := q.Read(buf); n != 0 || !errors.Is(err, ErrDetached) {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestDoorbellErrors(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{
		unix.ENETDOWN: unix.ENETDOWN,
		unix.EIO:      ErrFault,
		unix.EBADFD:   ErrDetached,
	} {
		k := newFakeKernel(t, smallRings, 0)
		q := k.queue(t)
		k.bellErr.Store(int32(errno))
		drain := func() {
			k.take(100, func(uapi.Rec, []byte) {})
			k.sleep()
		}
		if n, err := q.Write([]byte("x")); n != 0 || !errors.Is(err, want) {
			t.Errorf("%v: Write: %d, %v", errno, n, err)
		}
		drain()
		if n, err := q.WriteBatch([][]byte{{1}, {2}}); n != 0 || !errors.Is(err, want) {
			t.Errorf("%v: WriteBatch: %d, %v", errno, n, err)
		}
		drain()
		pkts := make([]Packet, 2)
		if _, err := q.Reserve(pkts, 10); err != nil {
			t.Fatal(err)
		}
		if err := q.Commit(pkts); !errors.Is(err, want) {
			t.Errorf("%v: Commit: %v", errno, err)
		}
	}
}

// Go's scheduler need not be told of what is over soon; of all else it must be.
func TestDoorbellsForFew(t *testing.T) {
	g := smallRings
	g.TxSize = 1 << 18
	for _, c := range []struct {
		name          string
		packets, size int
		inject        uint32
		few           bool
	}{
		{"one", 1, 100, uapi.InjectSoftirq, true},
		{"a burst", fewPackets, 1500, uapi.InjectSoftirq, true},
		{"more packets", fewPackets + 1, 1, uapi.InjectSoftirq, false},
		{"super-packets", 2, fewBytes/2 - uapi.RecSize, uapi.InjectSoftirq, true},
		{"more bytes", 2, fewBytes / 2, uapi.InjectSoftirq, false},
		{"by the caller", 1, 100, uapi.InjectDirect, false},
	} {
		pkts := make([][]byte, c.packets)
		for i := range pkts {
			pkts[i] = make([]byte, c.size)
		}
		for name, write := range map[string]func(q *Queue) error{
			"WriteBatch": func(q *Queue) error { _, err := q.WriteBatch(pkts); return err },
			"WritePackets": func(q *Queue) error {
				data := make([]Packet, len(pkts))
				for i := range data {
					data[i].Data = pkts[i]
				}
				_, err := q.WritePackets(data)
				return err
			},
			"Commit": func(q *Queue) error {
				room := make([]Packet, len(pkts))
				if n, err := q.Reserve(room, c.size); n != len(room) || err != nil {
					t.Fatal(n, err)
				}
				return q.Commit(room)
			},
		} {
			k := newFakeKernel(t, g, 0)
			q := k.queue(t)
			if err := q.SetInjection(Injection(c.inject)); err != nil {
				t.Fatal(err)
			}
			k.bellFew.Store(!c.few)
			if err := write(q); err != nil {
				t.Fatal(err)
			}
			if few := k.bellFew.Load(); few != c.few || q.Stats().Doorbells != 1 {
				t.Errorf("%s of %s: few is %v, %d doorbells", name, c.name, few, q.Stats().Doorbells)
			}
		}
	}
}

func TestStatsCount(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	for k.put(make([]byte, 100)) {
	}
	k.txCons.Drops = 3
	pkts := make([]Packet, 10)
	q.ReadBatch(pkts)
	q.Read(make([]byte, 100))
	q.WriteBatch([][]byte{make([]byte, 10), make([]byte, 20)})
	q.Write(make([]byte, 30))
	want := Stats{
		RXPackets: 11, RXBytes: 1100, RXDrops: 1,
		TXPackets: 3, TXBytes: 60, TXDrops: 3, Doorbells: 1,
	}
	if got := q.Stats(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	q.Release(pkts)
	q.Close()
	if got := q.Stats(); got != want {
		t.Errorf("after Close %+v\nwant %+v", got, want)
	}
}

func TestPacketRooms(t *testing.T) {
	g := smallRings
	g.RxHeadroom, g.RxTailroom = 16, 16
	k := newFakeKernel(t, g, 0)
	q := k.queue(t)
	k.put([]byte("payload"))
	pkts := make([]Packet, 1)
	q.ReadBatch(pkts)
	p := &pkts[0]
	copy(p.Grow(4, 3), "head")
	copy(p.Data[len(p.Data)-3:], "end")
	if string(p.Data) != "headpayloadend" || p.Headroom() != 12 || len(p.Buffer()) != p.Headroom()+len(p.Data)+p.Tailroom() {
		t.Errorf("%q with headroom %d, tailroom %d of %d", p.Data, p.Headroom(), p.Tailroom(), len(p.Buffer()))
	}
	if got := p.Grow(-4, -3); string(got) != "payload" {
		t.Errorf("shrunk to %q", got)
	}
	mustPanic(t, "Grow over the headroom", func() { p.Grow(17, 0) })
	mustPanic(t, "Grow over the tailroom", func() { p.Grow(0, p.Tailroom()+1) })
	if string(p.Data) != "payload" {
		t.Errorf("a Grow that panicked left %q", p.Data)
	}
	q.Release(pkts)
	if pkts[0].Data != nil || pkts[0].Buffer() != nil {
		t.Error("Release left the packet's memory in it")
	}
}

func TestBadGeometryIsAnError(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	for name, spoil := range map[string]func(g *uapi.Rings){
		"RX size zero":          func(g *uapi.Rings) { g.RxSize = 0 },
		"TX size no power":      func(g *uapi.Rings) { g.TxSize = 4096 + 16 },
		"RX size too large":     func(g *uapi.Rings) { g.RxSize = 1 << 31 },
		"end after the mapping": func(g *uapi.Rings) { g.TxCons = uint32(g.MapSize) },
		"end not on a page":     func(g *uapi.Rings) { g.RxProd = 8 },
		"data over the end":     func(g *uapi.Rings) { g.TxData += 4096 },
		"offset wraps":          func(g *uapi.Rings) { g.RxData = 1<<32 - 4096 },
	} {
		g := k.g
		spoil(&g)
		if _, err := mapRings(k.mem, &g); err == nil {
			t.Errorf("no error: %s", name)
		}
	}
}

// The hot path must not allocate.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	k := newFakeKernel(t, uapi.Rings{RxSize: 1 << 16, TxSize: 1 << 16}, 0)
	q := k.queue(t)
	buf := make([]byte, 1500)
	pkts := make([]Packet, 16)
	batch := make([][]byte, 16)
	for i := range batch {
		batch[i] = buf[:1000]
	}
	fill := func() {
		for range 16 {
			k.put(buf[:1000])
		}
	}
	take := func() {
		k.take(1000, func(uapi.Rec, []byte) {})
		k.sleep()
	}
	for name, fn := range map[string]func(){
		"ReadBatch and Release": func() {
			fill()
			n, _ := q.ReadBatch(pkts)
			q.Release(pkts[:n])
		},
		"Read": func() { fill(); q.Read(buf); n, _ := q.ReadBatch(pkts); q.Release(pkts[:n]) },
		"a wait until the deadline": func() {
			q.SetReadDeadline(time.Now().Add(time.Microsecond))
			q.raw().waitRead(false)
			q.SetReadDeadline(time.Time{})
		},
		"Release that rings": func() {
			q.raw().rx.backpressure = true
			k.stop()
			fill()
			atomic.StoreUint32(&k.rxProd.Event, k.rxPos-1)
			before := q.Stats().RXDoorbells
			n, _ := q.ReadBatch(pkts)
			q.Release(pkts[:n])
			if q.Stats().RXDoorbells != before+1 {
				t.Error("it does not ring")
			}
			q.raw().rx.backpressure = false
		},
		"WritePackets": func() {
			for i := range pkts {
				pkts[i] = Packet{Data: buf[:1000], VNet: VNet{Flags: VNetDataValid}}
			}
			q.WritePackets(pkts)
			clear(pkts)
			take()
		},
		"WriteBatch": func() { q.WriteBatch(batch); take() },
		"Write":      func() { q.Write(buf[:1000]); take() },
		"Reserve and Commit": func() {
			n, _ := q.Reserve(pkts, 1000)
			q.Commit(pkts[:n])
			take()
		},
	} {
		if got := testing.AllocsPerRun(200, fn); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func (q *Queue) raw() *ringQueue { return q.io.(*ringQueue) }
