// SPDX-License-Identifier: MIT

package mytun

import (
	"net"
	"time"

	"github.com/mytun/mytun/internal/uapi"
)

var _ net.Conn = (*Queue)(nil)

// Queue is one queue of an interface. The kernel spreads the flows of the
// interface over its queues; what is written on a queue comes up in the stack
// as received on that queue, and the replies of that flow are read from it.
type Queue struct {
	io    queueIO
	addr  Addr
	index int
}

// fail puts an error into its *net.OpError.
func (q *Queue) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return opError(op, q.addr, err)
}

// Read reads one packet into b, waiting for it if there is none, and returns
// its length. If b is too small it holds the packet's beginning, the rest is
// lost, n is len(b) and the error is io.ErrShortBuffer.
func (q *Queue) Read(b []byte) (n int, err error) {
	n, err = q.io.read(b)
	return n, q.fail("read", err)
}

// ReadBatch lends up to len(pkts) packets where they lie, puts them into pkts
// and returns how many they are. If there is none it waits for the first; it
// does not wait for more. It returns either n > 0 or an error, except that
// with no pkts it returns 0 and nil.
//
// Each packet must be given back with [Queue.Release]. What is lent takes
// space in the ring: when the ring is full the kernel drops packets, or holds
// them back with Config.Backpressure.
func (q *Queue) ReadBatch(pkts []Packet) (n int, err error) {
	n, err = q.io.readBatch(pkts)
	return n, q.fail("read", err)
}

// Release gives back packets that ReadBatch lent, and sets each to the zero
// Packet; zero Packets among them are passed over. Packets may be given back
// in any order, by any goroutine, and after Close; but space becomes free in
// the order in which the packets came, so one that is held for long holds all
// that came after it.
//
// Release panics if a packet is not lent by this queue.
func (q *Queue) Release(pkts []Packet) { q.io.release(pkts) }

// Write writes b as one packet and returns len(b). If the ring is full it
// waits. See [Queue.WriteBatch] for the errors.
func (q *Queue) Write(b []byte) (n int, err error) {
	if err := q.io.write(b); err != nil {
		return 0, q.fail("write", err)
	}
	return len(b), nil
}

// WriteBatch copies each of pkts into the ring as one packet, waiting while
// the ring is full, and returns how many were written: all of them, or fewer
// and an error. The kernel is told once for all that fit at once, and only if
// it does not look at the ring anyway.
//
// The error is syscall.EINVAL for an empty packet, and syscall.EMSGSIZE for one
// that is longer than IP allows or that the ring can never hold. It is
// syscall.ENETDOWN if the interface is down; then the packets that were copied
// last are lost, and n does not count them. (While the kernel is busy with what
// was written before, it is not asked and there is no such error; Stats counts
// what it drops in any case.) A packet that the stack has no use for is dropped
// there without an error.
func (q *Queue) WriteBatch(pkts [][]byte) (n int, err error) {
	n, err = q.io.writeBatch(pkts)
	return n, q.fail("write", err)
}

// WritePackets is [Queue.WriteBatch] for packets that come with what is to be
// said of them: of each the Data, Proto and VNet are copied. They may be packets
// of the program's own making, or lent by any queue; they stay the caller's.
func (q *Queue) WritePackets(pkts []Packet) (n int, err error) {
	n, err = q.io.writePackets(pkts)
	return n, q.fail("write", err)
}

// Reserve lends up to len(pkts) free records of the transmit ring, each with
// room for size bytes, puts them into pkts and returns how many they are. If
// there is none it waits for the first; it does not wait for more. The Data of
// each is size bytes long and holds anything; the other fields are zero.
//
// Write the packet into Data, set Data to the part of it that is the packet,
// and pass it to [Queue.Commit]. Nothing that is written after it, by anybody,
// reaches the kernel before that: do not wait in between.
//
// The error is syscall.EMSGSIZE for a size that the ring can never hold, and
// syscall.EINVAL for one that is not positive.
func (q *Queue) Reserve(pkts []Packet, size int) (n int, err error) {
	n, err = q.io.reserve(pkts, size)
	return n, q.fail("write", err)
}

// Commit sends packets that Reserve lent, those whose Data is not empty, and
// gives back the records of the others. It sets each to the zero Packet; zero
// Packets among them are passed over. Packets leave in the order in which they
// were reserved.
//
// The error is one of [Queue.WriteBatch], and in each case the packets are no
// longer the caller's. Commit panics if a packet is not lent by this queue, or
// if its Data is not a part of its Buffer.
func (q *Queue) Commit(pkts []Packet) error {
	return q.fail("write", q.io.commit(pkts))
}

// Close takes the queue off its interface and wakes everyone who waits. The
// interface goes away with its last queue unless it is persistent. Packets
// that are lent stay valid until they are released or committed.
//
// A second Close has an error for which errors.Is(err, net.ErrClosed) is true.
func (q *Queue) Close() error {
	return q.fail("close", q.io.close())
}

// Index returns the number of the queue in its Tun, counted from zero.
func (q *Queue) Index() int { return q.index }

// LocalAddr returns the Addr of the interface.
func (q *Queue) LocalAddr() net.Addr { return q.addr }

// RemoteAddr returns the Addr of the interface.
func (q *Queue) RemoteAddr() net.Addr { return q.addr }

// SetDeadline sets the deadline of reading and writing, as that of a net.Conn:
// a call that has not finished by then fails with os.ErrDeadlineExceeded, and
// so does every later one until another deadline is set. The zero time is no
// deadline.
func (q *Queue) SetDeadline(t time.Time) error {
	return q.fail("set", q.io.setDeadline(true, true, t))
}

// SetReadDeadline sets the deadline of Read and ReadBatch.
func (q *Queue) SetReadDeadline(t time.Time) error {
	return q.fail("set", q.io.setDeadline(true, false, t))
}

// SetWriteDeadline sets the deadline of Write, WriteBatch, WritePackets and
// Reserve. Commit does not wait and has none.
func (q *Queue) SetWriteDeadline(t time.Time) error {
	return q.fail("set", q.io.setDeadline(false, true, t))
}

// SetBackpressure changes what Config.Backpressure has set. The error is
// errors.ErrUnsupported with BackendKernel.
func (q *Queue) SetBackpressure(on bool) error {
	return q.fail("set", q.io.setMode(func(m *uapi.Mode) {
		m.Flags &^= uapi.ModeFBackpressure
		if on {
			m.Flags |= uapi.ModeFBackpressure
		}
	}))
}

// SetInjection changes what Config.Injection has set. The error is
// errors.ErrUnsupported with BackendKernel.
func (q *Queue) SetInjection(i Injection) error {
	return q.fail("set", q.io.setMode(func(m *uapi.Mode) { m.Inject = uint32(i) }))
}

// Stats returns the queue's counters.
func (q *Queue) Stats() Stats { return q.io.stats() }

// Stats are counters of one queue, since it was opened. After Close they stay
// as they were.
type Stats struct {
	RXPackets uint64 // packets that were read
	RXBytes   uint64 // bytes of them
	RXDrops   uint64 // packets that the kernel dropped because the ring was full
	TXPackets uint64 // packets that were written
	TXBytes   uint64 // bytes of them
	TXDrops   uint64 // of them, those dropped as malformed or because the interface was down

	RXParks   uint64 // times that a reader was parked in the poller
	TXParks   uint64 // times that a writer was parked in the poller
	Doorbells uint64 // system calls that told the kernel of packets in the ring

	// RXDoorbells are the system calls that told the kernel of room in the
	// ring, for which it waited: with Config.Backpressure.
	RXDoorbells uint64

	Reads  uint64 // system calls read, BackendKernel only
	Writes uint64 // system calls write, BackendKernel only
}
