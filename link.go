// SPDX-License-Identifier: MIT

package mytun

import (
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// link is the interface as one of the network's: name, MTU, up and down. It
// keeps a socket, since that remembers the network namespace of the thread that
// opened it; an ioctl of another thread may find another interface by the name.
type link struct {
	index int
	mu    sync.RWMutex
	fd    int // mu; negative after close
}

// open finds the interface by its name.
func (l *link) open(name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	l.fd = fd
	req, err := unix.NewIfreq(name)
	if err == nil {
		err = l.ioctl(unix.SIOCGIFINDEX, "SIOCGIFINDEX", req)
	}
	if err != nil {
		l.close()
		return err
	}
	l.index = int(req.Uint32())
	return nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd >= 0 {
		unix.Close(l.fd)
		l.fd = -1
	}
}

func (l *link) ioctl(request uint, what string, req *unix.Ifreq) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd < 0 {
		return net.ErrClosed
	}
	return os.NewSyscallError("ioctl "+what, unix.IoctlIfreq(l.fd, request, req))
}

// request returns a request for the interface by its present name.
func (l *link) request() (*unix.Ifreq, error) {
	req, err := unix.NewIfreq("")
	if err != nil {
		return nil, err
	}
	req.SetUint32(uint32(l.index))
	return req, l.ioctl(unix.SIOCGIFNAME, "SIOCGIFNAME", req)
}

func (l *link) name() (string, error) {
	req, err := l.request()
	if err != nil {
		return "", err
	}
	return req.Name(), nil
}

func (l *link) mtu() (int, error) {
	req, err := l.request()
	if err == nil {
		err = l.ioctl(unix.SIOCGIFMTU, "SIOCGIFMTU", req)
	}
	if err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}

func (l *link) setMTU(mtu int) error {
	if mtu < 0 || mtu > 1<<31-1 {
		return unix.EINVAL
	}
	req, err := l.request()
	if err != nil {
		return err
	}
	req.SetUint32(uint32(mtu))
	return l.ioctl(unix.SIOCSIFMTU, "SIOCSIFMTU", req)
}

func (l *link) setUp(up bool) error {
	req, err := l.request()
	if err == nil {
		err = l.ioctl(unix.SIOCGIFFLAGS, "SIOCGIFFLAGS", req)
	}
	if err != nil {
		return err
	}
	flags := req.Uint16()
	if flags&unix.IFF_UP != 0 == up {
		return nil
	}
	req.SetUint16(flags ^ unix.IFF_UP)
	return l.ioctl(unix.SIOCSIFFLAGS, "SIOCSIFFLAGS", req)
}
