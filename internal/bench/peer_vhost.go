// SPDX-License-Identifier: MIT

package main

import (
	"log"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vhost is the built-in driver as a virtual machine uses it, and openconnect: a thread of the kernel's
// vhost-net moves the packets between the interface and two rings in this program's memory. A call of
// the system is only needed to wake that thread, or to wait for it.
type vhost struct {
	fd, tun int
	rx, tx  vring
	pkts    [batch][]byte
}

const (
	vringSize = 256
	vringSlot = 2048 // bytes, for a packet of an MTU of 1500 and its header
	vringHead = 12   // bytes of virtio's header, all zero: the packet is complete
)

// What <linux/vhost.h> and the headers of virtio have.
const (
	vhostSetFeatures = 0x4008af00
	vhostSetOwner    = 0xaf01
	vhostSetMemory   = 0x4008af03
	vhostSetNum      = 0x4008af10
	vhostSetAddr     = 0x4028af11
	vhostSetKick     = 0x4008af20
	vhostSetCall     = 0x4008af21
	vhostSetBackend  = 0x4008af30

	vhostAddsHeaders = 1 << 27 // the interface has none
	virtioEvents     = 1 << 29 // VIRTIO_RING_F_EVENT_IDX
	virtioV1         = 1 << 32
	vringWrite       = 2 // the kernel writes to the slot
)

// vringMemory is what the kernel sees of a ring. Its counters are in the upper half of a word, on a
// machine that is little-endian; the lower half has flags, which are of no use beside the events.
type vringMemory struct {
	desc [vringSize]struct {
		addr        uint64
		len         uint32
		flags, next uint16
	}
	avail struct { // written by this program
		count uint32
		ids   [vringSize]uint16
		event uint32 // tell this program when this entry has been used
	}
	_    [56]byte // so that used has cache lines of its own
	used struct { // written by the kernel
		count uint32
		elems [vringSize]struct{ id, len uint32 }
		event uint32 // tell the kernel when this entry is available
	}
	_     [56]byte
	slots [vringSize][vringSlot]byte
}

// vring is one of the two rings. Each entry is one slot.
type vring struct {
	*vringMemory
	posted uint16 // entries that are the kernel's, since the beginning
	seen   uint16 // used ones that are ours again, likewise
	kick   int
	call   *os.File
	conn   syscall.RawConn // of call
	want   uint16          // used entries that wait waits for
	has    func(uintptr) bool
}

func openVhost(name string) device {
	v := &vhost{tun: openStockFD(name, 0)}
	// If the send buffer has no limit, vhost hands packets over in a way that takes them for Ethernet
	// frames. So it gets one, as openconnect does it, that is never reached.
	vhostSet(v.tun, unix.TUNSETSNDBUF, &[1]int32{math.MaxInt32 - 1})

	const size = (2*unsafe.Sizeof(vringMemory{}) + 4095) &^ 4095
	memory, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		log.Fatal(err)
	}
	// Not in close, for a take may be about to end then.
	runtime.AddCleanup(v, func(memory []byte) { unix.Munmap(memory) }, memory)
	at := uintptr(unsafe.Pointer(&memory[0]))

	if v.fd, err = unix.Open("/dev/vhost-net", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		log.Fatalf("/dev/vhost-net: %v", err)
	}
	vhostSet[byte](v.fd, vhostSetOwner, nil)
	vhostSet(v.fd, vhostSetFeatures, &[1]uint64{virtioV1 | virtioEvents | vhostAddsHeaders})
	vhostSet(v.fd, vhostSetMemory, &[5]uint64{1, uint64(at), uint64(size), uint64(at), 0})
	rings := (*[2]vringMemory)(unsafe.Pointer(&memory[0]))
	v.rx.open(v, 0, &rings[0], vringWrite)
	v.tx.open(v, 1, &rings[1], 0)
	v.rx.post(vringSize)
	return v
}

// open gives the ring to vhost, with an empty packet in each slot.
func (r *vring) open(v *vhost, index uint32, memory *vringMemory, flags uint16) {
	r.vringMemory = memory
	for i := range memory.slots {
		d := &memory.desc[i]
		d.addr, d.len, d.flags = uint64(uintptr(unsafe.Pointer(&memory.slots[i]))), vringSlot, flags
		memory.avail.ids[i] = uint16(i)
	}
	var fds [2]int
	for i := range fds {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			log.Fatal(err)
		}
		fds[i] = fd
	}
	r.kick, r.call = fds[0], os.NewFile(uintptr(fds[1]), "eventfd")
	conn, err := r.call.SyscallConn()
	if err != nil {
		log.Fatal(err)
	}
	r.conn = conn
	r.has = func(uintptr) bool {
		atomic.StoreUint32(&r.avail.event, uint32(r.seen+r.want-1))
		return r.done() >= r.want
	}

	address := func(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }
	vhostSet(v.fd, vhostSetNum, &[2]uint32{index, vringSize})
	vhostSet(v.fd, vhostSetAddr, &[5]uint64{
		uint64(index),
		address(unsafe.Pointer(&memory.desc)),
		address(unsafe.Pointer(&memory.used)),
		address(unsafe.Pointer(&memory.avail)),
	})
	vhostSet(v.fd, vhostSetKick, &[2]uint32{index, uint32(fds[0])})
	vhostSet(v.fd, vhostSetCall, &[2]uint32{index, uint32(fds[1])})
	vhostSet(v.fd, vhostSetBackend, &[2]uint32{index, uint32(v.tun)})
}

func vhostSet[T any](fd int, request uintptr, value *T) {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(value))); errno != 0 {
		log.Fatalf("vhost: ioctl %#x: %v", request, errno)
	}
}

// post gives n more entries to the kernel, and wakes its thread if that has asked for it.
func (r *vring) post(n uint16) {
	r.posted += n
	atomic.StoreUint32(&r.avail.count, uint32(r.posted)<<16)
	if event := uint16(atomic.LoadUint32(&r.used.event)); r.posted-event-1 < n {
		one := uint64(1)
		unix.RawSyscall(unix.SYS_WRITE, uintptr(r.kick), uintptr(unsafe.Pointer(&one)), 8)
	}
}

// done is how many entries the kernel has used that have not been seen.
func (r *vring) done() uint16 {
	return uint16(atomic.LoadUint32(&r.used.count)>>16) - r.seen
}

// wait waits in Go's poller until n are done, and is told of it once. The eventfd is not read: each
// write to it makes a new event for the poller.
func (r *vring) wait(n uint16) {
	r.want = n
	if r.conn.Read(r.has) != nil {
		runtime.Goexit() // closed
	}
}

// next takes a used entry back, and prepares to post its slot again.
func (r *vring) next() (id, size uint32) {
	i := r.seen % vringSize
	e := &r.used.elems[i]
	r.avail.ids[i] = uint16(e.id)
	r.seen++
	return e.id, e.len
}

func (v *vhost) take(f func([][]byte)) {
	r := &v.rx
	n := r.done()
	if n == 0 {
		r.wait(1)
		n = r.done()
	}
	n = min(n, batch)
	for i := range v.pkts[:n] {
		id, size := r.next()
		v.pkts[i] = r.slots[id][vringHead:size]
	}
	f(v.pkts[:n])
	r.post(n)
}

// send copies the packets, since the kernel comes for them later.
func (v *vhost) send(pkts [][]byte) {
	r := &v.tx
	if vringSize-int(r.posted-r.seen) < len(pkts) {
		if int(r.done()) < len(pkts) {
			r.wait(vringSize / 2) // not to be woken for each packet
		}
		for range r.done() {
			r.next()
		}
	}
	for i, p := range pkts {
		id := r.avail.ids[(r.posted+uint16(i))%vringSize]
		r.desc[id].len = uint32(vringHead + copy(r.slots[id][vringHead:], p))
	}
	r.post(uint16(len(pkts)))
}

// flush waits until the stack has all that was sent. No program would, so it costs no more than to let
// the kernel's thread run.
func (v *vhost) flush() {
	for r := &v.tx; r.done() < r.posted-r.seen; {
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

func (v *vhost) ready() bool { return v.rx.done() > 0 }

func (v *vhost) close() {
	unix.Close(v.fd)
	unix.Close(v.tun)
	for _, r := range []*vring{&v.rx, &v.tx} {
		unix.Close(r.kick)
		r.call.Close()
	}
}
