// SPDX-License-Identifier: MIT

package mytun_test

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/mytun/mytun"
)

// Both directions of a small VPN: packets of the interface are encrypted where
// they lie in the ring and sent to the peer, and what comes from the peer is
// decrypted into the ring.
func Example() {
	run := func(peer net.Conn, aead cipher.AEAD) error {
		const nonceLen, batch = 12, 64

		tun, err := mytun.Open(mytun.Config{
			Name:     "vpn%d",
			Headroom: nonceLen,
			Tailroom: aead.Overhead(),
		})
		if err != nil {
			return err
		}
		defer tun.Close()
		if err := tun.Up(); err != nil {
			return err
		}
		q := tun.Queue(0)

		go func() {
			frame := make([]byte, 1<<16)
			pkts := make([]mytun.Packet, 1)
			for {
				n, err := peer.Read(frame)
				if err != nil || n < nonceLen+aead.Overhead() {
					return
				}
				if _, err := q.Reserve(pkts, n-nonceLen); err != nil {
					return
				}
				nonce, sealed := frame[:nonceLen], frame[nonceLen:n]
				// On an error Data is nil, and the record is not sent.
				pkts[0].Data, _ = aead.Open(pkts[0].Data[:0], nonce, sealed, nil)
				// What the cipher has verified the stack need not verify again.
				pkts[0].VNet.Flags = mytun.VNetDataValid
				if err := q.Commit(pkts); err != nil {
					return
				}
			}
		}()

		pkts := make([]mytun.Packet, batch)
		for counter := uint64(0); ; {
			n, err := q.ReadBatch(pkts)
			if err != nil {
				return err
			}
			for i := range pkts[:n] {
				plain := pkts[i].Data
				frame := pkts[i].Grow(nonceLen, aead.Overhead())
				nonce := frame[:nonceLen]
				clear(nonce)
				binary.BigEndian.PutUint64(nonce[4:], counter)
				counter++
				aead.Seal(plain[:0], nonce, plain, nil)
				if _, err := peer.Write(frame); err != nil {
					return err
				}
			}
			q.Release(pkts[:n])
		}
	}
	_ = run
}

func ExampleOpen() {
	tun, err := mytun.Open(mytun.Config{})
	if errors.Is(err, os.ErrPermission) {
		log.Fatal("making an interface needs CAP_NET_ADMIN")
	}
	if err != nil {
		log.Fatal(err)
	}
	defer tun.Close()
	if err := tun.SetMTU(1420); err != nil {
		log.Fatal(err)
	}
	if err := tun.Up(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the interface is", tun.Name())
	if tun.Backend() == mytun.BackendKernel {
		fmt.Println("the module is not loaded: this will be slower")
	}
}

// A queue for each processor, each with a goroutine that reads it.
func ExampleOpen_multiQueue() {
	tun, err := mytun.Open(mytun.Config{Name: "vpn0", Queues: runtime.NumCPU()})
	if err != nil {
		log.Fatal(err)
	}
	defer tun.Close()
	var workers sync.WaitGroup
	for _, q := range tun.Queues() {
		workers.Go(func() {
			pkts := make([]mytun.Packet, 64)
			for {
				n, err := q.ReadBatch(pkts)
				if err != nil {
					return
				}
				// Answers that are written to q have their replies come to q.
				q.Release(pkts[:n])
			}
		})
	}
	workers.Wait()
}

// A Tun with one queue is a net.Conn.
func ExampleTun_Read() {
	var tun *mytun.Tun // from Open
	buf := make([]byte, 65536)
	for {
		n, err := tun.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("a packet of IPv%d, %d bytes\n", buf[0]>>4, n)
	}
}

func ExampleQueue_ReadBatch() {
	var q *mytun.Queue // from Tun.Queue
	pkts := make([]mytun.Packet, 64)
	for {
		n, err := q.ReadBatch(pkts)
		if err != nil {
			log.Fatal(err)
		}
		for i := range pkts[:n] {
			fmt.Printf("protocol %#04x, %d bytes\n", pkts[i].Proto, len(pkts[i].Data))
		}
		q.Release(pkts[:n])
	}
}

// Packets may be handed to other goroutines, which release them when they are done.
func ExampleQueue_Release() {
	var q *mytun.Queue // from Tun.Queue
	work := make(chan mytun.Packet, 64)
	go func() {
		for p := range work {
			fmt.Println(len(p.Data), "bytes")
			q.Release([]mytun.Packet{p})
		}
	}()
	pkts := make([]mytun.Packet, 64)
	for {
		n, err := q.ReadBatch(pkts)
		if err != nil {
			close(work)
			return
		}
		for _, p := range pkts[:n] {
			work <- p
		}
	}
}

func ExampleQueue_WriteBatch() {
	var q *mytun.Queue   // from Tun.Queue
	var packets [][]byte // each with its IP header
	n, err := q.WriteBatch(packets)
	if err != nil {
		log.Printf("%d of %d packets were written: %v", n, len(packets), err)
	}
}

// What two interfaces exchange need not be cut and summed in between: up to 64 KiB go
// in one piece, unfinished as they are.
func ExampleQueue_WritePackets() {
	inner, err := mytun.Open(mytun.Config{Name: "inner", WholeGSO: true})
	if err != nil {
		log.Fatal(err)
	}
	outer, err := mytun.Open(mytun.Config{Name: "outer", WholeGSO: true})
	if err != nil {
		log.Fatal(err)
	}
	from, to := inner.Queue(0), outer.Queue(0)
	pkts := make([]mytun.Packet, 16)
	for {
		n, err := from.ReadBatch(pkts)
		if err != nil {
			log.Fatal(err)
		}
		for i := range pkts[:n] {
			if v := pkts[i].VNet; v.GSOType != mytun.GSONone {
				fmt.Println(len(pkts[i].Data), "bytes, to be cut into pieces of", v.GSOSize)
			}
		}
		if _, err := to.WritePackets(pkts[:n]); err != nil {
			log.Fatal(err)
		}
		from.Release(pkts[:n])
	}
}

// A program that must not lose packets, and can spare a processor for what it writes.
func ExampleQueue_SetBackpressure() {
	tun, err := mytun.Open(mytun.Config{Backpressure: true, Injection: mytun.InjectThread})
	if errors.Is(err, errors.ErrUnsupported) {
		log.Fatal("this module, or its kernel, cannot do that: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	// Latency counts more now than loss.
	if err := tun.Queue(0).SetBackpressure(false); err != nil {
		log.Fatal(err)
	}
}

// Datagrams of a socket are received straight into the ring.
func ExampleQueue_Reserve() {
	var q *mytun.Queue // from Tun.Queue
	var conn *net.UDPConn
	pkts := make([]mytun.Packet, 16)
	for {
		n, err := q.Reserve(pkts, 1500)
		if err != nil {
			log.Fatal(err)
		}
		for i := range pkts[:n] {
			// Nobody else gets a packet out meanwhile: do not wait for long.
			conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			size, _ := conn.Read(pkts[i].Data)
			pkts[i].Data = pkts[i].Data[:size] // empty: is not sent
		}
		if err := q.Commit(pkts[:n]); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleQueue_SetReadDeadline() {
	var q *mytun.Queue // from Tun.Queue
	q.SetReadDeadline(time.Now().Add(time.Second))
	_, err := q.Read(make([]byte, 65536))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		fmt.Println("nothing for a second")
	}
}

func ExampleQueue_Close() {
	var q *mytun.Queue // from Tun.Queue
	pkts := make([]mytun.Packet, 64)
	n, err := q.ReadBatch(pkts)
	if err != nil {
		log.Fatal(err)
	}
	q.Close()
	for i := range pkts[:n] {
		fmt.Println(len(pkts[i].Data), "bytes, still there")
	}
	q.Release(pkts[:n]) // now the memory goes
}

// Room before and after a packet is used for a tunnel's header and trailer.
func ExamplePacket_Grow() {
	var p *mytun.Packet // from ReadBatch
	payload := p.Data
	frame := p.Grow(4, 2)
	copy(frame, "HEAD")
	copy(frame[4+len(payload):], "++")
}

func ExampleQueue_Stats() {
	var q *mytun.Queue // from Tun.Queue
	s := q.Stats()
	fmt.Printf("%d packets were lost for want of room\n", s.RXDrops)
	fmt.Printf("%.3f system calls for each packet sent\n", float64(s.Doorbells)/float64(s.TXPackets))
}

func ExampleBackend_String() {
	fmt.Println(mytun.BackendAuto, mytun.BackendRing, mytun.BackendKernel)
	// Output: auto mytun kernel
}

func ExampleInjection_String() {
	fmt.Println(mytun.InjectSoftirq, mytun.InjectThread, mytun.InjectDirect)
	// Output: softirq thread direct
}
