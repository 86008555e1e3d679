// SPDX-License-Identifier: MIT
/*
 * Backpressure and slow programs: no packet is lost in the rings; what the queueing discipline
 * had no room for, it has counted.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "account.h"
#include "check.h"
#include "iface.h"
#include "read.h"
#include "send.h"
#include "slow.h"

enum {
	FLOWS = 1000
};

/* The newest kernels let one CPU enqueue for others, whose senders are not told of a drop then. */
static void senders_on_one_cpu(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	must(sched_setaffinity(0, sizeof(first), &first));
}

static struct tun t;

static bool somebody_waits(const struct readers *all)
{
	(void)all;
	return account_queues(t.name).rx_holds > 0;
}

static bool one_found_no_room(const struct readers *all)
{
	uint64_t passed, dropped;

	(void)all;
	account_discipline(t.name, &passed, &dropped);
	return dropped > 0;
}

/* @limit: packets that the discipline holds. */
static void senders_wait(unsigned int limit, uint32_t ring_size, bool loses)
{
	static struct ring ring;
	struct mytun_mode mode = { .flags = MYTUN_MODE_F_BACKPRESSURE };
	uint32_t packets = load_packets(20000);
	struct stamps stamps = stamps_of(t.name, false, FLOWS);
	struct book book = book_new(FLOWS, packets, false);
	struct senders senders = { .stamps = &stamps, .packets = packets, .mtu = 1500 };
	struct readers readers = {
		.rings = &ring,
		.queues = 1,
		.sleep = 10000,
		.until = loses ? one_found_no_room : somebody_waits,
		.take = take_stamped,
		.stamps = &stamps,
		.book = &book,
	};
	uint64_t sent, refused, passed, dropped, holds;
	struct rtnl_link_stats64 s;
	char command[128];

	must(ioctl(t.fd, MYTUN_IOC_SET_MODE, &mode));
	ring = ring_new(t.fd, ring_args(ring_size));
	snprintf(command, sizeof(command), "tc qdisc replace dev %s root pfifo limit %u", t.name,
		 limit);
	run(command);
	snprintf(senders.name, sizeof(senders.name), "%s", t.name);
	readers_begin(&readers);
	senders_on_one_cpu();
	senders_begin(&senders);
	senders_end(&senders, &sent, &refused);
	eventually(iface_backlog(t.name) == 0);
	readers_end(&readers);

	account_discipline(t.name, &passed, &dropped);
	s = iface_stats(t.name);
	holds = account_queues(t.name).rx_holds;
	printf("# pfifo of %u, ring of %u: %llu sent, %llu received, %llu dropped by pfifo, "
	       "%llu by us; stopped %llu times\n",
	       limit, ring_size, (long long)sent, (long long)book_total(&book),
	       (long long)dropped, (long long)s.tx_dropped, (long long)holds);
	fflush(stdout);
	expect_eq(sent, packets);
	expect_eq(s.tx_packets, book_total(&book));
	expect_eq(book_total(&book) + dropped, sent);
	expect_eq(passed, book_total(&book));
	expect_eq(dropped, refused);
	expect_eq(account_queues(t.name).rx_drops, 0);
	expect(holds > 0);
	expect((dropped > 0) == loses);
	account_agrees(t.name);
}

TEST_WITHIN(600, nothing_is_lost_when_senders_wait)
{
	t = tun_open_up(IFF_TUN);
	senders_wait(1000000, 1 << 16, false);
}

TEST_WITHIN(600, what_finds_no_room_to_wait_is_counted)
{
	t = tun_open_up(IFF_TUN);
	senders_wait(16, 1 << 16, true);
}
