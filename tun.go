// SPDX-License-Identifier: MIT

package mytun

import (
	"net"
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
}

// Queues returns all queues, in their order. The slice is the caller's.
func (t *Tun) Queues() []*Queue { return append([]*Queue(nil), t.queues...) }

// NumQueues returns the number of queues.
func (t *Tun) NumQueues() int { return len(t.queues) }

// Queue returns queue i, counted from zero. It panics if there is none.
func (t *Tun) Queue(i int) *Queue { return t.queues[i] }

// Backend returns what moves the packets: BackendRing or BackendKernel.
func (t *Tun) Backend() Backend { return t.backend }

// Name returns the present name of the interface; after Close, the last one
// that was known.
func (t *Tun) Name() string { return "" }

// Index returns the index of the interface, as net.Interface has it.
func (t *Tun) Index() int { return 0 }

// MTU returns the interface's MTU, in bytes.
func (t *Tun) MTU() (int, error) { return 0, nil }

// SetMTU sets the interface's MTU, in bytes. It needs CAP_NET_ADMIN.
func (t *Tun) SetMTU(mtu int) error { return nil }

// Up brings the interface up, so that packets can pass. It needs
// CAP_NET_ADMIN.
func (t *Tun) Up() error { return nil }

// Down takes the interface down. It needs CAP_NET_ADMIN.
func (t *Tun) Down() error { return nil }

// Read reads one packet, as Queue.Read does. If there is more than one queue
// its error is ErrMultiQueue.
func (t *Tun) Read(b []byte) (int, error) { return 0, nil }

// Write writes one packet, as Queue.Write does. If there is more than one
// queue its error is ErrMultiQueue.
func (t *Tun) Write(b []byte) (int, error) { return 0, nil }

// Close closes all queues, as Queue.Close does. The interface goes away unless
// it is persistent or others have attached to it. A second Close has an error
// for which errors.Is(err, net.ErrClosed) is true.
func (t *Tun) Close() error { return nil }

// LocalAddr returns the Addr of the interface.
func (t *Tun) LocalAddr() net.Addr { return Addr("") }

// RemoteAddr returns the Addr of the interface.
func (t *Tun) RemoteAddr() net.Addr { return Addr("") }

// SetDeadline sets the deadline of reading and writing of all queues.
func (t *Tun) SetDeadline(d time.Time) error { return nil }

// SetReadDeadline sets the deadline of reading of all queues.
func (t *Tun) SetReadDeadline(d time.Time) error { return nil }

// SetWriteDeadline sets the deadline of writing of all queues.
func (t *Tun) SetWriteDeadline(d time.Time) error { return nil }
