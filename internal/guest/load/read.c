// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "read.h"

#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

enum {
	BATCH = 256
};

uint32_t take_stamped(struct readers *all, int queue, const void *frame, uint32_t len)
{
	uint32_t number = stamp_check(all->stamps, frame, len, false);

	(void)queue;
	book_enter(all->book, number);
	return number;
}

/* The packet's answer into the TX ring, when there is room; the doorbell comes later. false: it
 * is longer than the ring.
 */
static bool send_back(struct readers *all, struct ring *r, uint32_t number, uint32_t len)
{
	uint32_t need = (sizeof(struct mytun_rec) + len + MYTUN_REC_ALIGN - 1) & -MYTUN_REC_ALIGN;
	static __thread uint8_t frame[ETH_HLEN + STAMP_MAX];

	if (need > r->g.tx_size)
		return false;
	stamp_build(all->stamps, frame, number, len - stamp_eth(all->stamps), true);
	while (ring_tx_room(r) < need) {
		ring_tx_publish(r);
		must(ring_doorbell(r));
		sched_yield(); /* to a thread that takes them up */
	}
	ring_tx_packet(r, frame, len);
	return true;
}

/* With backpressure the kernel says at which position it waits for room. */
static void tell_senders(const struct ring *r, uint32_t old)
{
	full_barrier();
	if (mytun_need_event(__atomic_load_n(&r->rx_prod->event, __ATOMIC_RELAXED), r->rx, old))
		ioctl(r->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX);
}

unsigned int read_ring(struct readers *all, int queue, unsigned int most, uint64_t *sent)
{
	struct ring *r = &all->rings[queue];
	uint32_t old = r->rx;
	struct mytun_rec *rec;
	unsigned int n = 0;

	for (; n < most && (rec = ring_rx(r)); n++) {
		uint32_t number = all->take(all, queue, rec_packet(rec), rec->len);

		if (all->back)
			*sent += send_back(all, r, number, rec->len);
		ring_rx_done(r);
	}
	if (!n)
		return 0;
	tell_senders(r, old);
	if (all->back) {
		ring_tx_publish(r);
		must(ring_doorbell(r));
	}
	return n;
}

/* Until there is something in one of this thread's rings, or for a moment. */
static void wait_for_packets(const struct reader *me)
{
	struct pollfd p[MYTUN_QUEUES_MAX];
	int n = 0;

	if (me->all->nap) {
		usleep(me->all->nap);
		return;
	}
	for (int i = me->first; i < me->all->queues; i += READERS)
		p[n++] = (struct pollfd){ .fd = me->all->rings[i].fd, .events = POLLIN };
	poll(p, n, 20);
}

bool readers_lost_some(const struct readers *all)
{
	for (int i = 0; i < all->queues; i++)
		if (__atomic_load_n(&all->rings[i].rx_prod->drops, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void *read_all(void *arg)
{
	struct reader *me = arg;
	struct readers *all = me->all;

	while (all->until && !all->until(all) && !__atomic_load_n(&all->stop, __ATOMIC_ACQUIRE))
		usleep(1000);
	for (;;) {
		/* Before the look at the rings: all is there by then. */
		bool stop = __atomic_load_n(&all->stop, __ATOMIC_ACQUIRE);
		unsigned int n = 0;

		for (int i = me->first; i < all->queues; i += READERS)
			n += read_ring(all, i, BATCH, &me->sent);
		if (n && all->sleep && !stop)
			usleep(all->sleep);
		if (!n && stop)
			return NULL;
		if (!n)
			wait_for_packets(me);
	}
}

void readers_begin(struct readers *r)
{
	for (int i = 0; i < READERS; i++) {
		r->of[i] = (struct reader){ .all = r, .first = i };
		must(-pthread_create(&r->of[i].thread, NULL, read_all, &r->of[i]));
	}
}

uint64_t readers_end(struct readers *r)
{
	uint64_t sent = 0;

	__atomic_store_n(&r->stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < READERS; i++) {
		pthread_join(r->of[i].thread, NULL);
		sent += r->of[i].sent;
	}
	return sent;
}
