// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Each queue has a UDP socket of its own, and the two ends differ in how they make them.
//
// The connector has a port for each queue, and connects each socket to the listener: the kernel
// then has the route at hand, and the network sees several flows, which network cards spread over
// their own queues.
//
// The listener has one port, which all its sockets share (SO_REUSEPORT). The kernel would spread
// the peer's datagrams over them by a hash of their addresses, and might put two queues on one
// socket; so a program is attached that reads the sender's queue from the header. What the peer
// sent from its queue i is then received here on socket i, written to queue i, and answered from
// queue i; and since each socket remembers from where the peer last spoke to it, the answer
// goes back to the peer's socket i. A flow stays on one queue all the way round.

// socketBuffer is how many bytes the kernel may hold for a socket, in either direction: at
// 10 Gbit/s some 3 ms.
const socketBuffer = 4 << 20

// A socket is the UDP socket of one queue.
type socket struct {
	*net.UDPConn
	raw       syscall.RawConn
	connected bool

	// Where the peer spoke from last, to this socket and to any of them; nil if not known. Not
	// used if the socket is connected.
	peer, anyPeer *atomic.Pointer[sockaddr]
}

// listen returns n sockets that share the address.
func listen(address string, n int) ([]*socket, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
	}}
	sockets, err := open(n, func(first *socket) (net.Conn, error) {
		if first != nil {
			address = first.LocalAddr().String() // with the port, should it have been 0
		}
		c, err := config.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			return nil, err
		}
		return c.(*net.UDPConn), nil
	})
	if err != nil {
		return nil, err
	}
	if err := steer(sockets); err != nil {
		closeAll(sockets)
		return nil, err
	}
	return sockets, nil
}

// connect returns n sockets, each with a port of its own, that are connected to the address.
func connect(address string, n int) ([]*socket, error) {
	return open(n, func(first *socket) (net.Conn, error) {
		if first != nil {
			address = first.RemoteAddr().String() // a name may have several addresses
		}
		return net.Dial("udp", address)
	})
}

// open makes n sockets; opening each is given the first once there is one.
func open(n int, one func(first *socket) (net.Conn, error)) ([]*socket, error) {
	var sockets []*socket
	var first *socket
	var anyPeer atomic.Pointer[sockaddr]
	for range n {
		c, err := one(first)
		if err != nil {
			closeAll(sockets)
			return nil, err
		}
		s, err := newSocket(c.(*net.UDPConn), &anyPeer)
		if err != nil {
			c.Close()
			closeAll(sockets)
			return nil, err
		}
		sockets = append(sockets, s)
		first = sockets[0]
		if err := s.tune(); err != nil {
			closeAll(sockets)
			return nil, err
		}
	}
	return sockets, nil
}

func newSocket(c *net.UDPConn, anyPeer *atomic.Pointer[sockaddr]) (*socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &socket{UDPConn: c, raw: raw, connected: c.RemoteAddr() != nil, peer: new(atomic.Pointer[sockaddr]), anyPeer: anyPeer}, nil
}

func closeAll(sockets []*socket) {
	for _, s := range sockets {
		s.Close()
	}
}

// isIPv4 tells whether the socket speaks IPv4 only. One of IPv6 may speak both.
func (s *socket) isIPv4() bool { return s.LocalAddr().(*net.UDPAddr).IP.To4() != nil }

// tune asks for large buffers, beyond the limit of the system if it may, and for datagrams that
// arrive in a row to be handed over in one piece, see offload.go. It goes without either, only slower.
func (s *socket) tune() error {
	return s.control(func(fd int) error {
		for _, o := range []struct{ force, polite int }{
			{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF},
			{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
		} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.force, socketBuffer) != nil {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.polite, socketBuffer); err != nil {
					return err
				}
			}
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
		return nil
	})
}

// steer makes the kernel choose among the sockets by the queue in the header of each datagram.
func steer(sockets []*socket) error {
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: queueOffset, Size: 2}, // of the UDP payload; if that is shorter, socket 0
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(len(sockets))},
		bpf.RetA{},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, ins := range program {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	return sockets[0].control(func(fd int) error {
		err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
		if err != nil {
			return fmt.Errorf("steering datagrams to sockets: %w", err)
		}
		return nil
	})
}

// destination is where to send to, nil if the socket knows, and whether there is one.
func (s *socket) destination() (*sockaddr, bool) {
	if s.connected {
		return nil, true
	}
	for _, p := range []*atomic.Pointer[sockaddr]{s.peer, s.anyPeer} {
		if peer := p.Load(); peer != nil {
			return peer, true
		}
	}
	return nil, false
}

// roam notes from where the peer has spoken to this socket.
func (s *socket) roam(from *sockaddr) {
	if s.connected {
		return
	}
	if was := s.peer.Load(); was == nil || *was != *from {
		now := *from
		s.peer.Store(&now)
		s.anyPeer.Store(&now)
	}
}

// pathMTU returns the largest IP packet that this socket can send as far as is known, and how many
// bytes of it are below our own header.
func (s *socket) pathMTU() (mtu, headers int) {
	const udpHeader = 8
	headers = ipv6.HeaderLen + udpHeader
	level, option := unix.IPPROTO_IPV6, unix.IPV6_MTU
	if s.isIPv4() {
		headers = ipv4.HeaderLen + udpHeader
		level, option = unix.IPPROTO_IP, unix.IP_MTU
	}
	if !s.connected {
		return interfaceMTU(s.LocalAddr().(*net.UDPAddr).IP), headers
	}
	err := s.control(func(fd int) (err error) {
		mtu, err = unix.GetsockoptInt(fd, level, option)
		return err
	})
	if err != nil {
		mtu = defaultMTU
	}
	return mtu, headers
}

func (s *socket) control(f func(fd int) error) error { return control(s.raw, f) }

func control(c syscall.RawConn, f func(fd int) error) error {
	var ferr error
	err := c.Control(func(fd uintptr) { ferr = f(int(fd)) })
	return errors.Join(err, ferr)
}
