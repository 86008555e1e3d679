// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// queueIO is what a Queue does its work with. It has one call for a batch, so
// that its being an interface costs nothing per packet. Errors are bare.
type queueIO interface {
	read(b []byte) (int, error)
	readBatch(pkts []Packet) (int, error)
	release(pkts []Packet)
	write(b []byte) error
	writeBatch(pkts [][]byte) (int, error)
	reserve(pkts []Packet, size int) (int, error)
	writePackets(pkts []Packet) (int, error)
	commit(pkts []Packet) error
	setMode(change func(mode *uapi.Mode)) error
	control(fn func(fd uintptr)) error
	setDeadline(read, write bool, t time.Time) error
	stats() Stats
	close() error
}

// conn is an open file in Go's poller, with deadlines and a state of being
// closed: what both kinds of queueIO have in common.
type conn struct {
	file     *os.File
	raw      syscall.RawConn
	closed   atomic.Bool
	readEnd  deadline
	writeEnd deadline
}

// open puts fd into the poller and owns it from then on. It is called when
// nothing is left to be set up: the poller gives up on a file that has an error
// to report at that moment, as one that is not attached has.
func (c *conn) open(fd int, name string) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	c.file = os.NewFile(uintptr(fd), name)
	raw, err := c.file.SyscallConn()
	if err == nil {
		// An error if the poller does not have the file.
		err = c.file.SetDeadline(time.Time{})
	}
	if err != nil {
		c.file.Close()
		return err
	}
	c.raw = raw
	return nil
}

// control calls fn with the file, which is not closed meanwhile.
func (c *conn) control(fn func(fd uintptr)) error {
	return c.reason(c.raw.Control(fn))
}

func (c *conn) setDeadline(read, write bool, t time.Time) error {
	var err error
	if read {
		c.readEnd.set(t)
		err = c.file.SetReadDeadline(t)
	}
	if write && err == nil {
		c.writeEnd.set(t)
		err = c.file.SetWriteDeadline(t)
	}
	return c.reason(err)
}

// reason turns an error of the poller or of a system call into the one that
// callers are promised.
func (c *conn) reason(err error) error {
	switch {
	case err == nil:
		return nil
	case c.closed.Load():
		// The poller's own error for this is not net.ErrClosed; and the file
		// being detached is Close's work.
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case err == unix.EBADFD:
		return ErrDetached
	}
	return err
}

// deadline is the time after which a call fails even if it needs not wait. The
// poller has it too, but a busy queue never enters the poller.
type deadline struct {
	at atomic.Int64 // since start; 0: none
}

// start makes time.Since read only the monotonic clock.
var start = time.Now()

func (d *deadline) set(t time.Time) {
	if t.IsZero() {
		d.at.Store(0)
		return
	}
	at := time.Since(start)
	if left := time.Until(t); left > 1<<62 {
		at = 1<<63 - 1
	} else if at += left; at <= 0 {
		at = 1
	}
	d.at.Store(int64(at))
}

func (d *deadline) passed() bool {
	at := d.at.Load()
	return at != 0 && int64(time.Since(start)) >= at
}
