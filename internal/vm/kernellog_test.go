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
		"[    1.0] NOHZ tick-stop error: local softirq work is pending, handler #08!!!",
		"[    1.0] NOHZ tick-stop error: Non-RCU local softirq work is pending, handler #08!!!",
		"[    1.0] tun0: hw csum failure",
	} {
		if got := findComplaints("[    0.5] fine\n" + line + "\n[    2.0] trace\n"); len(got) != 1 || !strings.HasPrefix(got[0], line) {
			t.Errorf("%q: found %q", line, got)
		}
	}
}

// A report is found from its title to its end, however long it is.
func TestComplaintsAreWhole(t *testing.T) {
	long := strings.Repeat("[ 1.0]  -> #1 (a){+.+.}-{3:3}:\n", 700)
	for _, tt := range []struct{ name, log, want string }{
		{"the end of a trace", "[ 1.0] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n" + long + "[ 1.0] ---[ end trace 0 ]---\n[ 2.0] fine\n",
			"[ 1.0] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n" + strings.TrimSuffix(long, "\n")},
		{"the end of a stack", "[ 1.0] WARNING: possible circular locking dependency detected\n" + long + "[ 1.0]  </TASK>\n[ 2.0] fine\n[ 3.0] ====================\n",
			"[ 1.0] WARNING: possible circular locking dependency detected\n" + strings.TrimSuffix(long, "\n")},
		{"the next object", "[ 1.0] lab: unreferenced object 0x1\n" + long + "[ 1.0] lab: unreferenced object 0x2\n",
			"[ 1.0] lab: unreferenced object 0x1\n" + strings.TrimSuffix(long, "\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := findComplaints(tt.log); len(got) == 0 || got[0] != tt.want {
				t.Errorf("found %q", got)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	report := func(time, title, size, function string) string {
		return "[ " + time + "] BUG: KASAN: " + title + "\n[ " + time + "] Read of size " + size + " at addr ffff88807fa02770 by task a/" + size +
			"\n[ " + time + "]  " + function + "/0x20 [mytun]"
	}
	var all, want []string
	for _, f := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, report("1.0", "use-after-free in f", "8", f+"+0x1"))
		want = append(want, all[len(all)-1])
	}
	all = append(all, report("21.0", "use-after-free in f", "4", "b+0x1"), report("21.0", "use-after-free in f", "8", "b+0x1"))
	want[1] += "\n--- 3 times"
	all = append(all, report("1.0", "use-after-free in f", "8", "b+0x2"), "[ 1.0] refcount_t: underflow", "[ 1.0] refcount_t: saturated", "[ 2.0] refcount_t: underflow")
	want = append(want, all[7], all[8]+"\n--- 2 times", all[9])
	if got := quote(all); got != quotation(strings.Join(want, "\n---\n")) {
		t.Errorf("got\n%s", got)
	}
}

func TestComplaintsNameTheTest(t *testing.T) {
	got := findComplaints("[ 1.0] guest: begin a\n[ 2.0] guest: begin b\n[ 3.0] BUG: x")
	if len(got) != 1 || !strings.HasPrefix(got[0], "(during b)\n") {
		t.Errorf("got %q", got)
	}
}

func TestRaces(t *testing.T) {
	report := func(title string, frames ...string) string {
		return "[ 1.0] ==================================================================\n[ 1.0] BUG: KCSAN: data-race in " + title +
			"\n[ 1.0] \n[ 1.0] read to 0xffff88807fa02770 of 8 bytes by task 454 on cpu 1:\n[ 1.0]  " +
			strings.Join(frames, "+0x2c/0x360\n[ 1.0]  ") + "\n[ 1.0] \n[ 1.0] write to 0xffff88807fa02770 of 8 bytes by interrupt on cpu 0:\n" +
			"[ 1.0]  hrtimer_active+0x86/0xf0\n[ 1.0]  asm_sysvec_apic_timer_interrupt+0x1b/0x20\n[ 1.0]  mytun_doorbell+0x1fc/0x470 [mytun]\n" +
			"[ 1.0] ==================================================================\n"
	}
	for _, tt := range []struct {
		name, log string
		want      int
	}{
		{"the module's access", report("a / b", "mytun_poll+0x1/0x2 [mytun]", "do_sys_poll"), 1},
		{"a copy of the module's", report("a / b", "_copy_from_iter", "__memcpy", "mytun_copy+0x1/0x2 [mytun]", "do_sys_poll"), 1},
		{"far below it", report("a / b", "a", "b", "c", "mytun_poll+0x1/0x2 [mytun]"), 0},
		{"an interrupt in it", report("a / b", "a", "asm_sysvec_apic_timer_interrupt", "mytun_poll+0x1/0x2 [mytun]"), 0},
		{"of the core", report("napi_complete_done / napi_schedule_prep", "napi_complete_done", "mytun_poll+0x1/0x2 [mytun]"), 0},
		{"of the core, a queue's", report("__dev_queue_xmit / netif_tx_wake_queue", "netif_tx_wake_queue", "mytun_senders_go+0x1/0x2 [mytun]"), 0},
		{"of the core, a discipline's", report("netif_tx_wake_queue / qdisc_maybe_clear_missed", "netif_tx_wake_queue", "mytun_senders_go+0x1/0x2 [mytun]"), 0},
		{"of the core, an interface's", report("__dev_queue_xmit / __netdev_update_features", "__netdev_update_features", "mytun_set_offload+0x1/0x2 [mytun]"), 0},
		{"of the core, what a packet may be", report("netif_skb_features / __netdev_update_features", "__netdev_update_features", "mytun_set_offload+0x1/0x2 [mytun]"), 0},
		{"of ours with the core", report("mytun_net_xmit / netif_tx_wake_queue", "netif_tx_wake_queue", "mytun_senders_go+0x1/0x2 [mytun]"), 1},
		{"two", report("a / b", "mytun_a+0x1/0x2 [mytun]") + report("c / d", "c") + report("e / f", "mytun_e+0x1/0x2 [mytun]"), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := findComplaints(tt.log); len(got) != tt.want {
				t.Errorf("%d complaints, want %d: %q\nin\n%s", len(got), tt.want, got, tt.log)
			}
		})
	}
}

// What the core says of its own want of memory is no complaint where the lab makes it have none; what follows is.
func TestComplaintsOfWantOfMemory(t *testing.T) {
	const warning = `[    5.35] WARNING: CPU: 0 PID: 62 at net/core/dev.c:11250 __dev_change_net_namespace+0x11af/0x1670
[    5.35] Modules linked in: mytun(O)
[    5.35] ---[ end trace 0000000000000000 ]---
[    8.52] WARNING: CPU: 0 PID: 58 at kernel/trace/trace_events.c:2556 event_define_fields.part.0+0x29a/0x4a0
[    8.52] ---[ end trace 0000000000000000 ]---
`
	for section, want := range map[string]int{"fail": 0, "abifuzz": 0, "abi": 2} {
		if got := findComplaints("[ 1.0] guest: begin " + section + "\n" + warning); len(got) != want {
			t.Errorf("during %s: got %q", section, got)
		}
	}
	got := findComplaints("[ 1.0] guest: begin fail\n" + warning + "[ 9.0] BUG: x\n")
	if len(got) != 1 || !strings.Contains(got[0], "BUG: x") {
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
