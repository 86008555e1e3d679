// SPDX-License-Identifier: MIT
/*
 * Many queues with many flows each, in both directions: every packet comes intact, once and in the
 * order of its flow, or is counted as dropped.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "account.h"
#include "check.h"
#include "host.h"
#include "iface.h"
#include "mode.h"
#include "read.h"
#include "send.h"

enum {
	QUEUES = 64,
	FLOWS_MOST = QUEUES * 1000, /* with packets enough for it */
	OF_A_FLOW = 5 /* packets at least, so that they have an order */
};

/* All ways of taking packets up the stack beside each other, one queue each. */
static void inject_by_turns(struct ring *rings)
{
	for (int i = 0; i < QUEUES; i++)
		inject(rings[i].fd, i % 8 == 0 ? MYTUN_INJECT_THREAD : i % 2 * MYTUN_INJECT_DIRECT);
}

/* As many on each queue. */
static uint32_t flows_for(uint32_t packets)
{
	uint32_t flows = packets / OF_A_FLOW / QUEUES * QUEUES;

	return flows < FLOWS_MOST ? flows : FLOWS_MOST;
}

static void flows_come_and_go(int kind, uint32_t ring_size, unsigned int slow)
{
	static struct ring rings[QUEUES];
	struct tun t = tun_open_up(kind | IFF_MULTI_QUEUE);
	uint32_t packets = load_packets(250 * QUEUES * OF_A_FLOW);
	uint32_t flows = flows_for(packets);
	struct stamps stamps = stamps_of(t.name, t.tap, flows);
	struct book book = book_new(flows, packets, false);
	struct host host = { .book = book_new(flows, packets, false) };
	struct senders senders = { .stamps = &stamps, .packets = packets, .mtu = 1500 };
	struct readers readers = {
		.rings = rings,
		.queues = QUEUES,
		.back = true,
		.sleep = slow,
		.until = slow ? readers_lost_some : NULL,
		.take = take_stamped,
		.stamps = &stamps,
		.book = &book,
	};
	uint64_t sent, refused, back, drops;
	struct rtnl_link_stats64 s;

	for (int i = 0; i < QUEUES; i++) {
		struct tun q = i ? tun_open(t.name, kind | IFF_MULTI_QUEUE) : t;

		rings[i] = ring_new(q.fd, ring_args(ring_size));
	}
	inject_by_turns(rings);
	snprintf(senders.name, sizeof(senders.name), "%s", t.name);

	host_begin(&host);
	readers_begin(&readers);
	senders_begin(&senders);
	senders_end(&senders, &sent, &refused);
	back = readers_end(&readers);

	/* Threads may still be taking some up. */
	do {
		sleep_ms(10);
		s = iface_stats(t.name);
	} while (s.rx_packets + s.rx_dropped < back);
	drops = host_end(&host, s.rx_packets);
	s = iface_stats(t.name);

	printf("# %s, %u flows, rings of %u: %llu sent, %llu received, %llu dropped; %llu sent "
	       "back, %llu received, %llu dropped, %llu by the socket\n",
	       t.tap ? "TAP" : "TUN", flows, ring_size, (long long)sent,
	       (long long)book_total(&book), (long long)s.tx_dropped, (long long)back,
	       (long long)book_total(&host.book), (long long)s.rx_dropped, (long long)drops);
	fflush(stdout);
	expect_eq(sent, packets);
	expect_eq(book_total(&book) + s.tx_dropped, sent);
	expect_eq(s.tx_packets, book_total(&book));
	expect_eq(s.tx_dropped, refused);
	expect(!slow || refused > 0);
	expect_eq(account_published_rx(rings, QUEUES), refused);
	expect_eq(back, book_total(&book));
	expect_eq(s.rx_packets + s.rx_dropped, back);
	expect_eq(s.rx_dropped, 0);
	expect_eq(book_total(&host.book) + drops, s.rx_packets);
	account_agrees(t.name);
	/* It was a load for all queues, or it shows nothing. */
	for (int i = 0; i < QUEUES; i++)
		expect(rings[i].rx > 0);
}

TEST_WITHIN(600, tun_of_64_queues_with_hundreds_of_flows_each)
{
	flows_come_and_go(IFF_TUN, 1 << 18, 0);
}

TEST_WITHIN(600, tap_of_64_queues_with_hundreds_of_flows_each_and_a_slow_program)
{
	flows_come_and_go(IFF_TAP, 1 << 15, 20000);
}
