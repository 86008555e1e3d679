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
	head, tail int // room around a packet that is read

	rdMu     sync.Mutex
	rdPkts   []Packet  // rdMu: what the reader inside asked for
	rdN      int       // rdMu: how many it has got
	rdErr    error     // rdMu
	rdOne    [1]Packet // rdMu: for read
	readable func(fd uintptr) bool

	wrMu     sync.Mutex
	wrData   []byte // wrMu: the packet that the writer inside writes
	wrErr    error  // wrMu
	writable func(fd uintptr) bool
	sendNow  func(fd uintptr)

	pool bufferPool

	rxPackets, rxBytes, rxParks, reads           atomic.Uint64
	txPackets, txBytes, txDrops, txParks, writes atomic.Uint64
}

// newKernelQueue makes a queue of fd, which is attached. It owns fd, also if it
// fails.
func newKernelQueue(fd int, name string, tap bool, head, tail int) (*kernelQueue, error) {
	q := &kernelQueue{tap: tap, head: head, tail: tail}
	if err := q.open(fd, name); err != nil {
		return nil, err
	}
	q.pool.size = head + kernelPacketMax + tail
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
		p.pos, p.buf = q.pool.lend()
		n, err := unix.Read(int(fd), p.buf[q.head:q.head+kernelPacketMax])
		q.reads.Add(1)
		if err == nil {
			p.Data = p.buf[q.head : q.head+n]
			p.Hash, p.VNet = 0, VNet{}
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
		if pkts[i].buf != nil {
			q.pool.takeBack(&pkts[i])
		}
	}
}

// send writes wrData. It returns false if the interface can take none now.
func (q *kernelQueue) send(fd uintptr) bool {
	for {
		_, err := unix.Write(int(fd), q.wrData)
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

func (q *kernelQueue) write(b []byte) error {
	q.wrMu.Lock()
	defer q.wrMu.Unlock()
	if err := q.check(b); err != nil {
		return err
	}
	q.wrData, q.wrErr = b, nil
	err := q.raw.Write(q.writable)
	err = q.poll(err, q.wrErr)
	q.wrData = nil
	return err
}

// writeNow is write that neither waits nor knows of deadlines.
func (q *kernelQueue) writeNow(b []byte) error {
	q.wrMu.Lock()
	defer q.wrMu.Unlock()
	if err := q.check(b); err != nil {
		return err
	}
	q.wrData, q.wrErr = b, nil
	err := q.raw.Control(q.sendNow)
	err = q.poll(err, q.wrErr)
	q.wrData = nil
	return err
}

func (q *kernelQueue) check(b []byte) error {
	switch {
	case q.closed.Load():
		return net.ErrClosed
	case len(b) == 0:
		return unix.EINVAL
	case len(b) > kernelPacketMax:
		return unix.EMSGSIZE
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
		pos, buf := q.pool.lend()
		pkts[i] = Packet{Data: buf[:size], pos: pos, buf: buf}
	}
	return len(pkts), nil
}

func (q *kernelQueue) commit(pkts []Packet) error {
	var first error
	for i := range pkts {
		p := &pkts[i]
		if p.buf == nil {
			continue
		}
		var err error
		switch {
		case len(p.Data) == 0:
		case !p.within():
			panic("mytun: Commit of a packet whose Data is not a part of its Buffer")
		case p.VNet != VNet{}:
			err = unix.EINVAL
		case first == nil:
			err = q.writeNow(p.Data)
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

// bufferPool are the buffers of a kernelQueue: as many as were ever lent at
// one time.
type bufferPool struct {
	size int
	mu   sync.Mutex
	bufs [][]byte // mu
	lent []bool   // mu: by the index in bufs
	free []uint32 // mu: indices in bufs
}

func (p *bufferPool) lend() (pos uint32, buf []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		pos, p.free = p.free[n-1], p.free[:n-1]
	} else {
		pos = uint32(len(p.bufs))
		p.bufs = append(p.bufs, make([]byte, p.size))
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
	if uint64(pos) >= uint64(len(p.bufs)) || !p.lent[pos] || &p.bufs[pos][0] != &pkt.buf[0] {
		panic("mytun: a packet was given back that is not lent by this queue")
	}
	p.lent[pos] = false
	p.free = append(p.free, pos)
	*pkt = Packet{}
}
