// SPDX-License-Identifier: MIT

// Command vpn is an encrypted tunnel between two machines, and an example of what the package
// mytun is for: packets are encrypted where they lie in the ring of the interface, with the
// tunnel's header in their headroom and the cipher's tag in their tailroom, and sent from there,
// many for each system call; what comes in is decrypted straight into the other ring.
//
//	vpn -keygen >key                                             # and copy it to both
//	vpn -keyfile key -listen 192.0.2.1:5555 -addr 10.9.0.1/24    # on one machine
//	vpn -keyfile key -connect 192.0.2.1:5555 -addr 10.9.0.2/24   # on the other
//
// The same program runs over the kernel's own driver (-backend kernel).
//
// It is an example, not a product. Packets are authentic, secret, and taken once. But there is no
// handshake: the shared key protects all that is ever sent, so who learns it later can decrypt what
// he recorded before (no forward secrecy), and an end that has just been started can be given,
// until it hears from its peer, what the peer sent it before. README.md has the whole list.
//
// Where to read: outbound.go and inbound.go are the path of a packet; socket.go is how queues and
// sockets belong together; message.go, key.go, seal.go, open.go and replay.go are the protocol.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mytun/mytun"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vpn:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case o.keygen:
		fmt.Println(newKey())
		return nil
	}

	// From here on a signal ends the tunnel instead of the program.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t, err := newTunnel(o.config)
	if err != nil {
		return err
	}
	mtu, err := t.dev.MTU()
	if err != nil {
		t.close()
		return err
	}
	fmt.Fprintf(os.Stderr, "vpn: %s is up: %d queues, MTU %d, backend %v, %s %v\n",
		t.dev.Name(), t.dev.NumQueues(), mtu, t.dev.Backend(), o.config.role, o.config.address)
	if o.stats {
		go t.printEach(os.Stdout, ctx.Done())
	}
	err = t.run(ctx)
	s := t.totals()
	s.print(os.Stdout)
	return err
}

type options struct {
	config config
	keygen bool
	stats  bool
}

func parseOptions(args []string) (o options, err error) {
	c := &o.config
	var listenAt, connectTo, keyText, keyFile string
	f := flag.NewFlagSet("vpn", flag.ContinueOnError)
	f.BoolVar(&o.keygen, "keygen", false, "print a new key and exit")
	f.StringVar(&keyFile, "keyfile", "", "`file` with the key that both ends share")
	f.StringVar(&keyText, "key", "", "the `key` itself; other users of this machine can see it")
	f.StringVar(&listenAt, "listen", "", "wait for the other end at this UDP `address:port`")
	f.StringVar(&connectTo, "connect", "", "the other end waits at this UDP `address:port`")
	f.StringVar(&c.device.Name, "name", "vpn%d", "`name` of the interface; %d is the first free number")
	f.Func("addr", "`address/bits` of the interface, IPv4 or IPv6; may be repeated", func(s string) error {
		p, err := netip.ParsePrefix(s)
		c.addresses = append(c.addresses, p)
		return err
	})
	f.IntVar(&c.mtu, "mtu", 0, "MTU of the interface, in `bytes`; 0: the largest that needs no fragments")
	f.IntVar(&c.queues, "queues", 1, "`number` of queues, each with its own socket; the same at both ends is best")
	f.IntVar(&c.batch, "batch", 64, "`packets` to move at a time, at most")
	f.DurationVar(&c.keepalive, "keepalive", 10*time.Second, "`time` between signs of life")
	f.Func("backend", "mytun: the module's rings; kernel: the kernel's own driver; auto: the former if it is there (default auto)", func(s string) error {
		for _, b := range []mytun.Backend{mytun.BackendAuto, mytun.BackendRing, mytun.BackendKernel} {
			if s == b.String() {
				c.device.Backend = b
				return nil
			}
		}
		return errors.New("not a backend")
	})
	f.StringVar(&c.device.Device, "device", "", "`path` of the device node, if it is not where it usually is")
	f.BoolVar(&o.stats, "stats", false, "print a line each second")
	if err := f.Parse(args); err != nil || o.keygen {
		return o, err
	}

	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q?", f.Arg(0))
	case (listenAt == "") == (connectTo == ""):
		return o, errors.New("one end needs -listen and the other -connect")
	case (keyText == "") == (keyFile == ""):
		return o, errors.New("either -keyfile or -key is needed; -keygen prints a key")
	case c.queues < 1 || c.queues > maxQueues:
		return o, fmt.Errorf("-queues must be from 1 to %d", maxQueues)
	case c.batch < 1:
		return o, errors.New("-batch must be at least 1")
	case c.keepalive <= 0:
		return o, errors.New("-keepalive must be more than nothing")
	}
	c.role, c.address = listener, listenAt
	if connectTo != "" {
		c.role, c.address = connector, connectTo
	}
	if keyFile != "" {
		c.key, err = readKey(keyFile)
	} else {
		c.key, err = parseKey(keyText)
	}
	return o, err
}
