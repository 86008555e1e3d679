// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"io"
	"net"
)

// Errors of reading and writing. They come inside a *net.OpError: use
// errors.Is. After Close every call fails with net.ErrClosed, after a deadline
// with os.ErrDeadlineExceeded.
var (
	// ErrDetached says that the queue has no interface any more though the
	// program did not close it: the interface was deleted. It is for good.
	ErrDetached = errors.New("interface is gone")

	// ErrFault says that the kernel does not serve the ring any more, because
	// something was in the shared memory that does not belong there: a packet's
	// owner wrote outside of its buffer. It is for good; close the queue.
	ErrFault = errors.New("ring is damaged")

	// ErrMultiQueue is the error of a Tun's Read and Write if it has more
	// than one queue.
	ErrMultiQueue = errors.New("interface has several queues")
)

// Addr is the net.Addr of both ends of a Tun: the name of its interface.
type Addr string

// Network returns "mytun".
func (Addr) Network() string { return "mytun" }

// String returns the name of the interface.
func (a Addr) String() string { return string(a) }

var _ net.Addr = Addr("")

func opError(op string, addr Addr, err error) error {
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: err}
}

// shortBuffer is the error of a Read that had room for copied of size bytes.
func shortBuffer(copied, size int) error {
	if copied < size {
		return io.ErrShortBuffer
	}
	return nil
}
