// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mytun/mytun"
)

// A config is what a tunnel is made of.
type config struct {
	role      role
	address   string // UDP address to listen at, or to connect to
	key       key
	queues    int
	batch     int // packets at a time
	mtu       int // of the interface; 0: what fits into the path's
	keepalive time.Duration
	addresses []netip.Prefix // of the interface
	device    mytun.Config   // Name, Backend and Device
}

// A tunnel is an interface on this machine, sockets to the peer, and what goes between them.
type tunnel struct {
	dev           *mytun.Tun
	sockets       []*socket // one for each queue
	sealer        *sealer
	opener        *opener
	counts        []counts // one for each queue
	batch         int
	keepaliveEach time.Duration
}

// newTunnel opens interface and sockets, in the network namespace of the thread that calls, and
// sets the interface up. Nothing passes before run.
func newTunnel(c config) (_ *tunnel, err error) {
	t := &tunnel{
		opener:        newOpener(c.key, c.role),
		counts:        make([]counts, c.queues),
		batch:         c.batch,
		keepaliveEach: c.keepalive,
	}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if t.sealer, err = newSealer(c.key, c.role, c.queues); err != nil {
		return nil, err
	}
	open := listen
	if c.role == connector {
		open = connect
	}
	if t.sockets, err = open(c.address, c.queues); err != nil {
		return nil, err
	}
	c.device.Queues = c.queues
	c.device.Headroom, c.device.Tailroom = headerSize, tagSize
	if t.dev, err = mytun.Open(c.device); err != nil {
		return nil, err
	}
	mtu := c.mtu
	if mtu == 0 {
		path, below := t.sockets[0].pathMTU()
		mtu = path - below - overhead
	}
	if err := t.dev.SetMTU(mtu); err != nil {
		return nil, fmt.Errorf("MTU %d: %w", mtu, err)
	}
	if err := addAddresses(t.dev.Name(), c.addresses); err != nil {
		return nil, err
	}
	return t, t.dev.Up()
}

// run moves packets until ctx is done or something breaks, and closes the tunnel.
func (t *tunnel) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for i := range t.sockets {
		wg.Go(func() { stop(t.outbound(i)) })
		wg.Go(func() { stop(t.inbound(i)) })
	}
	wg.Go(func() { stop(t.keepalive(ctx.Done())) })
	<-ctx.Done()
	t.close()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// close takes the interface and the sockets away, which ends all that wait for them.
func (t *tunnel) close() {
	if t.dev != nil {
		t.dev.Close()
	}
	closeAll(t.sockets)
}
