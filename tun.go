// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

var _ net.Conn = (*Tun)(nil)

// Tun is an interface that a program has opened: one or more queues. A Tun
// with one queue is itself a net.Conn of packets.
//
// A Tun that is no longer used must be closed; nothing closes it by itself
// before the process ends.
type Tun struct {
	queues  []*Queue
	backend Backend
	addr    Addr
	link    link
	closed  atomic.Bool
}

// Queues returns all queues, in their order. The slice is the caller's.
func (t *Tun) Queues() []*Queue { return slices.Clone(t.queues) }

// NumQueues returns the number of queues.
func (t *Tun) NumQueues() int { return len(t.queues) }

// Queue returns queue i, counted from zero. It panics if there is none.
func (t *Tun) Queue(i int) *Queue { return t.queues[i] }

// Backend returns what moves the packets: BackendRing or BackendKernel.
func (t *Tun) Backend() Backend { return t.backend }

// Name returns the name of the interface: the present one, as it may have been
// renamed. After Close, or if the interface is gone, it is the name that it had
// when it was opened.
func (t *Tun) Name() string {
	if name, err := t.link.name(); err == nil {
		return name
	}
	return string(t.addr)
}

// Index returns the index of the interface, as net.Interface has it. It stays
// the same after Close.
func (t *Tun) Index() int { return t.link.index }

// MTU returns the interface's MTU, in bytes.
func (t *Tun) MTU() (int, error) {
	mtu, err := t.link.mtu()
	return mtu, t.fail("mtu", err)
}

// SetMTU sets the interface's MTU, in bytes. It needs CAP_NET_ADMIN.
func (t *Tun) SetMTU(mtu int) error { return t.fail("set mtu", t.link.setMTU(mtu)) }

// Up brings the interface up, so that packets can pass. It needs
// CAP_NET_ADMIN.
func (t *Tun) Up() error { return t.fail("up", t.link.setUp(true)) }

// Down takes the interface down. It needs CAP_NET_ADMIN.
func (t *Tun) Down() error { return t.fail("down", t.link.setUp(false)) }

// SetWholeGSO changes what Config.WholeGSO has set. Packets that wait to be read
// stay as they are.
func (t *Tun) SetWholeGSO(on bool) error {
	err := net.ErrClosed
	for _, q := range t.queues {
		var offloadErr error
		if err = q.io.control(func(fd uintptr) { offloadErr = setWholeGSO(int(fd), on) }); err == nil {
			err = offloadErr
		}
		// The setting is the interface's. A queue may have been closed by itself.
		if !errors.Is(err, net.ErrClosed) {
			break
		}
	}
	return t.fail("set", err)
}

// Read reads one packet, as [Queue.Read] does. If there is more than one queue
// its error is ErrMultiQueue.
func (t *Tun) Read(b []byte) (int, error) {
	if len(t.queues) > 1 {
		return 0, t.fail("read", ErrMultiQueue)
	}
	return t.queues[0].Read(b)
}

// Write writes one packet, as [Queue.Write] does. If there is more than one
// queue its error is ErrMultiQueue.
func (t *Tun) Write(b []byte) (int, error) {
	if len(t.queues) > 1 {
		return 0, t.fail("write", ErrMultiQueue)
	}
	return t.queues[0].Write(b)
}

// Close closes all queues that are still open, as [Queue.Close] does. The
// interface goes away unless it is persistent or others have attached to it. A
// second Close has an error for which errors.Is(err, net.ErrClosed) is true.
func (t *Tun) Close() error {
	if t.closed.Swap(true) {
		return t.fail("close", net.ErrClosed)
	}
	var first error
	for _, q := range t.queues {
		if err := q.Close(); first == nil && !errors.Is(err, net.ErrClosed) {
			first = err
		}
	}
	t.link.close()
	return first
}

// LocalAddr returns the Addr of the interface, an [Addr].
func (t *Tun) LocalAddr() net.Addr { return t.addr }

// RemoteAddr returns the same as LocalAddr.
func (t *Tun) RemoteAddr() net.Addr { return t.addr }

// SetDeadline sets the deadline of reading and writing of all queues.
func (t *Tun) SetDeadline(d time.Time) error { return t.setDeadline(true, true, d) }

// SetReadDeadline sets the deadline of reading of all queues.
func (t *Tun) SetReadDeadline(d time.Time) error { return t.setDeadline(true, false, d) }

// SetWriteDeadline sets the deadline of writing of all queues.
func (t *Tun) SetWriteDeadline(d time.Time) error { return t.setDeadline(false, true, d) }

func (t *Tun) setDeadline(read, write bool, d time.Time) error {
	var first error
	for _, q := range t.queues {
		if err := q.io.setDeadline(read, write, d); first == nil {
			first = err
		}
	}
	return t.fail("set", first)
}

func (t *Tun) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return opError(op, t.addr, err)
}
