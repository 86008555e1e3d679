// SPDX-License-Identifier: MIT
/*
 * Storms of the kernel's packet generator, which gives its packets to the driver as fast as it can:
 * each is received once, or both sides have counted it as dropped.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/ioctl.h>

#include "account.h"
#include "check.h"
#include "clock.h"
#include "iface.h"
#include "pktgen.h"
#include "read.h"
#include "slow.h"

enum {
	QUEUES_MAX = 64
};

static struct ring rings[QUEUES_MAX];

/* A storm, and what came of it. */
struct storm {
	struct pktgen gen;
	struct book book[PKTGEN_MAX];
	uint32_t ring_size;
	uint32_t mode;
	unsigned int sleep;
};

static struct storm *storm;

static uint32_t take_generated(struct readers *all, int queue, const void *frame, uint32_t len)
{
	uint32_t number;
	int thread;

	(void)all;
	(void)queue;
	number = pktgen_check(&storm->gen, frame, len, &thread);
	book_enter(&storm->book[thread], number);
	return number;
}

static void open_queues(struct tun *t, int queues)
{
	struct mytun_mode mode = { .flags = storm->mode };

	*t = tun_open("", IFF_TAP | IFF_MULTI_QUEUE);
	/* Before it is up, so that backpressure has a discipline. */
	must(ioctl(t->fd, MYTUN_IOC_SET_MODE, &mode));
	iface_set_mtu(t->name, 65535 - ETH_HLEN);
	iface_up(t->name);
	for (int i = 0; i < queues; i++) {
		struct tun q = i ? tun_open(t->name, IFF_TAP | IFF_MULTI_QUEUE) : *t;

		must(ioctl(q.fd, MYTUN_IOC_SET_MODE, &mode));
		rings[i] = ring_new(q.fd, ring_args(storm->ring_size));
	}
}

static bool somebody_waits(const struct readers *all)
{
	(void)all;
	return account_queues(storm->gen.name).rx_holds > 0;
}

/* @s with sizes and lengths: a number for each packet of each thread. */
static void blow(struct storm *s)
{
	int queues = s->gen.threads * s->gen.queues;
	struct readers readers = {
		.rings = rings,
		.queues = queues,
		.sleep = s->sleep,
		.until = !s->sleep			       ? NULL
			 : s->mode & MYTUN_MODE_F_BACKPRESSURE ? somebody_waits
							       : readers_lost_some,
		.nap = 10000,
		.take = take_generated,
	};
	uint64_t received = 0, sent = 0, refused = 0;
	struct rtnl_link_stats64 st;
	struct tun t;
	double begin;

	storm = s;
	open_queues(&t, queues);
	snprintf(s->gen.name, sizeof(s->gen.name), "%s", t.name);
	for (int i = 0; i < s->gen.threads; i++)
		s->book[i] = book_new(1, s->gen.packets, s->gen.queues > 1);
	pktgen_begin(&s->gen);
	readers_begin(&readers);
	begin = now();
	pktgen_run();
	readers_end(&readers);
	begin = now() - begin;

	for (int i = 0; i < s->gen.threads; i++) {
		uint64_t taken, errors;

		pktgen_result(&s->gen, i, &taken, &errors);
		expect_eq(taken, s->gen.packets);
		expect_eq(book_total(&s->book[i]), taken);
		received += book_total(&s->book[i]);
		sent += taken + errors;
		refused += errors;
	}
	st = iface_stats(t.name);
	printf("# pktgen, %d threads, %d queues, rings of %u, frames of %u to %u: %llu sent, %llu "
	       "received, %llu dropped, in %.0f s\n",
	       s->gen.threads, queues, s->ring_size, s->gen.min, s->gen.max, (long long)sent,
	       (long long)received, (long long)st.tx_dropped, begin);
	fflush(stdout);
	expect_eq(received + st.tx_dropped, sent);
	expect_eq(st.tx_packets, received);
	expect_eq(st.tx_dropped, refused);
	expect_eq(account_published_rx(rings, queues), refused);
	account_agrees(t.name);
	if (s->mode & MYTUN_MODE_F_BACKPRESSURE) {
		expect_eq(refused, 0);
		expect(account_queues(t.name).rx_holds > 0);
	} else if (s->sleep) {
		expect(refused > 0);
	}
}

static int cpus(void)
{
	int n = runs("test $(nproc) -gt 1") ? 2 : 1;

	return n < PKTGEN_MAX ? n : PKTGEN_MAX;
}

TEST_WITHIN(600, a_storm_of_small_packets)
{
	struct storm s = { .gen = { .threads = cpus(), .queues = 1, .min = 60, .max = 60 },
			   .ring_size = 1 << 22 };

	s.gen.packets = load_packets(100000) / s.gen.threads;
	blow(&s);
}

TEST_WITHIN(600, a_storm_on_64_queues_and_a_slow_program)
{
	struct storm s = { .gen = {
				   .threads = cpus(),
				   .queues = 32,
				   .min = 60,
				   .max = 9000,
				   .sum = true,
			   },
			   .ring_size = 1 << 15,
			   .sleep = 20000 };

	s.gen.packets = load_packets(10000) / s.gen.threads;
	blow(&s);
}

TEST_WITHIN(600, a_storm_waits_for_a_slow_program)
{
	struct storm s = { .gen = { .threads = cpus(), .queues = 2, .min = 60, .max = 1514 },
			   .ring_size = 1 << 15,
			   .mode = MYTUN_MODE_F_BACKPRESSURE,
			   .sleep = 20000 };

	s.gen.packets = load_packets(10000) / s.gen.threads;
	blow(&s);
}

/* For long: one queue a CPU, and rings that hold what comes while the program has no CPU. */
TEST_ALONE(6 * 3600, a_storm_of_a_hundred_million)
{
	struct storm s = { .gen = { .threads = cpus(), .queues = 1, .min = 60, .max = 60 },
			   .ring_size = 1 << 25 };

	netns_new();
	s.gen.packets = load_packets(100000000) / s.gen.threads;
	blow(&s);
}
