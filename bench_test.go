// SPDX-License-Identifier: MIT

package mytun

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/mytun/mytun/internal/packet"
	"github.com/mytun/mytun/internal/uapi"
)

// What the program's ends of the rings cost, without a kernel: the other side only
// moves its position. Each reports the time and the bytes per packet.

func benchSizes(b *testing.B, run func(b *testing.B, size, batch int)) {
	for _, size := range []int{64, 1400} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%d/batch=%d", size, batch), func(b *testing.B) {
				b.SetBytes(int64(size * batch))
				b.ReportAllocs()
				run(b, size, batch)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/packet")
			})
		}
	}
}

var benchRings = uapi.Rings{RxSize: 1 << 20, TxSize: 1 << 19, RxHeadroom: 64, RxTailroom: 32}

// replay hands the packets that are in the RX ring to the program once more.
func (k *fakeKernel) replay(n, length int) {
	size := k.rxSizeOf(length)
	for range n {
		rec := k.rxRecord(k.rxPos)
		rec.Size, rec.Len, rec.Off = size, uint32(length), uapi.RecSize+k.g.RxHeadroom
		k.rxPos += size
	}
	atomic.StoreUint32(&k.rxProd.Pos, k.rxPos)
}

// swallow takes all packets without looking at them.
func (k *fakeKernel) swallow() {
	k.txPos = k.txProd.Pos
	atomic.StoreUint32(&k.txCons.Pos, k.txPos)
}

func BenchmarkReadBatch(b *testing.B) {
	benchSizes(b, func(b *testing.B, size, batch int) {
		k := newFakeKernel(b, benchRings, 0)
		q := k.queue(b)
		pkts := make([]Packet, batch)
		for b.Loop() {
			k.replay(batch, size)
			n, err := q.ReadBatch(pkts)
			if n != batch || err != nil {
				b.Fatal(n, err)
			}
			q.Release(pkts[:n])
		}
	})
}

func BenchmarkRead(b *testing.B) {
	benchSizes(b, func(b *testing.B, size, batch int) {
		k := newFakeKernel(b, benchRings, 0)
		q := k.queue(b)
		buf := make([]byte, 2048)
		for b.Loop() {
			k.replay(batch, size)
			for range batch {
				if _, err := q.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkWriteBatch(b *testing.B) {
	benchSizes(b, func(b *testing.B, size, batch int) {
		k := newFakeKernel(b, benchRings, 0)
		q := k.queue(b)
		pkts := make([][]byte, batch)
		for i := range pkts {
			pkts[i] = make([]byte, size)
		}
		for b.Loop() {
			if _, err := q.WriteBatch(pkts); err != nil {
				b.Fatal(err)
			}
			k.swallow()
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	benchSizes(b, func(b *testing.B, size, batch int) {
		k := newFakeKernel(b, benchRings, 0)
		q := k.queue(b)
		pkt := make([]byte, size)
		for b.Loop() {
			for range batch {
				if _, err := q.Write(pkt); err != nil {
					b.Fatal(err)
				}
			}
			k.swallow()
		}
	})
}

func BenchmarkReserveCommit(b *testing.B) {
	benchSizes(b, func(b *testing.B, size, batch int) {
		k := newFakeKernel(b, benchRings, 0)
		q := k.queue(b)
		pkts := make([]Packet, batch)
		for b.Loop() {
			n, err := q.Reserve(pkts, size)
			if n != batch || err != nil {
				b.Fatal(n, err)
			}
			if err := q.Commit(pkts); err != nil {
				b.Fatal(err)
			}
			k.swallow()
		}
	})
}

// BenchmarkWake is a ping-pong: a reader is parked, woken by the kernel, and parked
// again.
func BenchmarkWake(b *testing.B) {
	for _, spin := range []bool{true, false} {
		b.Run(fmt.Sprintf("spin=%v", spin), func(b *testing.B) {
			k := newFakeKernel(b, benchRings, 0)
			q := k.queue(b)
			q.raw().rxSpin.off = !spin
			b.ReportAllocs()
			answer := make(chan struct{})
			go func() {
				buf := make([]byte, 100)
				for {
					if _, err := q.Read(buf); err != nil {
						return
					}
					answer <- struct{}{}
				}
			}()
			pkt := make([]byte, 64)
			for b.Loop() {
				k.put(pkt)
				<-answer
			}
			b.ReportMetric(float64(q.Stats().RXParks)/float64(b.N), "parks/packet")
		})
	}
}

// BenchmarkRootWriteBatch is the way into the stack, to a socket that does not
// listen: of the module, and of the kernel's own driver.
func BenchmarkRootWriteBatch(b *testing.B) {
	needGuest(b)
	if err := loadTun(); err != nil {
		b.Fatal(err)
	}
	for _, backend := range []Backend{BackendRing, BackendKernel} {
		b.Run(backend.String(), func(b *testing.B) {
			benchSizes(b, func(b *testing.B, size, batch int) {
				q := openUp(b, Config{Backend: backend}).Queue(0)
				conn, addr := udpSocket(b, host4)
				conn.SetReadBuffer(1) // the stack drops there
				far := netip.AddrPortFrom(far4, 5555)
				pkts := make([][]byte, batch)
				for i := range pkts {
					pkts[i] = packet.AppendUDP(nil, far, addr, make([]byte, size))
				}
				for b.Loop() {
					if _, err := q.WriteBatch(pkts); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
