// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// fakeKernel is the kernel's two ends of a queue's rings, written from
// kmod/uapi/mytun.h and not from ring.go, over a file in memory of which the
// data areas are mapped twice as the module does it. It wakes the program through
// an eventfd, which stands for the queue's file.
type fakeKernel struct {
	rings
	g   uapi.Rings
	mem []byte
	fd  int // the memory
	efd int // our end of the eventfd

	rxMu  sync.Mutex // several CPUs fill the ring
	rxPos uint32

	txPos    uint32
	bells    chan struct{} // what the doorbell rings
	bellErr  atomic.Int32  // what it answers
	bellFew  atomic.Bool   // whether the last one was for few packets
	bellFD   int           // an eventfd to ring instead, or 0
	rxBells  chan struct{} // what the doorbell of the RX ring rings
	rxBellFD int           // an eventfd to ring instead, or 0
	mode     atomic.Pointer[uapi.Mode]
	modeErr  atomic.Int32 // what SET_MODE answers
	onWake   func()       // instead of our eventfd, or nil
	wakes    atomic.Int32
	unmapped atomic.Int32
	detached atomic.Int32
}

func newFakeKernel(t testing.TB, g uapi.Rings, pos uint32) *fakeKernel {
	t.Helper()
	k, err := makeFakeKernel(g, pos)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.close)
	return k
}

func makeFakeKernel(g uapi.Rings, pos uint32) (*fakeKernel, error) {
	page := uint32(os.Getpagesize())
	g.RxCons, g.TxProd, g.RxProd, g.TxCons = 0, page, 2*page, 3*page
	g.RxData = 4 * page
	g.TxData = g.RxData + 2*g.RxSize
	g.MapSize = uint64(g.TxData) + 2*uint64(g.TxSize)

	k := &fakeKernel{
		g: g, rxPos: pos, txPos: pos,
		bells: make(chan struct{}, 1), rxBells: make(chan struct{}, 1),
	}
	k.mode.Store(&uapi.Mode{})
	var err error
	if k.fd, err = unix.MemfdCreate("mytun rings", unix.MFD_CLOEXEC); err != nil {
		return nil, err
	}
	if err = unix.Ftruncate(k.fd, int64(g.RxData+g.RxSize+g.TxSize)); err != nil {
		return nil, err
	}
	if k.efd, err = unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	if k.mem, err = k.newMapping(); err != nil {
		return nil, err
	}
	if k.rings, err = mapRings(k.mem, &k.g); err != nil {
		return nil, err
	}
	for _, end := range []*uapi.End{k.rxProd, k.rxCons, k.txProd, k.txCons} {
		end.Pos = pos
	}
	k.txCons.Event = pos // asleep: the first record needs a doorbell
	k.rxCons.Event = pos - 1
	k.rxProd.Event = pos - 1
	return k, nil
}

func (k *fakeKernel) close() {
	unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(k.mem)), uintptr(len(k.mem)))
	unix.Close(k.fd)
	unix.Close(k.efd)
}

// newMapping maps everything once more, as the program would have it.
func (k *fakeKernel) newMapping() ([]byte, error) {
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(k.g.MapSize), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	g := &k.g
	for _, part := range []struct{ at, from, size uint32 }{
		{0, 0, g.RxData},
		{g.RxData, g.RxData, g.RxSize},
		{g.RxData + g.RxSize, g.RxData, g.RxSize},
		{g.TxData, g.RxData + g.RxSize, g.TxSize},
		{g.TxData + g.TxSize, g.RxData + g.RxSize, g.TxSize},
	} {
		if _, err := unix.MmapPtr(k.fd, int64(part.from), unsafe.Add(base, part.at), uintptr(part.size),
			unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
			return nil, err
		}
	}
	return unsafe.Slice((*byte)(base), g.MapSize), nil
}

// queue makes the program's side of the rings.
func (k *fakeKernel) queue(t testing.TB) *Queue {
	t.Helper()
	mem, err := k.newMapping()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(uintptr(k.efd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newRingQueue(fd, "fake", k, mem, &k.g)
	if err != nil {
		t.Fatal(err)
	}
	q := &Queue{io: m, addr: "fake0"}
	t.Cleanup(func() { q.Close() })
	return q
}

// The device that the queue has.

func (k *fakeKernel) doorbell(fd int, few bool) error {
	k.bellFew.Store(few)
	if errno := k.bellErr.Load(); errno != 0 {
		return unix.Errno(errno)
	}
	if k.bellFD != 0 {
		return ringEventfd(k.bellFD)
	}
	select {
	case k.bells <- struct{}{}:
	default:
	}
	return nil
}

func (k *fakeKernel) rxDoorbell(fd int) error {
	if k.rxBellFD != 0 {
		return ringEventfd(k.rxBellFD)
	}
	select {
	case k.rxBells <- struct{}{}:
	default:
	}
	return nil
}

func (k *fakeKernel) setMode(fd int, m *uapi.Mode) error {
	if errno := k.modeErr.Load(); errno != 0 {
		return unix.Errno(errno)
	}
	mode := *m
	k.mode.Store(&mode)
	return nil
}

func (k *fakeKernel) detach(fd int) error {
	k.detached.Add(1)
	k.flag(uapi.EndFDetached)
	return nil
}

func (k *fakeKernel) unmap(mem []byte) error {
	k.unmapped.Add(1)
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(len(mem)))
}

// flag says that the rings are not served any more.
func (k *fakeKernel) flag(flag uint32) {
	atomic.StoreUint32(&k.rxProd.Flags, flag)
	atomic.StoreUint32(&k.txCons.Flags, flag)
	k.wake()
}

func (k *fakeKernel) wake() {
	k.wakes.Add(1)
	if k.onWake != nil {
		k.onWake()
		return
	}
	ringEventfd(k.efd)
}

// RX: the kernel produces.

func (k *fakeKernel) rxSizeOf(length int) uint32 {
	size := uapi.RecSize + uint32(k.g.RxHeadroom) + uint32(length) + uint32(k.g.RxTailroom)
	return (size + uapi.RecAlign - 1) / uapi.RecAlign * uapi.RecAlign
}

// reserve makes a busy record for a packet of that length.
func (k *fakeKernel) reserve(length int) (pos uint32, ok bool) {
	k.rxMu.Lock()
	defer k.rxMu.Unlock()
	size := k.rxSizeOf(length)
	if k.rxPos+size-atomic.LoadUint32(&k.rxCons.Pos) > k.g.RxSize {
		if k.mode.Load().Flags&uapi.ModeFBackpressure == 0 {
			atomic.AddUint64(&k.rxProd.Drops, 1)
		}
		return 0, false
	}
	pos = k.rxPos
	atomic.StoreUint32(&k.rxRecord(pos).Size, size|uapi.RecBusy)
	k.rxPos += size
	atomic.StoreUint32(&k.rxProd.Pos, k.rxPos)
	return pos, true
}

func (k *fakeKernel) rxRecord(pos uint32) *uapi.Rec {
	return (*uapi.Rec)(unsafe.Pointer(&k.rxData[pos%k.g.RxSize]))
}

// complete writes the packet into its record, and wakes the program if it waits
// for that.
func (k *fakeKernel) complete(pos uint32, pkt []byte, meta uapi.Rec) {
	rec := k.rxRecord(pos)
	size := rec.Size &^ uapi.RecBusy
	meta.Size = size | uapi.RecBusy
	meta.Len = uint32(len(pkt))
	meta.Off = uapi.RecSize + k.g.RxHeadroom
	*rec = meta
	copy(k.rxData[pos%k.g.RxSize+uint32(meta.Off):], pkt)
	atomic.SwapUint32(&rec.Size, size)
	if uapi.NeedEvent(atomic.LoadUint32(&k.rxCons.Event), pos+size, pos) {
		k.wake()
	}
}

// put sends one packet to the program; false if there was no room.
func (k *fakeKernel) put(pkt []byte) bool {
	pos, ok := k.reserve(len(pkt))
	if ok {
		k.complete(pos, pkt, uapi.Rec{})
	}
	return ok
}

// Backpressure. stop asks to be told when half of the ring is free; false if that is
// so now.
func (k *fakeKernel) stop() bool {
	k.rxMu.Lock()
	defer k.rxMu.Unlock()
	atomic.SwapUint32(&k.rxProd.Event, k.rxPos-k.g.RxSize/2-1)
	return k.rxPos-atomic.LoadUint32(&k.rxCons.Pos) > k.g.RxSize/2
}

// putHeld is put that waits, by hold, while the ring is full.
func (k *fakeKernel) putHeld(pkt []byte, hold func() error) error {
	for !k.put(pkt) {
		if k.stop() {
			if err := hold(); err != nil {
				return err
			}
		}
	}
	return nil
}

// untilBell waits for the doorbell of the RX ring.
func (k *fakeKernel) untilBell() error {
	select {
	case <-k.rxBells:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("nobody rang the doorbell of the RX ring")
	}
}

// TX: the kernel consumes.

var errBroken = errors.New("the TX ring is broken")

// take calls fn for each packet in the ring and gives the records back, at most
// budget of them.
func (k *fakeKernel) take(budget int, fn func(rec uapi.Rec, pkt []byte)) (n int, err error) {
	prod := atomic.LoadUint32(&k.txProd.Pos)
	if prod-k.txPos > k.g.TxSize || prod%uapi.RecAlign != 0 {
		return 0, fmt.Errorf("%w: position %#x after %#x", errBroken, prod, k.txPos)
	}
	pos := k.txPos
	for ; n < budget && pos != prod; n++ {
		data := k.txData[pos%k.g.TxSize:]
		rec := *(*uapi.Rec)(unsafe.Pointer(&data[0]))
		if rec.Size < uapi.RecSize || rec.Size%uapi.RecAlign != 0 || rec.Size > prod-pos {
			return n, fmt.Errorf("%w: size %#x", errBroken, rec.Size)
		}
		if rec.Flags&uapi.RecFSkip == 0 {
			if rec.Off < uapi.RecSize || uint32(rec.Off) > rec.Size || rec.Len > rec.Size-uint32(rec.Off) {
				return n, fmt.Errorf("%w: record %+v", errBroken, rec)
			}
			fn(rec, data[rec.Off:][:rec.Len])
		}
		pos += rec.Size
	}
	old := k.txPos
	k.txPos = pos
	atomic.SwapUint32(&k.txCons.Pos, pos)
	if uapi.NeedEvent(atomic.LoadUint32(&k.txProd.Event), pos, old) {
		k.wake()
	}
	return n, nil
}

// sleep arms the doorbell; false if there is something to take.
func (k *fakeKernel) sleep() bool {
	atomic.SwapUint32(&k.txCons.Event, k.txPos)
	return atomic.LoadUint32(&k.txProd.Pos) == k.txPos
}

// napi consumes as the module's NAPI instance does, until stop is closed.
func (k *fakeKernel) napi(stop <-chan struct{}, fn func(rec uapi.Rec, pkt []byte)) error {
	const budget = 64
	for {
		n, err := k.take(budget, fn)
		if err != nil {
			return err
		}
		if n == budget || !k.sleep() {
			runtime.Gosched()
			continue
		}
		select {
		case <-k.bells:
		case <-stop:
			return nil
		}
	}
}

// pattern is packet n of a stream of packets that the other side can check. It is
// the C tests' pattern.h.
func pattern(buf []byte, n uint32, longest int) []byte {
	h := n * 2654435761
	buf = buf[:1+int(h>>8)%longest]
	for i := range buf {
		buf[i] = byte(h>>24) + byte(i)
	}
	return buf
}

func checkPattern(pkt []byte, n uint32, longest int) error {
	h := n * 2654435761
	if want := 1 + int(h>>8)%longest; len(pkt) != want {
		return fmt.Errorf("packet %d has %d bytes, want %d", n, len(pkt), want)
	}
	for i, b := range pkt {
		if want := byte(h>>24) + byte(i); b != want {
			return fmt.Errorf("packet %d has %#x at %d, want %#x", n, b, i, want)
		}
	}
	return nil
}

// smallRings are rings that are full soon.
var smallRings = uapi.Rings{RxSize: 4096, TxSize: 4096}
