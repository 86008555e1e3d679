// SPDX-License-Identifier: MIT

package mytun

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/sys"
	"github.com/mytun/mytun/internal/uapi"
)

// kernelPacketMax is the largest packet or frame of the kernel's own driver.
const kernelPacketMax = uapi.PacketMax

// kernelQueue is the queueIO over /dev/net/tun: a system call for each packet,
// from and to buffers of its own.
//
// The lock of a direction is held while its owner waits in the poller, as the
// poller's own would be: a second reader could only wait there.
type kernelQueue struct {
	conn
	tap        bool
	vnet       bool // each packet has a virtio header before it
	head, tail int  // room around a packet that is read

	rdMu     sync.Mutex
	rdPkts   []Packet  // rdMu: what the reader inside asked for
	rdN      int       // rdMu: how many it has got
	rdErr    error     // rdMu
	rdOne    [1]Packet // rdMu: for read
	readable func(fd uintptr) bool

	wrMu     sync.Mutex
	wrData   []byte         // wrMu: the packet that the writer inside writes
	wrHdr    [vnetSize]byte // wrMu: its header
	wrVec    [2]unix.Iovec  // wrMu: both
	wrErr    error          // wrMu
	writable func(fd uintptr) bool
	sendNow  func(fd uintptr)

	pool bufferPool

	rxPackets, rxBytes, rxParks, reads           atomic.Uint64
	txPackets, txBytes, txDrops, txParks, writes atomic.Uint64
}

// newKernelQueue makes a queue of fd, which is attached. It owns fd, also if it
// fails.
func newKernelQueue(fd int, name string, tap, vnet bool, head, tail int) (*kernelQueue, error) {
	q := &kernelQueue{tap: tap, vnet: vnet, head: head, tail: tail}
	if err := q.open(fd, name); err != nil {
		return nil, err
	}
	q.pool.size = head + kernelPacketMax + tail
	q.wrVec[0].Base = &q.wrHdr[0]
	q.wrVec[0].SetLen(len(q.wrHdr))
	q.readable = q.drain
	q.writable = q.send
	q.sendNow = func(fd uintptr) {
		if !q.send(fd) {
			q.txDrops.Add(1)
			q.wrErr = unix.ENOBUFS
		}
	}
	return q, nil
}

// drain reads packets until there are none, or enough. It returns false if
// there was not even one.
func (q *kernelQueue) drain(fd uintptr) bool {
	for q.rdN < len(q.rdPkts) {
		p := &q.rdPkts[q.rdN]
		var whole []byte
		p.pos, whole = q.pool.lend()
		p.room = spanOf(whole[poolFront:])
		p.Hash, p.VNet = 0, VNet{}
		from := poolFront + q.head
		if q.vnet {
			// Before the packet, in the headroom or what is in front of that.
			from -= vnetSize
		}
		n, err := sys.Read(int(fd), whole[from:poolFront+q.head+kernelPacketMax])
		q.reads.Add(1)
		if err == nil && q.vnet {
			if n -= vnetSize; n < 0 {
				err = unix.EIO // it cannot be
			} else {
				p.VNet.decode((*[vnetSize]byte)(whole[from:]))
			}
		}
		if err == nil {
			p.Data = whole[poolFront+q.head:][:n]
			p.Proto = q.proto(p.Data)
			q.rxBytes.Add(uint64(n))
			q.rdN++
			continue
		}
		q.pool.takeBack(p)
		switch {
		case err == unix.EINTR:
			continue
		case err != unix.EAGAIN:
			q.rdErr = err
		case q.rdN == 0:
			q.rxParks.Add(1)
			return false
		}
		break
	}
	return true
}

// proto returns the Ethernet protocol number of a packet.
func (q *kernelQueue) proto(pkt []byte) uint16 {
	switch {
	case q.tap && len(pkt) >= 14:
		return binary.BigEndian.Uint16(pkt[12:])
	case !q.tap && len(pkt) > 0 && pkt[0]>>4 == 4:
		return unix.ETH_P_IP
	case !q.tap && len(pkt) > 0 && pkt[0]>>4 == 6:
		return unix.ETH_P_IPV6
	}
	return 0
}

func (q *kernelQueue) readBatch(pkts []Packet) (int, error) {
	q.rdMu.Lock()
	defer q.rdMu.Unlock()
	return q.fill(pkts)
}

// fill reads into pkts. The caller holds rdMu.
func (q *kernelQueue) fill(pkts []Packet) (int, error) {
	if q.closed.Load() {
		return 0, net.ErrClosed
	}
	q.rdPkts, q.rdN, q.rdErr = pkts, 0, nil
	err := q.raw.Read(q.readable)
	err = q.poll(err, q.rdErr)
	q.rdPkts = nil
	q.rxPackets.Add(uint64(q.rdN))
	if q.rdN > 0 {
		return q.rdN, nil // an error comes again
	}
	return 0, err
}

// poll returns the error of a call that got pollErr from the poller, or else
// ioErr from the file.
func (q *kernelQueue) poll(pollErr, ioErr error) error {
	switch {
	case pollErr == nil && ioErr == unix.EFAULT:
		ioErr = unix.EBADFD // a read that finds the interface deleted
	case pollErr != nil && !errors.Is(pollErr, os.ErrDeadlineExceeded):
		// The file has only an error to report (to the poller, it is "not
		// pollable"), as it has after the interface was deleted; or it is closed,
		// as reason sees.
		ioErr = unix.EBADFD
	case pollErr != nil:
		ioErr = pollErr
	}
	return q.reason(ioErr)
}

func (q *kernelQueue) read(b []byte) (int, error) {
	q.rdMu.Lock()
	defer q.rdMu.Unlock()
	pkts := q.rdOne[:]
	if _, err := q.fill(pkts); err != nil {
		return 0, err
	}
	size := len(pkts[0].Data)
	n := copy(b, pkts[0].Data)
	q.release(pkts)
	return n, shortBuffer(n, size)
}

func (q *kernelQueue) release(pkts []Packet) {
	for i := range pkts {
		if pkts[i].room.first != nil {
			q.pool.takeBack(&pkts[i])
		}
	}
}

// put writes wrData, which is not empty, and its header.
func (q *kernelQueue) put(fd int) error {
	vec := q.wrVec[:]
	if !q.vnet {
		vec = vec[1:]
	}
	q.wrVec[1].Base = &q.wrData[0]
	q.wrVec[1].SetLen(len(q.wrData))
	err := sys.Writev(fd, vec)
	q.wrVec[1].Base = nil
	return err
}

// send writes wrData. It returns false if the interface can take none now.
func (q *kernelQueue) send(fd uintptr) bool {
	for {
		err := q.put(int(fd))
		q.writes.Add(1)
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			q.txParks.Add(1)
			return false
		case nil:
		case unix.EINVAL: // malformed: the rings have no error for it either
			q.txDrops.Add(1)
		case unix.EIO:
			q.txDrops.Add(1)
			q.wrErr = unix.ENETDOWN
		default:
			q.wrErr = err
			return true
		}
		q.txPackets.Add(1)
		q.txBytes.Add(uint64(len(q.wrData)))
		return true
	}
}

func (q *kernelQueue) write(b []byte) error { return q.writeOne(b, &VNet{}) }

func (q *kernelQueue) writeOne(b []byte, v *VNet) error {
	q.wrMu.Lock()
	defer q.wrMu.Unlock()
	if err := q.check(b, v); err != nil {
		return err
	}
	q.wrData, q.wrErr = b, nil
	v.encode(&q.wrHdr)
	err := q.raw.Write(q.writable)
	err = q.poll(err, q.wrErr)
	q.wrData = nil
	return err
}

// writeNow is write that neither waits nor knows of deadlines.
func (q *kernelQueue) writeNow(b []byte, v *VNet) error {
	q.wrMu.Lock()
	defer q.wrMu.Unlock()
	if err := q.check(b, v); err != nil {
		return err
	}
	q.wrData, q.wrErr = b, nil
	v.encode(&q.wrHdr)
	err := q.raw.Control(q.sendNow)
	err = q.poll(err, q.wrErr)
	q.wrData = nil
	return err
}

func (q *kernelQueue) check(b []byte, v *VNet) error {
	switch {
	case q.closed.Load():
		return net.ErrClosed
	case len(b) == 0:
		return unix.EINVAL
	case len(b) > kernelPacketMax:
		return unix.EMSGSIZE
	case !q.vnet && (v.Flags&VNetNeedsCsum != 0 || v.GSOType != GSONone):
		return errors.ErrUnsupported
	}
	return nil
}

func (q *kernelQueue) writeBatch(pkts [][]byte) (int, error) {
	for i, b := range pkts {
		if err := q.write(b); err != nil {
			return i, err
		}
	}
	return len(pkts), nil
}

func (q *kernelQueue) writePackets(pkts []Packet) (int, error) {
	for i := range pkts {
		if err := q.writeOne(pkts[i].Data, &pkts[i].VNet); err != nil {
			return i, err
		}
	}
	return len(pkts), nil
}

// setMode: the kernel's own driver has no modes.
func (q *kernelQueue) setMode(func(*uapi.Mode)) error { return q.reason(errors.ErrUnsupported) }

func (q *kernelQueue) reserve(pkts []Packet, size int) (int, error) {
	switch {
	case q.closed.Load():
		return 0, net.ErrClosed
	case size <= 0:
		return 0, unix.EINVAL
	case size > q.pool.size:
		return 0, unix.EMSGSIZE
	}
	for i := range pkts {
		pos, whole := q.pool.lend()
		buf := whole[poolFront:]
		pkts[i] = Packet{Data: buf[:size], pos: pos, room: spanOf(buf)}
	}
	return len(pkts), nil
}

func (q *kernelQueue) commit(pkts []Packet) error {
	var first error
	for i := range pkts {
		p := &pkts[i]
		if p.room.first == nil {
			continue
		}
		var err error
		switch {
		case len(p.Data) == 0:
		case !p.within():
			panic("mytun: Commit of a packet whose Data is not a part of its Buffer")
		case first == nil:
			err = q.writeNow(p.Data, &p.VNet)
		}
		if first == nil {
			first = err
		}
		q.pool.takeBack(p)
	}
	return first
}

func (q *kernelQueue) stats() Stats {
	return Stats{
		RXPackets: q.rxPackets.Load(), RXBytes: q.rxBytes.Load(),
		RXParks: q.rxParks.Load(), Reads: q.reads.Load(),
		TXPackets: q.txPackets.Load(), TXBytes: q.txBytes.Load(), TXDrops: q.txDrops.Load(),
		TXParks: q.txParks.Load(), Writes: q.writes.Load(),
	}
}

func (q *kernelQueue) close() error {
	if q.closed.Swap(true) {
		return net.ErrClosed
	}
	return q.file.Close()
}

// poolFront are the bytes before a buffer of the pool, for a virtio header. It
// keeps what follows aligned.
const poolFront = 16

// bufferPool are the buffers of a kernelQueue: as many as were ever lent at
// one time.
type bufferPool struct {
	size int // of a buffer
	mu   sync.Mutex
	bufs [][]byte // mu: each with poolFront bytes before it
	lent []bool   // mu: by the index in bufs
	free []uint32 // mu: indices in bufs
}

// lend returns a buffer with poolFront bytes before it.
func (p *bufferPool) lend() (pos uint32, whole []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		pos, p.free = p.free[n-1], p.free[:n-1]
	} else {
		pos = uint32(len(p.bufs))
		p.bufs = append(p.bufs, make([]byte, poolFront+p.size))
		p.lent = append(p.lent, false)
	}
	p.lent[pos] = true
	return pos, p.bufs[pos]
}

// takeBack clears pkt and makes its buffer free.
func (p *bufferPool) takeBack(pkt *Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pos := pkt.pos
	if uint64(pos) >= uint64(len(p.bufs)) || !p.lent[pos] || &p.bufs[pos][poolFront] != pkt.room.first {
		panic("mytun: a packet was given back that is not lent by this queue")
	}
	p.lent[pos] = false
	p.free = append(p.free, pos)
	*pkt = Packet{}
}
