// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/sys"
	"github.com/mytun/mytun/internal/uapi"
)

// device is what a ringQueue asks of its file beyond waiting. Tests have another.
type device interface {
	doorbell(fd int, few bool) error
	rxDoorbell(fd int) error
	setMode(fd int, m *uapi.Mode) error
	detach(fd int) error
	unmap(mem []byte) error
}

// module is the device that is one.
type module struct{}

// The doorbells are bare system calls in a build with cgo too: they are the calls
// on the way of packets, and a call into C costs about as much again.
func (module) doorbell(fd int, few bool) error {
	if few {
		return sys.DoorbellFew(fd)
	}
	return sys.Doorbell(fd)
}

func (module) rxDoorbell(fd int) error            { return sys.RxDoorbell(fd) }
func (module) setMode(fd int, m *uapi.Mode) error { return sysSetMode(fd, m) }
func (module) detach(fd int) error                { return sysDetach(fd) }
func (module) unmap(mem []byte) error             { return sysUnmap(mem) }

// ringQueue is the queueIO over the rings of the module.
//
// The lock of a direction is held around the work on its ring and never while
// waiting. Memory stays mapped as long as refs is not zero: it counts 1 for the
// queue until Close, 1 for each call that is inside, 1 for each record lent.
type ringQueue struct {
	conn
	dev  device
	mem  []byte
	refs atomic.Int64

	modeMu sync.Mutex
	mode   uapi.Mode // modeMu: what the kernel was told

	_        [64]byte // the two directions share no cache line
	rxMu     sync.Mutex
	rx       rxRing // rxMu
	rxStats  Stats  // rxMu
	rxParked bool   // rxMu: a reader may be parked; see lease
	rxSpin   spinner
	// What is called while waiting, made once because making it allocates.
	rxLook func() bool           // something to read, or a reason not to
	rxPark func(fd uintptr) bool // the same, and arms the ring if not
	rxBell func(fd uintptr)

	_       [64]byte
	txMu    sync.Mutex
	tx      txRing // txMu
	txStats Stats  // txMu
	txSpin  spinner
	txWait  sync.Mutex // one writer at a time enters the poller
	txNeed  uint32     // txWait: bytes that it needs
	txLook  func() bool
	txPark  func(fd uintptr) bool
	bellMu  sync.Mutex
	bell    func(fd uintptr)
	direct  bool   // bellMu: the doorbell's caller takes the packets up the stack
	bellFew bool   // bellMu: it is over soon
	bellErr error  // bellMu
	bells   uint64 // bellMu
	last    Stats  // drops at Close; written before the last reference goes
}

// newRingQueue makes a queue of fd, which has its rings already, and mem, its
// mapping. It owns both, also if it fails.
func newRingQueue(fd int, name string, dev device, mem []byte, g *uapi.Rings) (*ringQueue, error) {
	m := &ringQueue{dev: dev, mem: mem}
	r, err := mapRings(mem, g)
	if err != nil {
		unix.Close(fd)
	} else {
		err = m.open(fd, name)
	}
	if err != nil {
		dev.unmap(mem)
		return nil, err
	}
	m.rx, m.tx = newRxRing(&r), newTxRing(&r)
	m.refs.Store(1)
	m.rxLook = func() bool {
		m.rxMu.Lock()
		defer m.rxMu.Unlock()
		return m.rx.ready() || m.rx.flags() != 0
	}
	m.rxPark = func(uintptr) bool {
		m.rxMu.Lock()
		defer m.rxMu.Unlock()
		m.rxParked = false
		if m.rx.ready() || m.rx.flags() != 0 {
			return true
		}
		m.rx.arm()
		if m.rx.ready() || m.rx.flags() != 0 {
			return true
		}
		m.rxParked = true
		m.rxStats.RXParks++
		return false
	}
	m.txLook = func() bool {
		m.txMu.Lock()
		defer m.txMu.Unlock()
		return m.txReady()
	}
	m.txPark = func(uintptr) bool {
		m.txMu.Lock()
		defer m.txMu.Unlock()
		if m.txReady() {
			return true
		}
		m.tx.arm(max(m.txNeed, m.tx.worthwhile()))
		if m.txReady() {
			return true
		}
		m.txStats.TXParks++
		return false
	}
	// Nobody is told of its errors: a queue that is dead says so to the next
	// reader.
	m.rxBell = func(fd uintptr) { m.dev.rxDoorbell(int(fd)) }
	m.bell = func(fd uintptr) { m.bellErr = m.dev.doorbell(int(fd), m.bellFew) }
	return m, nil
}

// enter counts a call in. The caller must leave with the same count.
func (m *ringQueue) enter(end *deadline) error {
	if m.closed.Load() || !m.pin() {
		return net.ErrClosed
	}
	if end.passed() {
		m.leave(1)
		return os.ErrDeadlineExceeded
	}
	return nil
}

// pin takes a reference, unless the last one is gone and the memory with it.
func (m *ringQueue) pin() bool {
	for {
		n := m.refs.Load()
		if n == 0 {
			return false
		}
		if m.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave gives n references back; a negative n takes some, beside one's own.
func (m *ringQueue) leave(n int) {
	if n != 0 && m.refs.Add(int64(-n)) == 0 {
		m.dev.unmap(m.mem)
	}
}

// state turns the flags of one of the kernel's ends into an error.
func (m *ringQueue) state(flags uint32) error {
	switch {
	case flags == 0:
		return nil
	case flags&uapi.EndFFault != 0:
		return m.reason(ErrFault)
	}
	return m.reason(ErrDetached)
}

func (m *ringQueue) readBatch(pkts []Packet) (int, error) {
	if err := m.enter(&m.readEnd); err != nil {
		return 0, err
	}
	for {
		m.rxMu.Lock()
		n, err := m.lease(pkts)
		parked := m.rxParked
		m.rxMu.Unlock()
		if n > 0 || len(pkts) == 0 {
			m.leave(1 - n) // what is lent holds the memory from now on
			return n, nil
		}
		if err == nil {
			err = m.waitRead(parked)
		}
		if err != nil {
			m.leave(1)
			return 0, err
		}
	}
}

func (m *ringQueue) read(b []byte) (int, error) {
	if err := m.enter(&m.readEnd); err != nil {
		return 0, err
	}
	defer m.leave(1)
	var pkt [1]Packet
	for {
		m.rxMu.Lock()
		n, err := m.lease(pkt[:])
		parked := m.rxParked
		copied, size := copy(b, pkt[0].Data), len(pkt[0].Data)
		_, bell := m.rx.release(pkt[:n])
		if bell {
			m.rxStats.RXDoorbells++
		}
		m.rxMu.Unlock()
		if bell {
			m.raw.Control(m.rxBell)
		}
		if n > 0 {
			return copied, shortBuffer(copied, size)
		}
		if err == nil {
			err = m.waitRead(parked)
		}
		if err != nil {
			return 0, err
		}
	}
}

// lease leases and counts, unless a reader is parked: then what there is and will
// be is that one's. The event by which it is woken is the position where it
// found the ring empty. If another took the record there before the poller has
// looked, the poller would see nothing to wake it for, and the kernel, for which
// that event is over, would never try again. The caller holds rxMu.
func (m *ringQueue) lease(pkts []Packet) (int, error) {
	if m.rxParked {
		return 0, nil
	}
	n, bytes, err := m.rx.lease(pkts)
	m.rxStats.RXPackets += uint64(n)
	m.rxStats.RXBytes += bytes
	return n, err
}

// waitRead returns when there may be something to read; the error is why there
// will be nothing. A moment ago the ring was empty, or a reader was parked: then
// the wait is for that one, since the poller takes one at a time.
func (m *ringQueue) waitRead(parked bool) error {
	if parked || !m.rxSpin.spin(m.rxLook) {
		// After an error rxParked may stay set: that only sends the next
		// reader this way, too.
		if err := m.raw.Read(m.rxPark); err != nil {
			return m.reason(err)
		}
	}
	m.rxMu.Lock()
	defer m.rxMu.Unlock()
	if m.rx.ready() {
		return nil // what came before the queue failed is still to be read
	}
	return m.state(m.rx.flags())
}

func (m *ringQueue) release(pkts []Packet) {
	// No need to enter: each record that is lent is a reference.
	n, bell := m.takeBack(pkts)
	if bell {
		m.raw.Control(m.rxBell)
	}
	m.leave(n)
}

func (m *ringQueue) takeBack(pkts []Packet) (n int, bell bool) {
	m.rxMu.Lock()
	defer m.rxMu.Unlock()
	n, bell = m.rx.release(pkts)
	if bell {
		m.rxStats.RXDoorbells++
	}
	return n, bell
}

func (m *ringQueue) writeBatch(pkts [][]byte) (int, error) {
	if err := m.enter(&m.writeEnd); err != nil {
		return 0, err
	}
	defer m.leave(1)
	done := 0
	for {
		m.txMu.Lock()
		if err := m.state(m.tx.flags()); err != nil {
			m.txMu.Unlock()
			return done, err
		}
		n, bytes, bell, err := m.tx.write(pkts[done:])
		m.txStats.TXPackets += uint64(n)
		m.txStats.TXBytes += bytes
		m.txMu.Unlock()
		if bell {
			if err := m.ring(n); err != nil {
				return done, err
			}
		}
		done += n
		if err != nil || done == len(pkts) {
			return done, err
		}
		if err := m.waitWrite(len(pkts[done])); err != nil {
			return done, err
		}
	}
}

// writePackets is writeBatch, word for word but for what it writes: a function for
// both would be called for each packet.
func (m *ringQueue) writePackets(pkts []Packet) (int, error) {
	if err := m.enter(&m.writeEnd); err != nil {
		return 0, err
	}
	defer m.leave(1)
	done := 0
	for {
		m.txMu.Lock()
		if err := m.state(m.tx.flags()); err != nil {
			m.txMu.Unlock()
			return done, err
		}
		n, bytes, bell, err := m.tx.writePackets(pkts[done:])
		m.txStats.TXPackets += uint64(n)
		m.txStats.TXBytes += bytes
		m.txMu.Unlock()
		if bell {
			if err := m.ring(n); err != nil {
				return done, err
			}
		}
		done += n
		if err != nil || done == len(pkts) {
			return done, err
		}
		if err := m.waitWrite(len(pkts[done].Data)); err != nil {
			return done, err
		}
	}
}

func (m *ringQueue) write(b []byte) error {
	if err := m.enter(&m.writeEnd); err != nil {
		return err
	}
	defer m.leave(1)
	for {
		m.txMu.Lock()
		if err := m.state(m.tx.flags()); err != nil {
			m.txMu.Unlock()
			return err
		}
		rec, err := m.tx.put(b)
		bell := false
		if rec != nil {
			bell = m.tx.publish()
			m.txStats.TXPackets++
			m.txStats.TXBytes += uint64(len(b))
		}
		m.txMu.Unlock()
		switch {
		case bell:
			return m.ring(1)
		case rec != nil || err != nil:
			return err
		}
		if err := m.waitWrite(len(b)); err != nil {
			return err
		}
	}
}

func (m *ringQueue) reserve(pkts []Packet, size int) (int, error) {
	if err := m.enter(&m.writeEnd); err != nil {
		return 0, err
	}
	for {
		m.txMu.Lock()
		n, err := 0, m.state(m.tx.flags())
		if err == nil {
			n, err = m.tx.reserve(pkts, size)
		}
		m.txMu.Unlock()
		if n > 0 || len(pkts) == 0 {
			m.leave(1 - n) // what is lent holds the memory from now on
			return n, nil
		}
		if err == nil {
			err = m.waitWrite(size)
		}
		if err != nil {
			m.leave(1)
			return 0, err
		}
	}
}

func (m *ringQueue) commit(pkts []Packet) error {
	n, bell := m.finish(pkts)
	if n == 0 {
		return nil
	}
	// No need to enter: each record that is lent is a reference.
	defer m.leave(n)
	if m.closed.Load() {
		return net.ErrClosed
	}
	if bell {
		return m.ring(n)
	}
	return m.state(m.tx.flags())
}

func (m *ringQueue) finish(pkts []Packet) (int, bool) {
	m.txMu.Lock()
	defer m.txMu.Unlock()
	n, sent, bytes, bell := m.tx.commit(pkts)
	m.txStats.TXPackets += uint64(sent)
	m.txStats.TXBytes += bytes
	return n, bell
}

// txReady tells whether a writer need not wait. The caller holds txMu, and
// txWait if txNeed matters.
func (m *ringQueue) txReady() bool {
	ok, err := m.tx.fits(m.txNeed)
	return ok || err != nil || m.tx.flags() != 0
}

// waitWrite returns when there may be room for a packet of size bytes; the
// error is why there will be none. The ring was full a moment ago.
func (m *ringQueue) waitWrite(size int) error {
	m.txWait.Lock()
	defer m.txWait.Unlock()
	m.txNeed = align(uapi.RecSize + uint32(size))
	if m.txSpin.spin(m.txLook) {
		return nil
	}
	return m.reason(m.raw.Write(m.txPark))
}

// So many packets, and so many bytes, the stack takes in some tens of microseconds: a burst of
// the smallest, or of the pieces of 64 KiB of a flow. Go's scheduler looks after 20 who is in a
// system call, for which a thread of its own wakes.
const (
	fewPackets = 64
	fewBytes   = 128 << 10
)

// ring rings the doorbell for packets that were just written. It runs in RawConn.Control,
// so that the file cannot be closed meanwhile; Close waits for it, and it does not block.
func (m *ringQueue) ring(packets int) error {
	m.bellMu.Lock()
	defer m.bellMu.Unlock()
	// Others may have written more, or write it now: then the kernel goes on for as
	// long as a softirq may.
	m.bellFew = !m.direct && packets <= fewPackets && m.tx.pending() <= fewBytes
	m.bells++
	err := m.raw.Control(m.bell)
	if err == nil {
		err = m.bellErr
	}
	if err == unix.EIO {
		err = ErrFault
	}
	return m.reason(err)
}

func (m *ringQueue) setMode(change func(mode *uapi.Mode)) error {
	m.modeMu.Lock()
	defer m.modeMu.Unlock()
	mode := m.mode
	change(&mode)
	had, has := m.mode.Flags, mode.Flags
	// Releasing looks whether the kernel waits, for as long as it may.
	m.heed(had | has)
	m.bellMu.Lock()
	m.direct = mode.Inject == uapi.InjectDirect
	m.bellMu.Unlock()
	var modeErr error
	err := m.raw.Control(func(fd uintptr) { modeErr = m.dev.setMode(int(fd), &mode) })
	if err == nil {
		err = modeErr
	}
	if err != nil {
		m.heed(had)
		m.bellMu.Lock()
		m.direct = m.mode.Inject == uapi.InjectDirect
		m.bellMu.Unlock()
		if err == unix.EINVAL {
			err = errors.ErrUnsupported
		}
		return m.reason(err)
	}
	m.mode = mode
	m.heed(has)
	return nil
}

// heed makes releasing look whether the kernel waits for room, if the flags of a
// mode say so.
func (m *ringQueue) heed(flags uint32) {
	m.rxMu.Lock()
	defer m.rxMu.Unlock()
	m.rx.backpressure = flags&uapi.ModeFBackpressure != 0
}

func (m *ringQueue) stats() Stats {
	m.rxMu.Lock()
	s := m.rxStats
	m.rxMu.Unlock()
	m.txMu.Lock()
	s.TXPackets, s.TXBytes, s.TXParks = m.txStats.TXPackets, m.txStats.TXBytes, m.txStats.TXParks
	m.txMu.Unlock()
	m.bellMu.Lock()
	s.Doorbells = m.bells
	m.bellMu.Unlock()
	if m.pin() {
		s.RXDrops, s.TXDrops = m.rx.drops(), m.tx.drops()
		m.leave(1)
	} else {
		s.RXDrops, s.TXDrops = m.last.RXDrops, m.last.TXDrops
	}
	return s
}

func (m *ringQueue) close() error {
	if m.closed.Swap(true) {
		return net.ErrClosed
	}
	// The mapping keeps the file, and the file the interface, so closing alone
	// would not end either while packets are lent.
	var detachErr error
	err := m.raw.Control(func(fd uintptr) { detachErr = m.dev.detach(int(fd)) })
	if err == nil && detachErr != unix.EBADFD { // gone already
		err = os.NewSyscallError("ioctl MYTUN_IOC_DETACH", detachErr)
	}
	// Wakes everyone in the poller, and waits until they have left it.
	if closeErr := m.file.Close(); err == nil {
		err = closeErr
	}
	m.last.RXDrops, m.last.TXDrops = m.rx.drops(), m.tx.drops()
	m.leave(1)
	return err
}
