// SPDX-License-Identifier: MIT
/*
 * What a program puts into its TX ring: each record is consumed, and its packet comes in whole or
 * is counted, on whosever time that happens.
 */
#define _GNU_SOURCE
#include <mytun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "clock.h"
#include "iface.h"
#include "mode.h"
#include "nth.h"

/* Small ones, and one that is spread over pages. */
#define FRAMES 12
static struct frame frames[FRAMES];

struct injecting {
	struct tun t;
	struct ring r;
	int raw;
};

static struct injecting injecting(int flags, uint32_t how)
{
	struct injecting i = { .t = tun_open("in0", flags) };

	i.r = ring_new(i.t.fd, ring_args(1 << 16));
	iface_up_bare(i.t.name);
	inject(i.t.fd, how);
	/* On account of the new mode NAPI looks, and until it has nobody else does. */
	sleep_ms(10);
	i.raw = frame_socket(i.t.name);
	for (int n = 0; n < FRAMES; n++)
		frame_new(&frames[n], i.t.tap, n == FRAMES / 2 ? 20000 : 100 + 100 * n, n);
	return i;
}

static void injecting_end(struct injecting *i)
{
	close(i->raw);
	ring_unmap(&i->r);
	tun_close(&i->t);
}

static void publish(struct injecting *i)
{
	for (int n = 0; n < FRAMES; n++)
		ring_tx_packet(&i->r, frames[n].bytes, frames[n].len);
	ring_tx_publish(&i->r);
}

/* After all was consumed. How many came in. */
static unsigned int count(struct injecting *i, const struct rtnl_link_stats64 *before,
			  uint32_t drops_before)
{
	struct rtnl_link_stats64 after = iface_stats(i->t.name);
	unsigned int drops = i->r.tx_cons->drops - drops_before;
	unsigned int in, missed;

	in = frames_in(i->raw, frames, FRAMES);
	missed = frames_missed(i->raw);
	if (in + missed + drops != FRAMES)
		fail("%u frames came in, %u were dropped, of %u", in + missed, drops, FRAMES);
	expect_eq(after.rx_dropped - before->rx_dropped, drops);
	expect_eq(after.rx_packets - before->rx_packets, FRAMES - drops);
	return in;
}

static void all_at_last(struct injecting *i)
{
	struct rtnl_link_stats64 before = iface_stats(i->t.name);
	uint32_t drops = i->r.tx_cons->drops;

	publish(i);
	must(ring_doorbell(&i->r));
	eventually(load_acquire(&i->r.tx_cons->pos) == i->r.tx);
	expect_eq(count(i, &before, drops), FRAMES);
}

static void direct(const char *what, int flags)
{
	struct injecting i = injecting(flags, MYTUN_INJECT_DIRECT);
	struct failing f = failing(what);
	struct rtnl_link_stats64 before;
	unsigned int dropped = 0;
	uint32_t drops;

	while (fail_next(&f)) {
		before = iface_stats(i.t.name);
		drops = i.r.tx_cons->drops;
		publish(&i);
		under(&f, ring_doorbell(&i.r));
		fail_cannot(&f);
		/* NAPI may have been at it, on account of the new mode, and looks again. */
		eventually(load_acquire(&i.r.tx_cons->pos) == i.r.tx);
		count(&i, &before, drops);
		dropped += i.r.tx_cons->drops - drops;
	}
	expect(dropped > 0);
	all_at_last(&i);
	injecting_end(&i);
}

TEST_WITHIN(300, records_come_in_from_the_doorbell_or_are_counted)
{
	direct("doorbell, MYTUN_INJECT_DIRECT, TAP", IFF_TAP);
	direct("doorbell, MYTUN_INJECT_DIRECT, TUN", IFF_TUN);
}

/* Page by page; the heads' pages are the same again and again, so that they are rarely asked for:
 * each round has new rings.
 */
TEST_WITHIN(300, the_first_records_come_in_or_are_counted)
{
	struct failing f = failing("doorbell, MYTUN_INJECT_DIRECT, new rings");
	unsigned int dropped = 0;

	while (fail_next(&f)) {
		struct injecting i = injecting(IFF_TAP, MYTUN_INJECT_DIRECT);
		struct rtnl_link_stats64 before = iface_stats(i.t.name);

		publish(&i);
		under(&f, ring_doorbell(&i.r));
		fail_cannot(&f);
		/* NAPI may be at it, on account of the new mode. */
		eventually(load_acquire(&i.r.tx_cons->pos) == i.r.tx);
		count(&i, &before, 0);
		dropped += i.r.tx_cons->drops;
		all_at_last(&i);
		injecting_end(&i);
	}
	expect(dropped > 0);
}

/* Until the thread waits for the next doorbell. */
static void wait_idle(pid_t pid)
{
	char path[64];
	const char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	eventually((end = strrchr(read_file(path), ')')) && (end[2] == 'I' || end[2] == 'S'));
}

/* In another process, since a view of /sys without debugfs is of no use here. */
static void set_threaded(void *arg)
{
	sysfs_here();
	iface_knob(arg, "threaded", "1");
}

/* A thread of the kernel's whose name begins with @names consumes the ring. */
static void by_thread(const char *what, struct injecting *i, const char *names)
{
	struct rtnl_link_stats64 before;
	unsigned int dropped = 0;
	struct failing f;
	uint32_t drops;
	pid_t pid;

	expect_eq(kernel_threads(names, &pid), 1);
	f = failing_of(what, pid);
	while (fail_next(&f)) {
		before = iface_stats(i->t.name);
		drops = i->r.tx_cons->drops;
		publish(i);
		fail_arm(&f);
		must(ring_doorbell(&i->r));
		eventually(load_acquire(&i->r.tx_cons->pos) == i->r.tx);
		wait_idle(pid);
		fail_disarm(&f);
		count(i, &before, drops);
		dropped += i->r.tx_cons->drops - drops;
	}
	expect(dropped > 0);
	all_at_last(i);
	injecting_end(i);
}

TEST_WITHIN(300, records_come_in_from_the_thread_or_are_counted)
{
	struct injecting i = injecting(IFF_TAP, MYTUN_INJECT_THREAD);

	by_thread("MYTUN_INJECT_THREAD", &i, "mytun/");
}

TEST_WITHIN(300, records_come_in_from_the_cores_thread_or_are_counted)
{
	struct injecting i = injecting(IFF_TAP, MYTUN_INJECT_SOFTIRQ);

	spawn_wait(spawn(set_threaded, i.t.name));
	by_thread("MYTUN_INJECT_SOFTIRQ, threaded", &i, "napi/");
}

/* Softirq, which no task's failures reach: by chance, and all chances. */
TEST_WITHIN(300, records_come_in_from_softirq_or_are_counted)
{
	struct injecting i = injecting(IFF_TAP, MYTUN_INJECT_SOFTIRQ);
	unsigned int injected = 0, dropped = 0;
	struct pages in_use = {};

	for (unsigned int round = 0; round < lab_rounds(200); round++) {
		struct rtnl_link_stats64 before = iface_stats(i.t.name);
		uint32_t drops = i.r.tx_cons->drops;

		if (round < 2)
			in_use = pages_now();
		publish(&i);
		fail_everywhere(1 + round % 100);
		must(ring_doorbell(&i.r));
		eventually(load_acquire(&i.r.tx_cons->pos) == i.r.tx);
		injected += fail_end();
		count(&i, &before, drops);
		dropped += i.r.tx_cons->drops - drops;
	}
	pages_expect(&in_use, injected, "MYTUN_INJECT_SOFTIRQ");
	fail_report("MYTUN_INJECT_SOFTIRQ", injected);
	expect(dropped > 0);
	all_at_last(&i);
}
