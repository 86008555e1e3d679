// SPDX-License-Identifier: MIT

package mytun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mytun/mytun/internal/uapi"
)

// Go's ends of the rings against those of the C library and its tests, in another
// process: csrc/test/README tells what ringpeer does.

var buildRingpeer = sync.OnceValues(func() (string, error) {
	if _, err := os.Stat("csrc/test/ringpeer.c"); err != nil {
		return "", err
	}
	for _, tool := range []string{"make", "cc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", err
		}
	}
	if out, err := exec.Command("make", "-C", "csrc", "ringpeer").CombinedOutput(); err != nil {
		return "", fmt.Errorf("make ringpeer: %v\n%s", err, out)
	}
	return "csrc/build/ringpeer", nil
})

const (
	peerLongest = 1500
	peerCount   = 100_000
)

// startPeer runs ringpeer on the memory of k. It sleeps by reading from
// sleep and wakes us by writing to wake. The function that is returned waits until
// it is through.
func startPeer(t *testing.T, k *fakeKernel, role string, sleep, wake int, args ...string) func() {
	t.Helper()
	path, err := buildRingpeer()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs the C library's tests and a C compiler:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, role, "--fd", "3", "--sleep", "4", "--wake", "5",
		"--rx-size", strconv.Itoa(int(k.g.RxSize)), "--tx-size", strconv.Itoa(int(k.g.TxSize)),
		"--headroom", strconv.Itoa(int(k.g.RxHeadroom)), "--tailroom", strconv.Itoa(int(k.g.RxTailroom)),
		"--count", strconv.Itoa(peerCount), "--max-len", strconv.Itoa(peerLongest), "--batch", "7")
	cmd.Args = append(cmd.Args, args...)
	for _, fd := range []int{k.fd, sleep, wake} {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(dup), "passed on")
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	return func() {
		t.Helper()
		err := cmd.Wait()
		timer.Stop()
		if err != nil || out.Len() != 0 {
			t.Errorf("ringpeer %s: %v\n%s", role, err, out.Bytes())
		}
	}
}

func newEventfd(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func ringEventfd(fd int) error {
	_, err := unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 1))
	return err
}

// awaitEventfd waits at most ten seconds.
func awaitEventfd(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 10_000)
	if err == unix.EINTR {
		return nil // look again
	}
	if n != 1 {
		return fmt.Errorf("nobody rang: %v", err)
	}
	_, err = unix.Read(fd, make([]byte, 8))
	return err
}

var peerRings = uapi.Rings{RxSize: 1 << 14, TxSize: 1 << 14, RxHeadroom: 64, RxTailroom: 32}

func TestGoReadsWhatCKernelPuts(t *testing.T) {
	for name, pos := range positions {
		t.Run(name, func(t *testing.T) {
			k := newFakeKernel(t, peerRings, pos)
			k.rxCons.Event = pos
			q := k.queue(t)
			q.SetDeadline(time.Now().Add(60 * time.Second))
			finish := startPeer(t, k, "kernel-rx", newEventfd(t), k.efd)
			pkts := make([]Packet, 16)
			for got := uint32(0); got < peerCount; {
				n, err := q.ReadBatch(pkts)
				if err != nil {
					t.Fatalf("after %d packets: %v", got, err)
				}
				for i := range pkts[:n] {
					p := &pkts[i]
					if err := checkPattern(p.Data, got, peerLongest); err != nil || p.Headroom() != 64 || p.Tailroom() < 32 {
						t.Fatal(err, p.Headroom(), p.Tailroom())
					}
					got++
				}
				q.Release(pkts[:n])
			}
			finish()
			t.Logf("%+v", q.Stats())
		})
	}
}

func TestGoReleasesForCKernelThatWaits(t *testing.T) {
	for name, pos := range positions {
		t.Run(name, func(t *testing.T) {
			k := newFakeKernel(t, peerRings, pos)
			k.rxCons.Event = pos
			k.rxBellFD = newEventfd(t)
			q := k.queue(t)
			if err := q.SetBackpressure(true); err != nil {
				t.Fatal(err)
			}
			q.SetDeadline(time.Now().Add(60 * time.Second))
			finish := startPeer(t, k, "kernel-rx", k.rxBellFD, k.efd, "--backpressure")
			pkts := make([]Packet, 16)
			kept := 0 // the first of a batch is released after the next
			for got := uint32(0); got < peerCount; {
				n, err := q.ReadBatch(pkts[kept:8])
				if err != nil {
					t.Fatalf("after %d packets: %v", got, err)
				}
				q.Release(pkts[:kept])
				for i := range pkts[kept : kept+n] {
					if err := checkPattern(pkts[kept+i].Data, got, peerLongest); err != nil {
						t.Fatal(err)
					}
					got++
				}
				q.Release(pkts[kept+1 : kept+n])
				pkts[0] = pkts[kept]
				clear(pkts[1:])
				kept = 1
			}
			q.Release(pkts[:kept])
			finish()
			if s := q.Stats(); s.RXDoorbells == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestCReleasesForGoKernelThatWaits(t *testing.T) {
	k := newFakeKernel(t, peerRings, 0)
	sleep, bell := newEventfd(t), newEventfd(t)
	k.onWake = func() { ringEventfd(sleep) }
	finish := startPeer(t, k, "rx", sleep, bell, "--backpressure")
	held := 0
	buf := make([]byte, peerLongest)
	for n := range uint32(peerCount) {
		err := k.putHeld(pattern(buf, n, peerLongest), func() error {
			held++
			return awaitEventfd(bell)
		})
		if err != nil {
			t.Fatalf("packet %d: %v", n, err)
		}
	}
	finish()
	t.Logf("held %d times", held)
}

func TestCKernelTakesWhatGoWrites(t *testing.T) {
	for name, pos := range positions {
		t.Run(name, func(t *testing.T) {
			k := newFakeKernel(t, peerRings, pos)
			k.bellFD = newEventfd(t)
			q := k.queue(t)
			q.SetDeadline(time.Now().Add(60 * time.Second))
			finish := startPeer(t, k, "kernel-tx", k.bellFD, k.efd)
			pkts := make([]Packet, 4)
			batch := make([][]byte, 5)
			for sent := uint32(0); sent < peerCount; {
				left := int(peerCount - sent)
				for i := range batch[:min(len(batch), left)] {
					batch[i] = pattern(make([]byte, peerLongest), sent, peerLongest)
					sent++
				}
				n, err := q.WriteBatch(batch[:min(len(batch), left)])
				if err != nil {
					t.Fatalf("after %d packets: %d, %v", sent, n, err)
				}
				left = int(peerCount - sent)
				if n, err = q.Reserve(pkts[:min(len(pkts), left)], peerLongest); err != nil {
					t.Fatal(err)
				}
				for i := range pkts[:n] {
					if i == 2 {
						pkts[i].Data = nil
						continue
					}
					pkts[i].Data = pattern(pkts[i].Data, sent, peerLongest)
					sent++
				}
				if err := q.Commit(pkts[:n]); err != nil {
					t.Fatal(err)
				}
			}
			finish()
			t.Logf("%+v", q.Stats())
		})
	}
}

// The fake kernel of these tests against the C library: the two fakes are alike.

func TestCReadsWhatGoKernelPuts(t *testing.T) {
	k := newFakeKernel(t, peerRings, 0)
	sleep := newEventfd(t)
	k.onWake = func() { ringEventfd(sleep) }
	finish := startPeer(t, k, "rx", sleep, newEventfd(t))
	buf := make([]byte, peerLongest)
	deadline := time.Now().Add(60 * time.Second)
	for n := uint32(0); n < peerCount; {
		if k.put(pattern(buf, n, peerLongest)) {
			n++
		} else if time.Now().After(deadline) {
			t.Fatalf("no room for packet %d", n)
		}
	}
	finish()
}

func TestGoKernelTakesWhatCWrites(t *testing.T) {
	k := newFakeKernel(t, peerRings, 0)
	sleep, bell := newEventfd(t), newEventfd(t)
	k.onWake = func() { ringEventfd(sleep) }
	finish := startPeer(t, k, "tx", sleep, bell)
	var got uint32
	for got < peerCount {
		n, err := k.take(64, func(_ uapi.Rec, pkt []byte) {
			if err := checkPattern(pkt, got, peerLongest); err != nil {
				t.Fatal(err)
			}
			got++
		})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && k.sleep() {
			if err := awaitEventfd(bell); err != nil {
				t.Fatalf("no doorbell at packet %d: %v", got, err)
			}
		}
	}
	finish()
}
