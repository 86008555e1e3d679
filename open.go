// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

const (
	ringDevice   = "/dev/net/mytun"
	kernelDevice = "/dev/net/tun"
)

// Open makes the interface that c describes, or attaches to it, and opens its
// queues. The interface belongs to the network namespace of the thread that
// calls. A new interface is down: see [Tun.Up].
//
// Making an interface needs CAP_NET_ADMIN; attaching to one that exists needs
// it too, unless the interface has an owner or a group and the caller is that.
// What the kernel says against it can be found in the error with errors.Is:
// syscall.EPERM; syscall.EBUSY for an interface that exists, with Exclusive or
// because its only queue is taken; syscall.EINVAL for one of another kind, or for
// a Config that cannot be; syscall.ENOENT or syscall.ENODEV if the device, and so
// the backend, is not there; syscall.ENOMEM if there is no memory for the rings.
func Open(c Config) (*Tun, error) {
	t, err := open(&c)
	if err != nil {
		return nil, fmt.Errorf("mytun: open %q: %w", c.Name, err)
	}
	return t, nil
}

func open(c *Config) (*Tun, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	fd, path, backend, err := c.openDevice()
	if err != nil {
		return nil, err
	}
	t := &Tun{backend: backend}
	first := fd // belongs to the first queue soon, and is open as long as that
	vnet := backend == BackendKernel && takesVNet(fd)
	for i := range max(c.Queues, 1) {
		if i > 0 {
			if fd, err = sysOpen(path); err != nil {
				err = &os.PathError{Op: "open", Path: path, Err: err}
				break
			}
		}
		// The name of the first queue is that of all.
		var q *Queue
		if q, err = c.openQueue(fd, path, backend, vnet, string(t.addr)); err != nil {
			break
		}
		q.index = i
		t.addr = q.addr
		t.queues = append(t.queues, q)
		if i == 0 {
			if err = t.link.open(string(q.addr)); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = setWholeGSO(first, c.WholeGSO)
	}
	if err == nil && c.Persist {
		// Last: an interface that persists would outlive an Open that fails.
		err = os.NewSyscallError("ioctl TUNSETPERSIST", unix.IoctlSetInt(first, unix.TUNSETPERSIST, 1))
	}
	if err != nil {
		for _, q := range t.queues {
			q.Close()
		}
		if len(t.queues) > 0 {
			t.link.close()
		}
		return nil, err
	}
	return t, nil
}

func (c *Config) check() error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"Queues", c.Queues, uapi.QueuesMax},
		{"RXSize", c.RXSize, uapi.RingSizeMax},
		{"TXSize", c.TXSize, uapi.RingSizeMax},
		{"Headroom", c.Headroom, uapi.RoomMax},
		{"Tailroom", c.Tailroom, uapi.RoomMax},
	} {
		if f.value > f.max || f.value < 0 && f.max != uapi.RoomMax {
			return fmt.Errorf("the Config's %s is %d: %w", f.name, f.value, unix.EINVAL)
		}
	}
	if c.Backend < BackendAuto || c.Backend > BackendKernel {
		return fmt.Errorf("the Config's Backend is %d: %w", c.Backend, unix.EINVAL)
	}
	if c.Injection < InjectSoftirq || c.Injection > InjectDirect {
		return fmt.Errorf("the Config's Injection is %d: %w", c.Injection, unix.EINVAL)
	}
	return nil
}

// openDevice opens the device node of the backend, and finds out which it is.
func (c *Config) openDevice() (fd int, path string, backend Backend, err error) {
	backend, path = c.Backend, c.Device
	if backend == BackendAuto && path == "" {
		fd, err = sysOpen(ringDevice)
		// ENODEV and ENXIO: there is a node but nothing behind it.
		if err != unix.ENOENT && err != unix.ENODEV && err != unix.ENXIO {
			return fd, ringDevice, BackendRing, pathError(ringDevice, err)
		}
		backend = BackendKernel
	}
	if path == "" {
		path = kernelDevice
		if backend == BackendRing {
			path = ringDevice
		}
	}
	fd, err = sysOpen(path)
	if err == nil && backend == BackendAuto {
		backend = BackendRing
		if _, err := sysInfo(fd); err != nil {
			backend = BackendKernel
		}
	}
	return fd, path, backend, pathError(path, err)
}

func pathError(path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: "open", Path: path, Err: err}
}

// openQueue attaches fd to an interface, that of name or, if it is the first,
// that of the Config. It owns fd, also if it fails.
func (c *Config) openQueue(
	fd int, path string, backend Backend, vnet bool, name string,
) (*Queue, error) {
	first := name == ""
	if first {
		name = c.Name
	}
	flags := c.flags(first)
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	name, err := sysAttach(fd, name, flags)
	if err != nil {
		err = os.NewSyscallError("ioctl TUNSETIFF", err)
	} else if vnet {
		// An interface that persists keeps the size that its last user chose.
		err = os.NewSyscallError("ioctl TUNSETVNETHDRSZ",
			unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetSize))
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	q := &Queue{addr: Addr(name)}
	if backend == BackendRing {
		q.io, err = c.openRings(fd, path)
	} else {
		q.io, err = newKernelQueue(fd, path, c.TAP, vnet,
			room(c.Headroom, DefaultHeadroom), room(c.Tailroom, DefaultTailroom))
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// flags returns the flags of TUNSETIFF.
func (c *Config) flags(first bool) uint16 {
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if c.TAP {
		flags = unix.IFF_TAP | unix.IFF_NO_PI
	}
	if c.Queues > 1 || c.MultiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if c.Exclusive && first {
		flags |= unix.IFF_TUN_EXCL
	}
	return flags
}

// takesVNet tells whether the kernel's own driver puts a virtio header before each
// packet. It does, but there are others that stand in for it.
func takesVNet(fd int) bool {
	features, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
	return err == nil && features&unix.IFF_VNET_HDR != 0
}

// What setWholeGSO asks for. Older kernels know nothing of UDP.
const (
	offloadTCP = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	offloadAll = offloadTCP | unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// setWholeGSO says whether the interface of fd hands out unfinished packets.
func setWholeGSO(fd int, on bool) error {
	if !on {
		// A driver that does not know the call has no such packets.
		err := sysSetOffload(fd, 0)
		if err == unix.EINVAL || err == unix.ENOTTY {
			err = nil
		}
		return os.NewSyscallError("ioctl TUNSETOFFLOAD", err)
	}
	err := sysSetOffload(fd, offloadAll)
	if err == unix.EINVAL {
		err = sysSetOffload(fd, offloadTCP)
	}
	return os.NewSyscallError("ioctl TUNSETOFFLOAD", err)
}

// openRings gives the attached file its rings. It owns fd, also if it fails.
func (c *Config) openRings(fd int, path string) (queueIO, error) {
	g, mem, err := c.mapRings(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	q, err := newRingQueue(fd, path, module{}, mem, g)
	if err != nil {
		return nil, err
	}
	mode := c.mode()
	if mode != (uapi.Mode{}) {
		if err := q.setMode(func(m *uapi.Mode) { *m = mode }); err != nil {
			q.close()
			return nil, os.NewSyscallError("ioctl MYTUN_IOC_SET_MODE", err)
		}
	}
	return q, nil
}

// mode returns the mode of the queues.
func (c *Config) mode() uapi.Mode {
	mode := uapi.Mode{Inject: uint32(c.Injection)}
	if c.Backpressure {
		mode.Flags |= uapi.ModeFBackpressure
	}
	return mode
}

func (c *Config) mapRings(fd int) (*uapi.Rings, []byte, error) {
	info, err := sysInfo(fd)
	if err != nil {
		return nil, nil, os.NewSyscallError("ioctl MYTUN_IOC_INFO", err)
	}
	g := &uapi.Rings{
		Flags:      uapi.RingsFEventIdx,
		RxSize:     uapi.RxSizeDefault,
		TxSize:     uapi.TxSizeDefault,
		RxHeadroom: uint16(room(c.Headroom, DefaultHeadroom)),
		RxTailroom: uint16(room(c.Tailroom, DefaultTailroom)),
	}
	if c.RXSize != 0 {
		g.RxSize = uint32(c.RXSize)
	}
	if c.TXSize != 0 {
		g.TxSize = uint32(c.TXSize)
	}
	if c.Hash {
		g.Flags |= uapi.RingsFHash
	}
	// A later version of the contract serves programs of an earlier one.
	if info.ABIVersion < uapi.ABIVersion || g.Flags&^info.RingsFlags != 0 {
		return nil, nil, fmt.Errorf("the module's ABI is version %d with flags %#x: %w",
			info.ABIVersion, info.RingsFlags, errors.ErrUnsupported)
	}
	if err := sysRings(fd, g); err != nil {
		return nil, nil, os.NewSyscallError("ioctl MYTUN_IOC_RINGS", err)
	}
	if g.MapSize > 1<<31-1 {
		return nil, nil, errGeometry
	}
	mem, err := sysMap(fd, int(g.MapSize))
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return g, mem, nil
}

// room returns the bytes that a field of Config asks for.
func room(asked, byDefault int) int {
	switch {
	case asked < 0:
		return 0
	case asked == 0:
		return byDefault
	}
	return asked
}
