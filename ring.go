// SPDX-License-Identifier: MIT

package mytun

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// The program's two ends of the rings, over a mapping and nothing else: no
// locks, no waiting, no system calls. Positions, records and who writes what are
// told in kmod/uapi/mytun.h.
//
// About the atomics. A load of Go's sync/atomic is at least the load-acquire, and
// a store at least the store-release, that the contract asks for. "Store, full
// barrier, load" is a swap and a load. A store would do as well, Go's atomics being
// sequentially consistent, and is the same instruction on x86; but in a build with
// the race detector a store is no more than a release.

// The program's own marks in the size of a record, of which the kernel takes no
// notice: recHeld in the TX ring, before it is published, of a record that is
// reserved and not yet committed; recGiven in the RX ring of one that the program
// has given back while it still holds an earlier one. That must not look like
// MYTUN_REC_BUSY, since poll looks for that in the first record.
const (
	recHeld  = 1 << 30
	recGiven = 1 << 30
)

// align rounds a record's size up.
func align(n uint32) uint32 { return (n + uapi.RecAlign - 1) &^ (uapi.RecAlign - 1) }

// rxRing is the consumer of a receive ring.
//
//	head            next               end
//	 | lent or given | not yet looked at | the kernel's
type rxRing struct {
	prod *uapi.End // the kernel's end
	cons *uapi.End // our end
	ring window
	head uint32 // what we published: the first record that is not given back
	next uint32 // the first record that is not lent
	end  uint32 // where the kernel was when we looked last

	backpressure bool // the kernel may wait for room
}

func newRxRing(r *rings) rxRing {
	pos := atomic.LoadUint32(&r.rxCons.Pos)
	return rxRing{
		prod: r.rxProd, cons: r.rxCons, ring: windowOf(r.rxData),
		head: pos, next: pos, end: pos,
	}
}

// lease fills pkts with the next packets of the ring and returns how many they
// are and how many bytes they have. The error is ErrFault if what is in the ring
// cannot be.
func (r *rxRing) lease(pkts []Packet) (n int, bytes uint64, err error) {
	ring, next, end := r.ring, r.next, r.end
	for n < len(pkts) {
		if next == end {
			// Load-acquire; pairs with the kernel's store-release of
			// rx_prod->pos after it wrote the header of the record.
			end = atomic.LoadUint32(&r.prod.Pos)
			if next == end {
				break
			}
			// No more than what is not lent: a record's size is compared with it.
			if end-next > ring.mask+1-(next-r.head) {
				end, err = next, ErrFault
				break
			}
		}
		rec := ring.rec(next)
		// Load-acquire; pairs with the kernel's store-release of rec->size
		// without MYTUN_REC_BUSY after it wrote the record.
		size := atomic.LoadUint32(&rec.Size)
		if size > end-next {
			if size&uapi.RecBusy == 0 {
				err = ErrFault
			}
			break
		}
		off, length := uint32(rec.Off), rec.Len
		if size%uapi.RecAlign != 0 || off < uapi.RecSize || off >= size || length-1 >= size-off {
			err = ErrFault
			break
		}
		room := ring.room(next, size)
		data := room.part(off-uapi.RecSize, length)
		p := &pkts[n]
		p.Data, p.room = data, room
		p.Hash = rec.Hash
		p.Proto = protoOf(rec)
		getVNet(&p.VNet, rec)
		p.pos = next
		next += size
		bytes += uint64(length)
		n++
	}
	r.next, r.end = next, end
	return n, bytes, err
}

// release marks the records of pkts, clears pkts, and gives the kernel all
// that is free now. It returns how many records they were, and whether to ring
// the doorbell: with backpressure, the kernel has waited for this room.
func (r *rxRing) release(pkts []Packet) (n int, bell bool) {
	old := r.head
	head, next := old, r.next
	// In the order in which they were lent, as most are, nothing has to be
	// remembered.
	for n < len(pkts) {
		p := &pkts[n]
		// After Close there is nothing to look at but for a packet that is lent.
		if p.pos != head || p.room.first != r.ring.room(head, p.room.size).first {
			break
		}
		size := r.ring.rec(head).Size
		if size-1 >= next-head {
			break
		}
		*p = Packet{}
		head += size
		n++
	}
	r.head = head
	for rest := pkts[n:]; len(rest) > 0; rest = rest[1:] {
		if rest[0].room.first != nil {
			r.mark(&rest[0])
			n++
		}
	}
	for head != next {
		size := r.ring.rec(head).Size
		if size&recGiven == 0 {
			break
		}
		size &^= recGiven
		if size-1 >= next-head {
			break // a stray write of the program: nothing comes free any more
		}
		head += size
	}
	if head == old {
		return n, false
	}
	r.head = head
	// Store-release; pairs with the kernel's load-acquire of rx_cons->pos before it
	// writes there again: it comes after the last use of the records by the
	// program.
	if !r.backpressure {
		atomic.StoreUint32(&r.cons.Pos, head)
		return n, false
	}
	// And full barrier, and load of the event; pairs with the kernel's store of
	// rx_prod->event, full barrier, load of rx_cons->pos: either it sees the room
	// or we see that it waits.
	atomic.SwapUint32(&r.cons.Pos, head)
	return n, uapi.NeedEvent(atomic.LoadUint32(&r.prod.Event), head, old)
}

// mark remembers in the record that it is given back while an earlier one is still
// lent, and clears p.
func (r *rxRing) mark(p *Packet) {
	if p.pos-r.head >= r.next-r.head || p.room.first != r.ring.room(p.pos, p.room.size).first {
		panic("mytun: Release of a packet that is not lent by this queue")
	}
	rec := r.ring.rec(p.pos)
	if rec.Size&recGiven != 0 {
		panic("mytun: Release of a packet that was released already")
	}
	rec.Size |= recGiven
	*p = Packet{}
}

// ready tells whether lease would return a packet, or an error.
func (r *rxRing) ready() bool {
	if r.next == r.end && atomic.LoadUint32(&r.prod.Pos) == r.next {
		return false
	}
	// As in lease.
	return atomic.LoadUint32(&r.ring.rec(r.next).Size)&uapi.RecBusy == 0
}

// arm asks the kernel to wake us when there is a record at next. The caller must
// look at ready and flags once more before it sleeps.
func (r *rxRing) arm() {
	// Store and full barrier; the load is that in ready. Pairs with the kernel's
	// store of rx_prod->pos (or of the size of a record that was busy), full
	// barrier, load of rx_cons->event: at least one side sees the other's store.
	atomic.SwapUint32(&r.cons.Event, r.next)
}

// flags returns why the kernel does not serve the ring any more, or 0.
func (r *rxRing) flags() uint32 { return atomic.LoadUint32(&r.prod.Flags) }

// drops returns how many packets did not fit.
func (r *rxRing) drops() uint64 { return atomic.LoadUint64(&r.prod.Drops) }

// txRing is the producer of a transmit ring.
//
//	tail            pub                      next
//	 | the kernel's  | reserved or committed  | free
type txRing struct {
	prod *uapi.End // our end
	cons *uapi.End // the kernel's end
	ring window
	tail uint32 // where the kernel was when we looked last
	pub  uint32 // what we published: the first record that is not committed
	next uint32 // where the next record begins
	held uint32 // records that are reserved and not committed
}

func newTxRing(r *rings) txRing {
	pos := atomic.LoadUint32(&r.txProd.Pos)
	return txRing{
		prod: r.txProd, cons: r.txCons, ring: windowOf(r.txData),
		tail: pos, pub: pos, next: pos,
	}
}

// recordFor returns the bytes of a record for size bytes of packet. The error is
// EMSGSIZE if the ring can never hold it.
func (r *txRing) recordFor(size int) (uint32, error) {
	if uint64(size) > uint64(r.ring.mask+1-uapi.RecSize) {
		return 0, unix.EMSGSIZE
	}
	return align(uapi.RecSize + uint32(size)), nil
}

// fits tells whether there is room for a record of size bytes. The error is
// ErrFault if the kernel's position cannot be.
func (r *txRing) fits(size uint32) (bool, error) {
	if size <= r.ring.mask+1-(r.next-r.tail) {
		return true, nil
	}
	// Load-acquire; pairs with the kernel's store-release of tx_cons->pos after
	// it copied what was there.
	tail := atomic.LoadUint32(&r.cons.Pos)
	if tail-r.tail > r.pub-r.tail {
		return false, ErrFault
	}
	r.tail = tail
	return size <= r.ring.mask+1-(r.next-tail), nil
}

// write copies pkts into the ring, as many as fit, and publishes them. It
// returns how many they are, their bytes, and whether to ring the doorbell. If
// n < len(pkts) then pkts[n] does not fit now, or err says what is wrong with it.
func (r *txRing) write(pkts [][]byte) (n int, bytes uint64, bell bool, err error) {
	for n < len(pkts) {
		var rec *uapi.Rec
		if rec, err = r.put(pkts[n]); rec == nil {
			break
		}
		bytes += uint64(len(pkts[n]))
		n++
	}
	return n, bytes, n > 0 && r.publish(), err
}

// writePackets is write for packets that come with their metadata.
func (r *txRing) writePackets(pkts []Packet) (n int, bytes uint64, bell bool, err error) {
	for n < len(pkts) {
		p := &pkts[n]
		var rec *uapi.Rec
		if rec, err = r.put(p.Data); rec == nil {
			break
		}
		setProto(rec, p.Proto)
		setVNet(rec, &p.VNet)
		bytes += uint64(len(p.Data))
		n++
	}
	return n, bytes, n > 0 && r.publish(), err
}

// put copies one packet into the ring and returns its record, nil if it does not
// fit. It does not publish it.
func (r *txRing) put(pkt []byte) (*uapi.Rec, error) {
	if len(pkt) == 0 {
		return nil, unix.EINVAL
	}
	if len(pkt) > uapi.PacketMax {
		return nil, unix.EMSGSIZE
	}
	size, err := r.recordFor(len(pkt))
	if err != nil {
		return nil, err
	}
	if ok, err := r.fits(size); !ok {
		return nil, err
	}
	rec := r.ring.rec(r.next)
	*rec = uapi.Rec{Size: size, Len: uint32(len(pkt)), Off: uapi.RecSize}
	copy(r.ring.room(r.next, size).bytes(), pkt)
	r.next += size
	return rec, nil
}

// reserve fills pkts with records for size bytes of packet, as many as fit.
func (r *txRing) reserve(pkts []Packet, size int) (n int, err error) {
	if size <= 0 {
		return 0, unix.EINVAL
	}
	recSize, err := r.recordFor(size)
	if err != nil {
		return 0, err
	}
	for n < len(pkts) {
		if ok, err := r.fits(recSize); !ok {
			return n, err
		}
		r.ring.rec(r.next).Size = recSize | recHeld
		r.held++
		p := &pkts[n]
		p.room = r.ring.room(r.next, recSize)
		p.Data = p.room.part(0, uint32(size))
		p.pos = r.next
		p.Hash, p.Proto, p.VNet = 0, 0, VNet{}
		r.next += recSize
		n++
	}
	return n, nil
}

// commit finishes the records of pkts, clears pkts, and publishes what is
// finished now. It returns how many records they were, how many of them are
// packets and their bytes, and whether to ring the doorbell.
func (r *txRing) commit(pkts []Packet) (n, sent int, bytes uint64, bell bool) {
	for i := range pkts {
		p := &pkts[i]
		if p.room.first == nil {
			continue
		}
		if p.pos-r.pub >= r.next-r.pub || p.room.first != r.ring.room(p.pos, p.room.size).first {
			panic("mytun: Commit of a packet that is not reserved on this queue")
		}
		rec := r.ring.rec(p.pos)
		if rec.Size&recHeld == 0 {
			panic("mytun: Commit of a packet that was committed already")
		}
		// Field by field: a structure that is made elsewhere and
		// copied is read before its narrow stores have left the CPU.
		if len(p.Data) == 0 {
			rec.Len, rec.Off, rec.Flags = 0, uapi.RecSize, uapi.RecFSkip
		} else {
			off := p.Headroom()
			if !p.within() || off > 1<<16-1-uapi.RecSize {
				panic("mytun: Commit of a packet whose Data is not a part of its Buffer")
			}
			rec.Len, rec.Off, rec.Flags = uint32(len(p.Data)), uint16(uapi.RecSize+off), 0
			bytes += uint64(len(p.Data))
			sent++
		}
		rec.Hash, rec.Reserved, rec.Reserved2 = 0, 0, 0
		setProto(rec, p.Proto)
		setVNet(rec, &p.VNet)
		rec.Size &^= recHeld
		r.held--
		*p = Packet{}
		n++
	}
	return n, sent, bytes, n > 0 && r.publish()
}

// publish moves the published position over all records that are finished and
// tells whether the kernel must be told.
func (r *txRing) publish() (bell bool) {
	old := r.pub
	if r.held == 0 {
		r.pub = r.next
	}
	for r.pub != r.next {
		size := r.ring.rec(r.pub).Size
		if size&recHeld != 0 {
			break
		}
		if size-1 >= r.next-r.pub {
			break // a stray write of the program: nothing goes out any more
		}
		r.pub += size
	}
	if r.pub == old {
		return false
	}
	// Store-release; pairs with the kernel's load-acquire of tx_prod->pos: the
	// headers and packets were written before. Then full barrier and load of the
	// event; pairs with the kernel's store of tx_cons->event, full barrier, load
	// of tx_prod->pos: either it sees the records or we see that it sleeps.
	atomic.SwapUint32(&r.prod.Pos, r.pub)
	return uapi.NeedEvent(atomic.LoadUint32(&r.cons.Event), r.pub, old)
}

// pending returns how many bytes are published and not taken. It needs no lock.
func (r *txRing) pending() uint32 {
	return atomic.LoadUint32(&r.prod.Pos) - atomic.LoadUint32(&r.cons.Pos)
}

// worthwhile returns how many free bytes are worth being woken for: half of the
// ring, so that a writer finds work for a while, but no more than come free
// without a Commit of what is reserved.
func (r *txRing) worthwhile() uint32 {
	size := r.ring.mask + 1
	return min(size/2, size-(r.next-r.pub))
}

// arm asks the kernel to wake us when there are free bytes to write into, which
// there are not now. The caller must look at fits and flags once more before it
// sleeps.
func (r *txRing) arm(free uint32) {
	// The kernel's position at which that many bytes are free.
	pos := r.next - (r.ring.mask + 1) + free
	// Store and full barrier; the load is that in fits. Pairs with the kernel's
	// store of tx_cons->pos, full barrier, load of tx_prod->event.
	atomic.SwapUint32(&r.prod.Event, pos-1)
}

// flags returns why the kernel does not serve the ring any more, or 0.
func (r *txRing) flags() uint32 { return atomic.LoadUint32(&r.cons.Flags) }

// drops returns how many records the kernel dropped.
func (r *txRing) drops() uint64 { return atomic.LoadUint64(&r.cons.Drops) }
