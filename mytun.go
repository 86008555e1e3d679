// SPDX-License-Identifier: MIT

// Package mytun opens TUN and TAP interfaces of Linux and moves packets
// between them and a program through rings in shared memory: many packets for
// one system call, or for none. It is made for programs that are a VPN.
//
// [Open] makes an interface, or attaches to one. What it returns is a [Tun]; a
// Tun has one or more [Queue] values, and each Queue is a net.Conn that reads
// and writes one packet at a time. For speed a Queue also moves packets in
// batches and without a copy:
//
//   - [Queue.ReadBatch] lends the program packets where they lie in the ring,
//     with free room before and after each; [Queue.Release] gives them back.
//   - [Queue.WriteBatch] copies packets into the ring, [Queue.WritePackets] with
//     what is to be said of each.
//   - [Queue.Reserve] lends the program free records to write packets into;
//     [Queue.Commit] sends them.
//
// This program encrypts what comes out of the interface, in place, and sends
// it to a peer:
//
//	func run(peer net.Conn, aead cipher.AEAD) error {
//		tun, err := mytun.Open(mytun.Config{Name: "vpn%d"})
//		if err != nil {
//			return err
//		}
//		defer tun.Close()
//		if err := tun.Up(); err != nil {
//			return err
//		}
//		q := tun.Queue(0)
//		pkts := make([]mytun.Packet, 64)
//		var counter uint64
//		for {
//			n, err := q.ReadBatch(pkts) // waits for at least one packet
//			if err != nil {
//				return err
//			}
//			for i := range pkts[:n] {
//				p := &pkts[i]
//				counter++
//				plain := p.Data
//				frame := p.Grow(12, aead.Overhead()) // a nonce before, a tag after
//				nonce := frame[:12]
//				clear(nonce)
//				binary.BigEndian.PutUint64(nonce[4:], counter)
//				aead.Seal(plain[:0], nonce, plain, nil)
//				if _, err := peer.Write(frame); err != nil {
//					return err
//				}
//			}
//			q.Release(pkts[:n])
//		}
//	}
//
// Directions are the program's: it receives (reads, RX) what the network stack
// sends through the interface, and what it sends (writes, TX) arrives in the
// stack. On a TUN interface a packet begins with its IP header, on a TAP
// interface with its Ethernet header; there is no other header before it.
//
// # Waiting
//
// A goroutine that must wait is parked in Go's network poller and holds no
// thread. Deadlines work as those of net.Conn do. Close wakes everyone who
// waits, with an error for which errors.Is(err, net.ErrClosed) is true.
//
// # Concurrency
//
// All methods of Tun and Queue may be called from several goroutines at once.
// One that reads and one that writes do not disturb each other; two that read
// (or write) the same Queue share a lock that is held for a batch at a time.
// A [Packet] is not safe for concurrent use.
//
// # Unfinished packets
//
// A packet that is read is complete and no longer than the interface's MTU,
// unless [Config].WholeGSO asks for what the stack has: up to 64 KiB in one
// piece, and checksums still to be made. A packet that is written may be
// unfinished, too, or say that its checksum need not be verified, as a VPN
// knows that has authenticated it. See [VNet].
//
// # Without the module
//
// The rings are the work of the kernel module mytun. Where it is not loaded
// and [Config] does not insist on it, the same API runs over the kernel's own
// /dev/net/tun, one system call for each packet; see [Backend].
package mytun

// DefaultHeadroom and DefaultTailroom are the bytes that are free before and
// after each packet that is read when [Config] does not say otherwise: enough
// for a tunnel's own header and an AEAD's tag.
const (
	DefaultHeadroom = 64
	DefaultTailroom = 32
)

// Backend says what moves the packets.
type Backend int

const (
	// BackendAuto is BackendRing where the module's device node can be
	// found, else BackendKernel.
	BackendAuto Backend = iota

	// BackendRing is the module mytun: rings in shared memory.
	BackendRing

	// BackendKernel is the kernel's own TUN/TAP driver: a system call for
	// each packet. Leased packets and reserved records lie in buffers of the
	// program, of which there are as many as are lent at one time. Unfinished
	// packets pass both ways as with BackendRing.
	BackendKernel
)

// String returns "auto", "mytun" or "kernel".
func (b Backend) String() string {
	switch b {
	case BackendAuto:
		return "auto"
	case BackendRing:
		return "mytun"
	case BackendKernel:
		return "kernel"
	}
	return "unknown"
}

// Injection says who takes the packets that the program has written up the
// stack.
type Injection int

const (
	// InjectSoftirq is a softirq on the CPU on which the kernel is told of the
	// packets, usually before the call that writes them returns. The stack
	// merges TCP segments of a flow (GRO).
	InjectSoftirq Injection = iota

	// InjectThread is a thread of the kernel for each queue: the call that
	// writes returns at once, and while the thread is busy it need not be told
	// of more. It takes a second CPU. GRO as above.
	InjectThread

	// InjectDirect is the call that writes, one packet at a time without GRO.
	// It is what the kernel's own driver does, and there for comparison.
	InjectDirect
)

// String returns "softirq", "thread" or "direct".
func (i Injection) String() string {
	switch i {
	case InjectSoftirq:
		return "softirq"
	case InjectThread:
		return "thread"
	case InjectDirect:
		return "direct"
	}
	return "unknown"
}

// Config says what Open shall open. The zero Config is a new TUN interface
// with one queue and a name chosen by the kernel.
type Config struct {
	// Name is the name of the interface, at most 15 bytes. An interface that
	// exists is attached to, if it is of the same kind and permissions allow
	// it; otherwise it is made. A name with "%d" in it has the first free
	// number put there. Empty: "tun%d", or "tap%d" with TAP.
	Name string

	// TAP asks for an interface of Ethernet frames. False: of IP packets.
	TAP bool

	// Queues is the number of queues to open, at most 256. Zero: one. With
	// more than one the interface is a multi-queue interface.
	Queues int

	// MultiQueue makes a multi-queue interface even of one queue, so that
	// others can attach to it, or attaches to such an interface.
	MultiQueue bool

	// RXSize and TXSize are the bytes of the receive and the transmit ring
	// of each queue, powers of two from 4 KiB to 64 MiB. A packet takes its
	// own length, the head- and tailroom and 32 to 47 bytes. Zero: 1 MiB and
	// 512 KiB. Not used by BackendKernel.
	RXSize int
	TXSize int

	// Headroom and Tailroom are the bytes that are free before and after each
	// packet that ReadBatch returns, at most 4096. Zero: DefaultHeadroom and
	// DefaultTailroom. Negative: none.
	Headroom int
	Tailroom int

	// Hash asks for Packet.Hash. False: the hash is not computed and is zero.
	Hash bool

	// Backpressure makes the kernel hold packets back, where their senders feel
	// it, when the receive ring is nearly full, until half of it is free: they
	// wait in the interface's queueing discipline. That is the system's default
	// one for an interface that Open makes; others that have none, see tc(8),
	// hold nothing. Packets that the program keeps count as not free: it must
	// not wait for more while it keeps half of the ring. False: packets for
	// which there is no room are dropped. BackendKernel ignores it.
	// Queue.SetBackpressure changes it.
	Backpressure bool

	// Injection says who takes written packets up the stack. Zero:
	// InjectSoftirq. BackendKernel ignores it. Queue.SetInjection changes it.
	Injection Injection

	// WholeGSO takes packets as the stack has them: up to 64 KiB of a TCP or
	// UDP flow in one piece, and without their transport checksum; Packet.VNet
	// tells. For programs that hand them on in such pieces. It is one setting for
	// all queues of the interface, that of who opened one last. The receive
	// ring should have room for several such packets. False: every packet is
	// complete, and no longer than the MTU. Tun.SetWholeGSO changes it.
	WholeGSO bool

	// Exclusive makes Open fail if the interface exists already. False: it
	// is attached to.
	Exclusive bool

	// Persist keeps the interface, with its name, addresses and routes, when
	// its last queue is closed. False: it is left as it was; a new interface
	// goes away with its last queue.
	Persist bool

	// Backend is what moves the packets. Zero: BackendAuto.
	Backend Backend

	// Device is the path of the device node. Empty: /dev/net/mytun for
	// BackendRing and /dev/net/tun for BackendKernel. With BackendAuto a path
	// that is given is asked which of the two it is.
	Device string
}
