// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe" // recvmmsg and sendmmsg take addresses of addresses

	"golang.org/x/sys/unix"
)

// Many datagrams with one system call, recvmmsg(2) or sendmmsg(2). The batches of golang.org/x/net do
// this, too, and allocate and fill in all structures for each call anew; here they are filled in once,
// and what a call costs is the call.
//
// Nor is Go's scheduler told of a call that is over soon. It wakes a thread then to watch how long the
// call takes, and for a small packet that costs about as much as the packet.

// What is over soon: as little as this takes the kernel about as long to copy, and to take through the network
// stack in pieces of up to 64 KiB, as Go's scheduler waits before it looks.
const (
	briefBytes     = 128 << 10
	briefMessages  = 8
	briefDatagrams = 64
)

// A sockaddr is a socket's address as the kernel writes and reads it, of IPv4 or IPv6. Two are the
// same address if they are equal.
type sockaddr struct {
	raw unix.RawSockaddrInet6 // the longer one
	len uint32
}

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// mmsg calls recvmmsg or sendmmsg. brief is true where the call is over soon.
func mmsg(number, fd uintptr, messages []mmsghdr, brief bool) (n int, errno syscall.Errno) {
	for {
		var r uintptr
		if brief {
			r, _, errno = syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)),
				syscall.MSG_DONTWAIT, 0, 0)
		} else {
			r, _, errno = syscall.Syscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)),
				syscall.MSG_DONTWAIT, 0, 0)
		}
		if errno != syscall.EINTR {
			return int(r), errno
		}
	}
}

// A receiver receives what comes to one socket. It is for one goroutine.
type receiver struct {
	conn  syscall.RawConn
	count *count
	hdrs  []mmsghdr
	iovs  []unix.Iovec // one for each of hdrs, as the following
	bufs  [][]byte
	froms []sockaddr
	oobs  [][]byte
	brief bool // the last time there was little
}

// A message is a datagram, or several of one length that came in a row, see offload.go. What it points to is
// valid until done returns, see receiver.run.
type message struct {
	bytes []byte
	size  int // of each datagram but the last
	from  *sockaddr
}

const (
	// readMessages is how many messages one system call may receive, each of up to 64 KiB or
	// maxSegments datagrams.
	readMessages = 32

	// messageStride is the distance of the buffers. It is not a power of two, which would send the
	// beginnings of all of them to the same few lines of the cache.
	messageStride = 64<<10 + 64
)

func newReceiver(s *socket, c *count) *receiver {
	r := &receiver{
		conn:  s.raw,
		count: c,
		hdrs:  make([]mmsghdr, readMessages),
		iovs:  make([]unix.Iovec, readMessages),
		bufs:  make([][]byte, readMessages),
		froms: make([]sockaddr, readMessages),
		oobs:  make([][]byte, readMessages),
	}
	memory := make([]byte, readMessages*messageStride)
	for i := range r.hdrs {
		h, iov := &r.hdrs[i], &r.iovs[i]
		r.bufs[i] = memory[i*messageStride:][:64<<10]
		r.oobs[i] = make([]byte, oobSize)
		iov.Base = &r.bufs[i][0]
		iov.SetLen(len(r.bufs[i]))
		h.Iov = iov
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.froms[i].raw))
		h.Control = &r.oobs[i][0]
	}
	r.prepare(readMessages)
	return r
}

// prepare undoes what the kernel has written into the first n headers.
func (r *receiver) prepare(n int) {
	for i := range r.hdrs[:n] {
		h := &r.hdrs[i]
		h.Namelen = uint32(unsafe.Sizeof(r.froms[i].raw))
		h.SetControllen(len(r.oobs[i]))
	}
}

// run calls take for each message that comes, and done after those of each system call, until one of them
// fails, the socket is closed or its deadline passes, and returns that error.
//
// The function that RawConn.Read is given returns false when a call has taken all that there was: Read then
// waits, and has missed nothing that came since it began, so that no other call is needed to learn that there is no
// more. It returns true when there may be more, so that Read sees whether the socket has been closed.
func (r *receiver) run(take func(m message) error, done func() error) error {
	var err error
	var refused bool
	receive := func(fd uintptr) bool {
		hdrs := r.hdrs
		if r.brief {
			hdrs = hdrs[:briefMessages]
		}
		n, errno := mmsg(unix.SYS_RECVMMSG, fd, hdrs, r.brief)
		switch errno {
		case 0:
		case syscall.EAGAIN:
			return false
		default:
			refused = true
			return true
		}
		r.count.calls.Add(1)
		if err = r.give(n, take); err == nil {
			err = done()
		}
		return err != nil || n == len(hdrs)
	}
	for {
		readErr := r.conn.Read(receive)
		switch {
		case err != nil:
			return err
		case errors.Is(readErr, net.ErrClosed) || errors.Is(readErr, os.ErrDeadlineExceeded):
			return readErr
		case refused || readErr != nil:
			// An earlier datagram met nobody (ECONNREFUSED), or went astray, which may also be all that the
			// poller sees of the socket, and takes for its end. The peer may yet come.
			refused = false
			time.Sleep(time.Millisecond)
		}
	}
}

func (r *receiver) give(n int, take func(m message) error) error {
	total := 0
	for i := range r.hdrs[:n] {
		h := &r.hdrs[i]
		r.froms[i].len = h.Namelen
		total += int(h.n)
		if err := take(message{
			bytes: r.bufs[i][:h.n],
			size:  segmentSize(r.oobs[i][:h.Controllen], int(h.n)),
			from:  &r.froms[i],
		}); err != nil {
			return err
		}
	}
	r.brief = total <= briefBytes
	r.prepare(n)
	return nil
}

// A sender sends what is packed into it. It is for one goroutine.
type sender struct {
	conn syscall.RawConn
	hdrs []mmsghdr
	iovs []unix.Iovec // one for each datagram
	oobs [][]byte     // one for each of hdrs

	messages, datagrams, bytes int // how many are packed

	call  func(fd uintptr) bool // made once because making it allocates
	sent  int                   // by call
	errno syscall.Errno         // of call
}

// newSender returns one for up to n datagrams at a time.
func newSender(conn syscall.RawConn, n int) *sender {
	s := &sender{conn: conn, hdrs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n), oobs: make([][]byte, n)}
	for i := range s.oobs {
		s.oobs[i] = make([]byte, oobSize)
	}
	s.call = func(fd uintptr) bool {
		brief := s.bytes <= briefBytes && s.messages <= briefMessages && s.datagrams <= briefDatagrams
		s.sent, s.errno = mmsg(unix.SYS_SENDMMSG, fd, s.hdrs[:s.messages], brief)
		return s.errno != syscall.EAGAIN
	}
	return s
}

// reset empties it.
func (s *sender) reset() { s.messages, s.datagrams, s.bytes = 0, 0, 0 }

// pack adds a message that is cut into these datagrams, of one length but for the last one, to an address that stays as
// it is until it is sent; nil is where the socket is connected to.
func (s *sender) pack(datagrams [][]byte, to *sockaddr) {
	h := &s.hdrs[s.messages]
	*h = mmsghdr{}
	h.Iov = &s.iovs[s.datagrams]
	h.SetIovlen(len(datagrams))
	for i, d := range datagrams {
		iov := &s.iovs[s.datagrams+i]
		iov.Base = unsafe.SliceData(d)
		iov.SetLen(len(d))
		s.bytes += len(d)
	}
	if to != nil {
		h.Name = (*byte)(unsafe.Pointer(&to.raw))
		h.Namelen = to.len
	}
	if len(datagrams) > 1 {
		oob := putSegmentSize(s.oobs[s.messages], len(datagrams[0]))
		h.Control = &oob[0]
		h.SetControllen(len(oob))
	}
	s.messages++
	s.datagrams += len(datagrams)
}

// datagramsOf returns how many datagrams message i is.
func (s *sender) datagramsOf(i int) int { return int(s.hdrs[i].Iovlen) }

// send sends what is packed, waiting while the socket's buffer is full, and returns how many messages
// were sent: at least one, or an error, which is of the first.
func (s *sender) send() (n int, err error) {
	if err := s.conn.Write(s.call); err != nil {
		return 0, err
	}
	if s.errno != 0 {
		return 0, s.errno
	}
	return s.sent, nil
}
