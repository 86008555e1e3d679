// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"
)

func TestComplaints(t *testing.T) {
	for _, line := range []string{
		"[    1.0] BUG: KASAN: use-after-free in mytun_xmit+0x1/0x2",
		"[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000",
		"[    1.0] kernel BUG at mm/slub.c:377!",
		"[    1.0] WARNING: CPU: 0 PID: 7 at net/core/dev.c:10 f+0x1/0x2 [mytun]",
		"[    1.0] WARNING: possible circular locking dependency detected",
		"[    1.0] refcount_t: underflow; use-after-free.",
		"[    1.0] UBSAN: array-index-out-of-bounds in ring.c:5:3",
		"[    1.0] Oops: 0002 [#1] PREEMPT SMP",
		"[    1.0] general protection fault, probably for non-canonical address",
		"[    1.0] watchdog: BUG: soft lockup - CPU#1 stuck for 26s!",
		"[    1.0] INFO: task vpn:123 blocked for more than 120 seconds.",
		"[    1.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
		"[    1.0] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
		"[    1.0] unregister_netdevice: waiting for tun0 to become free. Usage count = 2",
		"[    1.0] Kernel panic - not syncing: Fatal exception",
		"[    1.0] ODEBUG: free active (active state 0) object type: timer_list",
	} {
		if got := findComplaints("[    0.5] fine\n" + line + "\n[    2.0] trace\n"); len(got) != 1 || !strings.HasPrefix(got[0], line) {
			t.Errorf("%q: found %q", line, got)
		}
	}
}

func TestComplaintsNameTheTest(t *testing.T) {
	got := findComplaints("[ 1.0] guest: begin a\n[ 2.0] guest: begin b\n[ 3.0] BUG: x")
	if len(got) != 1 || !strings.HasPrefix(got[0], "(during b)\n") {
		t.Errorf("got %q", got)
	}
}

func TestNoComplaints(t *testing.T) {
	log := `[    0.010189] Spectre V1 : Mitigation: usercopy/swapgs barriers and __user pointer sanitization
[    0.000000] tsc: Fast TSC calibration failed
[    1.998000] Warning: unable to open an initial console.
[    2.656951] mytun: loading out-of-tree module taints kernel.
[    2.658296] mytun: module verification failed: signature and/or required key missing - tainting kernel
[    2.700000] kfence: initialized - using 2097152 bytes for 255 objects
`
	if got := findComplaints(log); len(got) != 0 {
		t.Errorf("a sound machine complains: %q", got)
	}
}
