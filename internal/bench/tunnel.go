// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	wgdevice "golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// An encrypted tunnel between the two network namespaces, over the pair of veth interfaces that joins
// them: what a packet or a byte costs from a socket here through both ends to a socket there. The
// machine has one processor, so that this is both ends' cost, the encryption's and that of the
// network between them: all that the packet is the reason of.
const (
	tunnelName = "bench-vpn"
	tunnelPort = 51820
	tunnelMTU  = 1420 // WireGuard's

	tunnelChunk  = 4 << 20 // bytes of what is measured at once
	tunnelBursts = 100     // and packets, 64 at a time
)

// tunnelEnd is where an end of a tunnel is.
type tunnelEnd struct {
	far          bool
	outer, inner [4]byte
	key          wgtypes.Key
}

var tunnelEnds = [2]tunnelEnd{
	{false, vethAddr, [4]byte{10, 94, 0, 1}, testKey(1)},
	{true, vethFarAddr, [4]byte{10, 94, 0, 2}, testKey(2)},
}

// testKey is one of several secrets that nobody has to guess.
func testKey(n byte) (k wgtypes.Key) {
	for i := range k {
		k[i] = n
	}
	return k
}

// tunnel is a way to make one.
type tunnel struct {
	name string
	make func(e, other tunnelEnd) (unmake func()) // the interface tunnelName of an end
}

func (t tunnel) called() string { return t.name }

var tunnels = []tunnel{
	{"example/vpn on mytun", func(e, other tunnelEnd) func() { return exampleVPN(e, other, "mytun") }},
	{"example/vpn on stock tun", func(e, other tunnelEnd) func() { return exampleVPN(e, other, "kernel") }},
	{"wireguard-go on stock tun", wireguardGo},
	{"the kernel's WireGuard", kernelWireGuard},
}

func tunnelWorks() {
	for _, t := range tunnels {
		t.through(func() {
			t.udp()
			t.tcp()
		})
	}
}

func (t tunnel) udp() {
	report(figure{"through a tunnel, UDP", perPacket, small.name, t.name, tunneledUDP()})
}

func (t tunnel) tcp() {
	report(figure{"through a tunnel, TCP", perByte, "bulk", t.name, tunneledTCP()})
}

// through makes both ends, and measures what goes through them.
func (t tunnel) through(measure func()) {
	unmakeFar := t.make(tunnelEnds[1], tunnelEnds[0])
	unmake := t.make(tunnelEnds[0], tunnelEnds[1])
	awaitTunnel()
	measure()
	unmake()
	unmakeFar()
}

// in is a command that runs at this end.
func (e tunnelEnd) in(name string, args ...string) *exec.Cmd {
	if !e.far {
		return exec.Command(name, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", farName, name}, args...)...)
}

func (e tunnelEnd) run(name string, args ...string) {
	cmd := e.in(name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		log.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// address gives the interface its address.
func (e tunnelEnd) address() {
	e.run("ip", "addr", "add", dotted(e.inner)+"/24", "dev", tunnelName)
	e.run("ip", "link", "set", tunnelName, "mtu", fmt.Sprint(tunnelMTU), "up")
}

// exampleVPN is the project's own example: a program of one shared key.
func exampleVPN(e, other tunnelEnd, backend string) func() {
	way, where := "-connect", other.outer
	if e.far {
		way, where = "-listen", e.outer
	}
	return background(e.in("vpn", "-key", testKey(3).String(), way, fmt.Sprintf("%s:%d", dotted(where), tunnelPort),
		"-name", tunnelName, "-addr", dotted(e.inner)+"/24", "-mtu", fmt.Sprint(tunnelMTU), "-backend", backend))
}

// background runs a program until it is told to end.
func background(cmd *exec.Cmd) func() {
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // main has a thread of its own
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	return func() {
		if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
			log.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			log.Fatalf("%v: %v", cmd.Args, err)
		}
	}
}

// wireguardGo is its packages device, conn and tun, put together as in its main function, in a process
// of their own: see serveWireGuard.
func wireguardGo(e, other tunnelEnd) func() {
	self, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	cmd := e.in(self, "-serve", "wireguard-go")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	public := other.key.PublicKey()
	fmt.Fprintf(in, "private_key=%x\nlisten_port=%d\npublic_key=%x\nendpoint=%s:%d\nallowed_ip=0.0.0.0/0\n\n",
		e.key[:], tunnelPort, public[:], dotted(other.outer), tunnelPort)
	if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "ready" {
		log.Fatalf("wireguard-go: %q, %v", line, err)
	}
	e.address()
	return func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			log.Fatal(err)
		}
	}
}

// serveWireGuard is that process. Its standard input is its configuration, up to an empty line, and ends
// with it.
func serveWireGuard() {
	t, err := tun.CreateTUN(tunnelName, tunnelMTU)
	if err != nil {
		log.Fatal(err)
	}
	d := wgdevice.NewDevice(t, conn.NewDefaultBind(), wgdevice.NewLogger(wgdevice.LogLevelError, ""))
	in := bufio.NewReader(os.Stdin)
	if err := d.IpcSetOperation(in); err != nil {
		log.Fatal(err)
	}
	if err := d.Up(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, in)
	d.Close()
}

func kernelWireGuard(e, other tunnelEnd) func() {
	run("modprobe", "wireguard")
	e.run("ip", "link", "add", tunnelName, "type", "wireguard")
	configure := func() {
		c, err := wgctrl.New()
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		listen := tunnelPort
		err = c.ConfigureDevice(tunnelName, wgtypes.Config{
			PrivateKey: &e.key,
			ListenPort: &listen,
			Peers: []wgtypes.PeerConfig{{
				PublicKey:  other.key.PublicKey(),
				Endpoint:   &net.UDPAddr{IP: other.outer[:], Port: tunnelPort},
				AllowedIPs: []net.IPNet{{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}},
			}},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	if e.far {
		inFar(configure)
	} else {
		configure()
	}
	e.address()
	return func() { e.run("ip", "link", "del", tunnelName) }
}

// tunneledUDP is what a packet costs, on the whole machine.
func tunneledUDP() float64 {
	fd, far := tunnelSockets()
	defer unix.Close(far)
	defer unix.Close(fd)
	if err := unix.Connect(fd, tunnelAddr); err != nil {
		log.Fatal(err)
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(far, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		log.Fatal(err)
	}
	burst := func() {
		for range batch {
			tunneledPacket(fd)
		}
		for range batch {
			bare(unix.SYS_READ, far, payload[:])
		}
	}
	return medianCost(tunnelBursts*batch, func() {
		for range tunnelBursts {
			burst()
		}
	})
}

// tunneledPacket sends one. It is a function for the profile's sake, which counts its calls.
//
//go:noinline
func tunneledPacket(fd int) { bare(unix.SYS_WRITE, fd, payload[:small.size(0)]) }

var tunnelAddr = &unix.SockaddrInet4{Port: port, Addr: tunnelEnds[1].inner}

// tunnelSockets returns one of UDP here, and one of all addresses at the far end.
func tunnelSockets() (fd, far int) {
	inFar(func() { far = boundAny() })
	return udpSocket(), far
}

// boundAny returns a socket of all addresses.
func boundAny() int { return bound([4]byte{}) }

// awaitTunnel sends until what it sends comes.
func awaitTunnel() {
	fd, far := tunnelSockets()
	defer unix.Close(far)
	defer unix.Close(fd)
	var err error
	for range 200 {
		if err = unix.Connect(fd, tunnelAddr); err == nil {
			_, err = unix.Write(fd, payload[:1])
		}
		if readable(far, 50) {
			drainSocket(far, 1)
			for readable(far, 200) { // an earlier one may have waited for the other end
				drainSocket(far, 1)
			}
			return
		}
	}
	log.Fatalf("nothing comes through the tunnel: %v", err)
}

// tunneledTCP is what a byte costs, on the whole machine.
func tunneledTCP() float64 {
	c := connected(tunnelEnds[1].inner)
	defer c.close()
	return medianCost(tunnelChunk, func() { c.bulk(tunnelChunk, 0) })
}
