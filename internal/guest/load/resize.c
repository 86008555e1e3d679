// SPDX-License-Identifier: MIT
/*
 * Packets of all sizes in both directions, while queues come, with rings of all sizes, and go, and
 * the MTU changes: what was sent is received, or counted as dropped.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "host.h"
#include "iface.h"
#include "mode.h"
#include "read.h"
#include "send.h"

enum {
	FLOWS = 256,
	CHANGING = 3 /* queues, beside one that stays */
};

/* The last is the greatest. */
static const int mtus[] = { 68, 576, 1280, 1500, 9000, 65535 };

/* Rings of each size that there is, from the least to the greatest and back, those of one queue
 * of different ones, and with room around the packets or without.
 */
static struct mytun_rings any_rings(unsigned int round)
{
	unsigned int sizes = __builtin_ctz(MYTUN_RING_SIZE_MAX / MYTUN_RING_SIZE_MIN) + 1;
	struct mytun_rings g = ring_args(MYTUN_RING_SIZE_MIN << (round * 7 % sizes));

	g.tx_size = MYTUN_RING_SIZE_MIN << ((round * 11 + round / sizes) % sizes);
	g.rx_headroom = round % 3 * 100;
	g.rx_tailroom = round % 5 * 37;
	g.flags = round % 2 ? MYTUN_RINGS_F_HASH : 0;
	return g;
}

/* Packets that the kernel has not taken out of a ring. */
static uint64_t untaken(const struct ring *r)
{
	uint32_t at = load_acquire(&r->tx_cons->pos);
	uint64_t n = 0;

	for (; at != r->tx; n++)
		at += ((struct mytun_rec *)(r->tx_data + at % r->g.tx_size))->size;
	return n;
}

/* Takes a queue off the interface. What is in its ring may still be read; what it sent back and the
 * kernel has not taken by then it never will.
 */
static void retire(struct readers *r, int queue, uint64_t *back)
{
	uint64_t none = 0;

	must(ioctl(r->rings[queue].fd, MYTUN_IOC_DETACH, 0));
	*back -= untaken(&r->rings[queue]);
	r->back = false;
	while (read_ring(r, queue, 1000, &none))
		;
	r->back = true;
	close(r->rings[queue].fd);
	ring_unmap(&r->rings[queue]);
}

static uint32_t longest; /* frame that came */

static uint32_t take_measured(struct readers *all, int queue, const void *frame, uint32_t len)
{
	longest = len > longest ? len : longest;
	return take_stamped(all, queue, frame, len);
}

static void queues_and_sizes_change(int kind)
{
	static struct ring rings[1 + CHANGING];
	struct tun t = tun_open_up(kind | IFF_MULTI_QUEUE);
	uint32_t packets = load_packets(1 << 28);
	struct stamps stamps = stamps_of(t.name, t.tap, FLOWS);
	/* A flow whose queue goes is another reader's, who may be faster. */
	struct book book = book_new(FLOWS, packets, true);
	struct host host = { .book = book_new(FLOWS, packets, true) };
	struct senders senders = { .stamps = &stamps, .packets = packets, .mtu = 1500 };
	struct readers readers = {
		.rings = rings,
		.queues = 1 + CHANGING,
		.back = true,
		.take = take_measured,
		.stamps = &stamps,
		.book = &book,
	};
	double end = now() + lab_seconds(4);
	unsigned int rounds = 0;
	uint64_t sent, refused, back = 0, drops;
	struct rtnl_link_stats64 s;

	snprintf(senders.name, sizeof(senders.name), "%s", t.name);
	rings[0] = ring_new(t.fd, ring_args(1 << 20));
	host_begin(&host);
	senders_begin(&senders);
	do {
		uint32_t mtu = mtus[rounds % ARRAY_SIZE(mtus)];

		if (t.tap && mtu > 65535 - ETH_HLEN)
			mtu = 65535 - ETH_HLEN;
		/* Not longer than it will be, nor than it was. */
		if (mtu < senders.mtu)
			__atomic_store_n(&senders.mtu, mtu, __ATOMIC_RELAXED);
		iface_set_mtu(t.name, mtu);
		__atomic_store_n(&senders.mtu, mtu, __ATOMIC_RELAXED);
		for (int i = 1; i <= CHANGING; i++) {
			struct tun q = tun_open(t.name, kind | IFF_MULTI_QUEUE);
			unsigned int n = rounds * CHANGING + i;

			rings[i] = ring_new(q.fd, any_rings(n));
			inject(q.fd, n / 2 % (MYTUN_INJECT_DIRECT + 1));
		}
		for (int n = 0; n < 10; n++) {
			for (int i = 0; i <= CHANGING; i++)
				read_ring(&readers, i, 100, &back);
			sleep_ms(1);
		}
		for (int i = 1; i <= CHANGING; i++)
			retire(&readers, i, &back);
		rounds++;
	} while (now() < end || rounds < ARRAY_SIZE(mtus));
	senders.stop = true;
	senders_end(&senders, &sent, &refused);
	readers.queues = 1;
	while (read_ring(&readers, 0, 1000, &back))
		;
	eventually(!untaken(&rings[0]));
	s = iface_stats(t.name);
	drops = host_end(&host, s.rx_packets);

	printf("# %s, %u rounds of %d queues: %llu sent, %llu received, %llu dropped; %llu sent "
	       "back, %llu received, %llu dropped, %llu by the socket\n",
	       t.tap ? "TAP" : "TUN", rounds, CHANGING, (long long)sent,
	       (long long)book_total(&book), (long long)s.tx_dropped, (long long)back,
	       (long long)book_total(&host.book), (long long)s.rx_dropped, (long long)drops);
	fflush(stdout);
	expect_eq(book_total(&book) + s.tx_dropped, sent);
	expect_eq(s.tx_packets, book_total(&book));
	/* The others waited on a queue that had no rings yet. */
	expect(s.tx_dropped >= refused);
	expect(book_total(&book) > rounds);
	expect(longest > 1 << 15);
	expect_eq(s.rx_packets + s.rx_dropped, back);
	expect_eq(book_total(&host.book) + drops, s.rx_packets);
	expect(book_total(&host.book) > rounds);
}

TEST_WITHIN(3600, tun_queues_and_sizes_change_under_load)
{
	queues_and_sizes_change(IFF_TUN);
}

TEST_WITHIN(3600, tap_queues_and_sizes_change_under_load)
{
	queues_and_sizes_change(IFF_TAP);
}
