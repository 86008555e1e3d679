// SPDX-License-Identifier: MIT

package mytun

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// held is a queue with backpressure, in which the kernel puts total packets; the
// function that is returned waits for it.
func held(t *testing.T, g uapi.Rings, pos, total uint32, longest int) (*Queue, func()) {
	t.Helper()
	k := newFakeKernel(t, g, pos)
	q := k.queue(t)
	if err := q.SetBackpressure(true); err != nil {
		t.Fatal(err)
	}
	q.SetReadDeadline(time.Now().Add(stressTime))
	var kernel sync.WaitGroup
	kernel.Go(func() {
		rng := rand.New(rand.NewPCG(1, 2))
		buf := make([]byte, longest)
		for n := range total {
			if err := k.putHeld(pattern(buf, n, longest), k.untilBell); err != nil {
				t.Errorf("packet %d: %v", n, err)
				q.Close()
				return
			}
			pause(rng)
		}
	})
	return q, func() {
		t.Helper()
		kernel.Wait()
		s := q.Stats()
		if s.RXDrops != 0 || s.RXPackets != uint64(total) || s.RXDoorbells == 0 {
			t.Errorf("%+v", s)
		}
		t.Logf("%+v", s)
	}
}

// A reader that parks, of which others release what it has read, later and in any
// order, while the kernel waits for room: neither may wait for ever.
func TestStressBackpressure(t *testing.T) {
	const longest, keep = 100, 8 // less than half of the ring
	total := stressRounds(t)
	for _, tt := range stressRuns {
		t.Run(tt.name, func(t *testing.T) {
			q, finish := held(t, smallRings, tt.pos, total, longest)
			q.raw().rxSpin.off = tt.parks
			read := make(chan Packet, keep-2)
			var others sync.WaitGroup
			others.Go(func() {
				rng := rand.New(rand.NewPCG(5, 6))
				var kept []Packet
				for p := range read {
					kept = append(kept, p)
					for len(kept) > 0 && (len(read) == 0 || rng.IntN(2) == 0) {
						i := rng.IntN(len(kept))
						q.Release(kept[i : i+1])
						kept[i] = kept[len(kept)-1]
						kept = kept[:len(kept)-1]
						pause(rng)
					}
				}
			})
			defer others.Wait()
			defer close(read)
			rng := rand.New(rand.NewPCG(3, 4))
			buf := make([]byte, longest)
			pkts := make([]Packet, 4)
			for got := uint32(0); got < total; {
				if rng.IntN(100) == 0 {
					q.SetReadDeadline(time.Now().Add(stressTime))
				}
				if rng.IntN(8) == 0 {
					n, err := q.Read(buf)
					if err == nil {
						err = checkPattern(buf[:n], got, longest)
					}
					if err != nil {
						t.Fatal(err)
					}
					got++
					continue
				}
				n, err := q.ReadBatch(pkts[:1+rng.IntN(len(pkts))])
				if err != nil {
					t.Fatalf("after %d packets: %v", got, err)
				}
				for _, p := range pkts[:n] {
					if err := checkPattern(p.Data, got, longest); err != nil {
						t.Fatal(err)
					}
					got++
					read <- p
				}
			}
			finish()
		})
	}
}

// The doorbell of the RX ring is rung once for half a ring, and never without
// backpressure.
func TestReleaseRingsRarely(t *testing.T) {
	for _, on := range []bool{false, true} {
		k := newFakeKernel(t, smallRings, 0)
		q := k.queue(t)
		if err := q.SetBackpressure(on); err != nil {
			t.Fatal(err)
		}
		pkts := make([]Packet, 1)
		for k.put(make([]byte, 96)) {
		}
		k.stop()
		for range smallRings.RxSize / 128 {
			if n, err := q.ReadBatch(pkts); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			q.Release(pkts)
		}
		if got := q.Stats().RXDoorbells; got != 0 != on || got > 1 || len(k.rxBells) != int(got) {
			t.Errorf("backpressure %v: %d doorbells", on, got)
		}
	}
}

func TestReleaseAfterCloseWithBackpressure(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	if err := q.SetBackpressure(true); err != nil {
		t.Fatal(err)
	}
	for k.put(make([]byte, 1000)) {
	}
	k.stop()
	pkts := make([]Packet, 10)
	if _, err := q.ReadBatch(pkts); err != nil {
		t.Fatal(err)
	}
	q.Close()
	q.Release(pkts)
	if k.unmapped.Load() != 1 {
		t.Error("the memory is still there")
	}
}

func TestModes(t *testing.T) {
	k := newFakeKernel(t, smallRings, 0)
	q := k.queue(t)
	check := func(what string, err error, want uapi.Mode) {
		t.Helper()
		if got := *k.mode.Load(); err != nil || got != want {
			t.Errorf("%s: %v, mode %+v, want %+v", what, err, got, want)
		}
		if got := q.raw().rx.backpressure; got != (want.Flags != 0) {
			t.Errorf("%s: releasing looks for the kernel: %v", what, got)
		}
	}
	thread := uapi.Mode{Inject: uapi.InjectThread}
	both := uapi.Mode{Inject: uapi.InjectThread, Flags: uapi.ModeFBackpressure}
	check("thread", q.SetInjection(InjectThread), thread)
	check("backpressure", q.SetBackpressure(true), both)
	for errno, want := range map[unix.Errno]error{
		unix.EINVAL: errors.ErrUnsupported, unix.EBADFD: ErrDetached, unix.ENOMEM: unix.ENOMEM,
	} {
		k.modeErr.Store(int32(errno))
		if err := q.SetBackpressure(false); !errors.Is(err, want) {
			t.Errorf("%v: %v", errno, err)
		}
		check("after an error", nil, both)
	}
	k.modeErr.Store(0)
	check("no backpressure", q.SetBackpressure(false), thread)
	k.modeErr.Store(int32(unix.EINVAL))
	if err := q.SetBackpressure(true); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	check("after an error", nil, thread)
	k.modeErr.Store(0)
	check("direct", q.SetInjection(InjectDirect), uapi.Mode{Inject: uapi.InjectDirect})
	check("softirq", q.SetInjection(InjectSoftirq), uapi.Mode{})
	q.Close()
	if err := q.SetInjection(InjectThread); !errors.Is(err, net.ErrClosed) {
		t.Error("after Close:", err)
	}
}

func TestConfigBecomesMode(t *testing.T) {
	for _, tt := range []struct {
		c    Config
		want uapi.Mode
	}{
		{Config{}, uapi.Mode{}},
		{Config{Backpressure: true}, uapi.Mode{Flags: uapi.ModeFBackpressure}},
		{Config{Injection: InjectThread}, uapi.Mode{Inject: uapi.InjectThread}},
		{Config{Injection: InjectDirect, WholeGSO: true}, uapi.Mode{Inject: uapi.InjectDirect}},
	} {
		if got := tt.c.mode(); got != tt.want {
			t.Errorf("%+v: %+v", tt.c, got)
		}
	}
}
