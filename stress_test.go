// SPDX-License-Identifier: MIT

package mytun

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/uapi"
)

// Both ends at once. What these tests look for is a wake-up that is lost: then
// somebody waits until the deadline.

func stressRounds(t testing.TB) uint32 {
	switch {
	case testing.Short(), os.Getenv("MYTUN_GUEST") == "1": // an emulated machine
		return 5_000
	case raceEnabled:
		return 30_000
	}
	return 200_000
}

var stressRuns = []struct {
	name  string
	pos   uint32
	parks bool // at once, instead of spinning first
}{
	{"from zero", 0, false},
	{"over the wrap", 1<<32 - 3*4096, false},
	{"parking at once", 0, true},
}

const stressTime = 20 * time.Second

// pause lets the other side run dry now and then, so that it goes to sleep.
func pause(rng *rand.Rand) {
	switch rng.IntN(64) {
	case 0:
		time.Sleep(time.Microsecond)
	case 1, 2, 3, 4:
		runtime.Gosched()
	}
}

func TestStressReader(t *testing.T) {
	const longest = 300
	total := stressRounds(t)
	for _, tt := range stressRuns {
		t.Run(tt.name, func(t *testing.T) {
			g := smallRings
			g.RxHeadroom = 16
			k := newFakeKernel(t, g, tt.pos)
			q := k.queue(t)
			q.raw().rxSpin.off = tt.parks
			var failed atomic.Bool
			var kernel sync.WaitGroup
			defer kernel.Wait()
			kernel.Go(func() {
				rng := rand.New(rand.NewPCG(1, 2))
				buf := make([]byte, longest)
				for n := uint32(0); n < total && !failed.Load(); {
					if k.put(pattern(buf, n, longest)) {
						n++
					} else {
						runtime.Gosched() // the module drops; we want all of them
					}
					pause(rng)
				}
			})
			defer failed.Store(true)

			rng := rand.New(rand.NewPCG(3, 4))
			buf := make([]byte, longest)
			pkts := make([]Packet, 20)
			for got := uint32(0); got < total; {
				if rng.IntN(100) == 0 {
					q.SetDeadline(time.Now().Add(stressTime))
				}
				if rng.IntN(4) == 0 {
					n, err := q.Read(buf)
					if err != nil {
						t.Fatalf("after %d packets: %v", got, err)
					}
					if err := checkPattern(buf[:n], got, longest); err != nil {
						t.Fatal(err)
					}
					got++
					continue
				}
				n, err := q.ReadBatch(pkts[:1+rng.IntN(len(pkts))])
				if err != nil {
					t.Fatalf("after %d packets: %v", got, err)
				}
				for i := range pkts[:n] {
					if err := checkPattern(pkts[i].Data, got, longest); err != nil {
						t.Fatal(err)
					}
					got++
				}
				q.Release(pkts[:n])
			}
			t.Logf("%+v", q.Stats())
		})
	}
}

func TestStressWriter(t *testing.T) {
	const longest = 700
	total := stressRounds(t)
	for _, tt := range stressRuns {
		t.Run(tt.name, func(t *testing.T) {
			k := newFakeKernel(t, smallRings, tt.pos)
			q := k.queue(t)
			q.raw().txSpin.off = tt.parks
			var got atomic.Uint32
			done := make(chan struct{})
			stop := make(chan struct{})
			var kernel sync.WaitGroup
			kernel.Go(func() {
				rng := rand.New(rand.NewPCG(1, 2))
				if err := k.napi(stop, func(_ uapi.Rec, pkt []byte) {
					if err := checkPattern(pkt, got.Load(), longest); err != nil {
						t.Error(err)
					}
					if got.Add(1) == total {
						close(done)
					}
					pause(rng)
				}); err != nil {
					t.Error(err)
				}
			})
			defer kernel.Wait()
			defer close(stop)

			rng := rand.New(rand.NewPCG(3, 4))
			bufs := make([][]byte, 9)
			for i := range bufs {
				bufs[i] = make([]byte, longest)
			}
			pkts := make([]Packet, 4)
			for n := uint32(0); n < total; {
				var err error
				if rng.IntN(100) == 0 {
					q.SetDeadline(time.Now().Add(stressTime))
				}
				switch rng.IntN(3) {
				case 0:
					_, err = q.Write(pattern(bufs[0], n, longest))
					n++
				case 1:
					batch := bufs[:min(1+rng.IntN(len(bufs)), int(total-n))]
					for i := range batch {
						batch[i] = pattern(bufs[i][:longest], n, longest)
						n++
					}
					_, err = q.WriteBatch(batch)
				case 2:
					var m int
					m, err = q.Reserve(pkts[:min(1+rng.IntN(len(pkts)), int(total-n))], longest)
					for i := range pkts[:m] {
						if rng.IntN(8) == 0 {
							pkts[i].Data = nil
							continue
						}
						pkts[i].Data = pattern(pkts[i].Data, n, longest)
						n++
					}
					if err == nil {
						err = q.Commit(pkts[:m])
					}
				}
				if err != nil {
					t.Fatalf("after %d packets: %v", n, err)
				}
				pause(rng)
			}
			select {
			case <-done:
			case <-time.After(stressTime):
				t.Fatalf("%d of %d packets arrived", got.Load(), total)
			}
			t.Logf("%+v", q.Stats())
		})
	}
}

// Several goroutines use one queue, in both directions, with records lent to
// others and given back in any order; then it is closed under them.
func TestStressManyUsers(t *testing.T) {
	for range 5 {
		k := newFakeKernel(t, uapi.Rings{RxSize: 1 << 14, TxSize: 1 << 14, RxHeadroom: 8}, 1<<32-1<<14)
		q := k.queue(t)
		stop := make(chan struct{})
		var kernel, users sync.WaitGroup
		const writers = 3
		for cpu := range uint32(2) {
			kernel.Go(func() {
				buf := make([]byte, 100)
				for n := uint32(1); ; {
					select {
					case <-stop:
						return
					default:
					}
					binary.NativeEndian.PutUint32(buf, cpu)
					binary.NativeEndian.PutUint32(buf[4:], n)
					if k.put(buf[:8+n%92]) {
						n++
					} else {
						runtime.Gosched()
					}
				}
			})
		}
		var lastTx [writers]uint32
		kernel.Go(func() {
			if err := k.napi(stop, func(_ uapi.Rec, pkt []byte) {
				user, n := binary.NativeEndian.Uint32(pkt), binary.NativeEndian.Uint32(pkt[4:])
				if user >= writers || n <= lastTx[user] {
					t.Errorf("packet %d of user %d after %d", n, user, lastTx[user])
					return
				}
				lastTx[user] = n
			}); err != nil {
				t.Error(err)
			}
		})

		lent := make(chan Packet, 64)
		var rxCount, txCount atomic.Uint64
		closed := func(err error) bool {
			if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			return errors.Is(err, net.ErrClosed)
		}
		var readers, releasers sync.WaitGroup
		for range writers {
			readers.Go(func() {
				pkts := make([]Packet, 5)
				buf := make([]byte, 100)
				for {
					n, err := q.ReadBatch(pkts)
					if closed(err) {
						return
					}
					rxCount.Add(uint64(n))
					for _, p := range pkts[:n] {
						lent <- p
					}
					if _, err := q.Read(buf); closed(err) {
						return
					}
				}
			})
		}
		for range 2 {
			releasers.Go(func() {
				held := make([]Packet, 0, 8)
				for p := range lent {
					if cpu := binary.NativeEndian.Uint32(p.Data); cpu > 1 || len(p.Data) != int(8+binary.NativeEndian.Uint32(p.Data[4:])%92) {
						t.Errorf("packet is % x", p.Data)
					}
					clear(p.Buffer())
					if held = append(held, p); len(held) == cap(held) {
						rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
						q.Release(held)
						held = held[:0]
					}
				}
				q.Release(held)
			})
		}
		for user := range uint32(writers) {
			users.Go(func() {
				pkts := make([]Packet, 3)
				buf := make([]byte, 64)
				for n := uint32(1); ; {
					fill := func(b []byte) []byte {
						binary.NativeEndian.PutUint32(b, user)
						binary.NativeEndian.PutUint32(b[4:], n)
						n++
						return b
					}
					if _, err := q.Write(fill(buf)); closed(err) {
						return
					}
					m, err := q.Reserve(pkts, 200)
					if closed(err) {
						return
					}
					for i := range pkts[:m] {
						fill(pkts[i].Data)
					}
					if m == 3 {
						pkts[1].Data = nil
					}
					if err := q.Commit(pkts[:m]); closed(err) {
						return
					}
					txCount.Add(uint64(m))
				}
			})
		}
		users.Go(func() { // somebody plays with deadlines
			for {
				if closed(q.SetDeadline(longAgo)) || closed(q.SetDeadline(time.Time{})) {
					return
				}
				q.Stats()
				time.Sleep(time.Millisecond)
			}
		})
		time.Sleep(100 * time.Millisecond)
		for end := time.Now().Add(10 * time.Second); rxCount.Load() < 100 || txCount.Load() < 100; {
			if time.Now().After(end) {
				t.Errorf("moved %d and %d packets in ten seconds", rxCount.Load(), txCount.Load())
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		readers.Wait()
		close(lent)
		releasers.Wait()
		users.Wait()
		close(stop)
		kernel.Wait()
		if k.unmapped.Load() != 1 {
			t.Errorf("unmapped %d times", k.unmapped.Load())
		}
	}
}

// A queue that has nothing to do costs no processor time.
func TestIdleQueueSleeps(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	c := inBackground(func() (int, error) {
		for {
			if n, err := q.Read(make([]byte, 10)); err != nil {
				return n, err
			}
		}
	})
	for range 100 { // one packet a millisecond
		k.put([]byte{1})
		time.Sleep(time.Millisecond)
	}
	parks := q.Stats().RXParks
	if parks < 50 {
		t.Errorf("parked %d times for 100 packets with a millisecond between them", parks)
	}
	looks := q.raw().rxSpin.rounds.Load()
	if looks > spinProbe {
		t.Errorf("spins for %d rounds though it was in vain", looks)
	}
	q.Close()
	await(t, c)
}

// The moment that matters, over and over: one side goes to sleep while the other
// moves on. Either the first sees that it has, or the other that it must wake.

// meet calls a here and b in another goroutine, both at the same time or nearly
// so, one round after another for as many as it can in a few seconds. After each
// round it calls after here.
func meet(t *testing.T, a, b, after func()) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("needs two processors")
	}
	const end = 1 << 62
	var started, finished atomic.Int64
	until := func(what *atomic.Int64, round int64) int64 {
		for i := 0; ; i++ {
			if now := what.Load(); now >= round {
				return now
			}
			if i%1000 == 999 {
				runtime.Gosched()
			}
		}
	}
	delay := func(n int64) {
		for range n {
			started.Load()
		}
	}
	var other sync.WaitGroup
	other.Go(func() {
		for round := int64(1); until(&started, round) != end; round++ {
			delay(round / 50 % 50)
			b()
			finished.Store(round)
		}
	})
	defer other.Wait()
	defer started.Store(end)
	last := time.Now().Add(3 * time.Second)
	for round := int64(1); round <= int64(stressRounds(t)); round++ {
		if round%64 == 0 && time.Now().After(last) {
			break
		}
		started.Store(round)
		delay(round % 50 * 20) // the other hears of it later
		a()
		until(&finished, round)
		after()
	}
}

func TestReaderParksOrIsWoken(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	pkts := make([]Packet, 10)
	var goesOn bool
	var parks, goes int
	meet(t,
		func() { goesOn = q.raw().rxPark(0) },
		func() { k.put([]byte("x")) },
		func() {
			if goesOn {
				goes++
			} else if parks++; k.wakes.Swap(0) == 0 {
				t.Error("the reader sleeps and nobody wakes it")
			}
			k.wakes.Store(0)
			n, err := q.ReadBatch(pkts)
			if n != 1 || err != nil {
				t.Error(n, err)
			}
			q.Release(pkts)
		})
	t.Logf("slept %d times, did not %d times", parks, goes)
}

func TestWriterParksOrIsWoken(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	q.raw().txNeed = 2048
	fillTx(t, q)
	pkt := [][]byte{make([]byte, 128-uapi.RecSize)}
	for len(pkt) < 16 {
		pkt = append(pkt, pkt[0])
	}
	var goesOn bool
	var parks, goes int
	meet(t,
		func() { goesOn = q.raw().txPark(0) },
		func() { k.take(16, func(uapi.Rec, []byte) {}) },
		func() {
			if goesOn {
				goes++
			} else if parks++; k.wakes.Swap(0) == 0 {
				t.Error("the writer sleeps and nobody wakes it")
			}
			k.wakes.Store(0)
			if _, err := q.WriteBatch(pkt); err != nil {
				t.Error(err)
			}
		})
	t.Logf("slept %d times, did not %d times", parks, goes)
}

func TestKernelSleepsOrHearsTheDoorbell(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	r := newTxRing(&k.rings)
	pkt := [][]byte{[]byte("x")}
	var slept, bell bool
	var sleeps, goes int
	meet(t,
		func() { slept = k.sleep() },
		func() { _, _, bell, _ = r.write(pkt) },
		func() {
			if slept {
				sleeps++
			} else {
				goes++
			}
			if slept && !bell {
				t.Error("the kernel sleeps and nobody rings")
			}
			k.take(10, func(uapi.Rec, []byte) {})
		})
	t.Logf("slept %d times, did not %d times", sleeps, goes)
}
