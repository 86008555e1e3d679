// SPDX-License-Identifier: MIT
/*
 * Packets for some seconds through a ring whose ends sleep by event index, as fast as
 * they go: a wake-up or a doorbell that gets lost shows as two seconds of silence.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

enum {
	SECONDS = 4,
	BATCH = 16,
	SENDERS = 2,
	PACKETS = 1 << 18,
	ENOUGH = 1000, /* packets */
	ENOUGH_SLEEPS = 10,
	ENOUGH_DOORBELLS = 50
};

struct sender {
	pthread_t thread;
	uint32_t id;
	uint64_t sent;
	int udp;
};

struct numbered {
	uint32_t id;
	uint32_t number;
	uint8_t noise[];
};

static volatile bool stop;

static void *send_numbers(void *arg)
{
	static const size_t sizes[] = { 18, 1000, 64, 200 };
	struct sender *s = arg;
	uint8_t payloads[BATCH][1000];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];

	memset(msgs, 0, sizeof(msgs));
	while (!stop) {
		for (int i = 0; i < BATCH; i++) {
			struct numbered *n = (struct numbered *)payloads[i];
			size_t len = sizes[(s->sent + i) % ARRAY_SIZE(sizes)];

			n->id = s->id;
			n->number = s->sent + i;
			memset(n->noise, n->number, len - sizeof(*n));
			iov[i] = (struct iovec){ n, len };
			msgs[i].msg_hdr.msg_iov = &iov[i];
			msgs[i].msg_hdr.msg_iovlen = 1;
		}
		/* A full ring is no reason to stop, nor to lose count. */
		for (int i = 0; i < BATCH;) {
			int n = sendmmsg(s->udp, msgs + i, BATCH - i, 0);

			i += n > 0 ? n : 1;
		}
		s->sent += BATCH;
		/* Now and then let the other end run dry. */
		if (s->sent % (BATCH * 8) == 0)
			sleep_ms(1);
	}
	return NULL;
}

/* Each sender's packets come in order and whole. */
static void check_number(struct mytun_rec *rec, uint32_t next[SENDERS])
{
	struct numbered *n = (void *)((char *)rec_packet(rec) + UDP4);
	size_t noise = rec->len - UDP4 - sizeof(*n);

	if (n->id >= SENDERS || n->number < next[n->id])
		fail("number %u of sender %u came after %u", n->number, n->id, next[n->id] - 1);
	next[n->id] = n->number + 1;
	for (size_t i = 0; i < noise; i++)
		if (n->noise[i] != (uint8_t)n->number)
			fail("byte %zu of a packet changed", i);
}

static void receive_by_event(struct ring *r, uint64_t *got, uint64_t *slept)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	uint32_t next[SENDERS] = {};
	double end = now() + lab_seconds(SECONDS);
	struct mytun_rec *rec;

	while (!stop || ring_rx(r)) {
		for (; (rec = ring_rx(r)); ++*got) {
			check_number(rec, next);
			ring_rx_done(r);
		}
		/* A slow machine takes longer for what is worth a look. */
		stop = now() > end && *got > ENOUGH && *slept > ENOUGH_SLEEPS;
		__atomic_store_n(&r->rx_cons->event, r->rx, __ATOMIC_RELAXED);
		full_barrier();
		if (stop || ring_rx(r))
			continue;
		++*slept;
		if (must(poll(&p, 1, 2000)) == 0)
			fail("asleep at %u, there is %u: a wake-up was lost after %llu", r->rx,
			     r->rx_prod->pos, (unsigned long long)*got);
		if (p.revents != POLLIN)
			fail("poll says %x", p.revents);
	}
}

TEST_WITHIN(60, no_wake_up_of_a_receiver_is_lost)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct mytun_rings args = ring_args(1 << 15);
	struct sender s[SENDERS] = {};
	uint64_t got = 0, slept = 0, sent = 0;
	struct ring r;

	args.flags = MYTUN_RINGS_F_EVENT_IDX;
	r = ring_new(t.fd, args);
	for (int i = 0; i < SENDERS; i++) {
		s[i].id = i;
		s[i].udp = i ? s[0].udp : udp_here(AF_INET);
		pthread_create(&s[i].thread, NULL, send_numbers, &s[i]);
	}
	receive_by_event(&r, &got, &slept);
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(s[i].thread, NULL);
		sent += s[i].sent;
	}
	got += ring_rx_drain(&r);
	printf("# %llu packets sent, %llu received, %llu dropped, %llu sleeps, %lld wake-ups\n",
	       (unsigned long long)sent, (unsigned long long)got,
	       (unsigned long long)r.rx_prod->drops, (unsigned long long)slept,
	       iface_ethtool(t.name, "rx_q0_wakeups"));
	fflush(stdout);
	expect_eq(got + r.rx_prod->drops, sent);
	expect_eq(iface_stats(t.name).tx_packets, got);
	expect(got > ENOUGH && slept > ENOUGH_SLEEPS);
}

/* Until the kernel has seen all, and falls asleep. */
static void run_dry(struct ring *r)
{
	/* At once where there is a CPU for it. */
	for (int i = 0; i < 10000 && load_acquire(&r->tx_cons->pos) != r->tx; i++)
		continue;
	eventually(load_acquire(&r->tx_cons->pos) == r->tx);
}

/* By the rules of uapi/mytun.h: sleeps when there is no room, rings when it is asked. The first
 * half keeps the ring as full as it can, and with a thread until it has slept, which without one
 * it may never: all may be consumed in the doorbell's call. The second publishes each batch at
 * the moment, or some instructions after it, at which the kernel has none left and falls asleep.
 */
static void transmit_by_event(struct ring *r, const struct packet *p, bool threaded,
			      uint64_t *sent, uint64_t *slept, uint64_t *rang)
{
	struct pollfd pfd = { .fd = r->fd, .events = POLLOUT };
	uint32_t size = (sizeof(struct mytun_rec) + p->len + 15) & -16;
	double begun = now(), seconds = lab_seconds(SECONDS);
	uint64_t last = lab_rounds(PACKETS);
	uint32_t old;

	/* By count too: where the clock hardly goes on while somebody is busy, and where
	 * what is freed is kept until somebody waits for memory, which nobody does here.
	 */
	while ((now() < begun + seconds && *sent < last) || *sent <= ENOUGH ||
	       *rang <= ENOUGH_DOORBELLS || (threaded && *slept <= ENOUGH_SLEEPS)) {
		if ((now() > begun + seconds / 2 || *sent > last / 2) &&
		    (!threaded || *slept > ENOUGH_SLEEPS)) {
			run_dry(r);
			for (volatile unsigned int i = *rang % 64 * 4; i; i--)
				continue;
		}
		while (ring_tx_room(r) < BATCH * size) {
			/* Wake me when the kernel is where there is that much. */
			uint32_t want = r->tx + BATCH * size - r->g.tx_size;

			__atomic_store_n(&r->tx_prod->event, want - 1, __ATOMIC_RELAXED);
			full_barrier();
			if (ring_tx_room(r) >= BATCH * size)
				break;
			++*slept;
			if (must(poll(&pfd, 1, 2000)) == 0)
				fail("asleep at %u, the kernel is at %u: lost after %llu", r->tx,
				     r->tx_cons->pos, (unsigned long long)*sent);
			expect_eq(pfd.revents, POLLOUT);
		}
		old = r->tx;
		for (int i = 0; i < 1 + (int)(*sent / 7 % BATCH); i++)
			ring_tx_packet(r, p->bytes, p->len);
		*sent += (r->tx - old) / size;
		ring_tx_publish(r);
		full_barrier();
		if (mytun_need_event(load_acquire(&r->tx_cons->event), r->tx, old)) {
			++*rang;
			must(ring_doorbell(r));
		}
	}
}

static void no_doorbell_is_lost_with(bool threaded)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct mytun_rings args = ring_args(1 << 14);
	uint64_t sent = 0, slept = 0, rang = 0;
	struct packet p;
	struct ring r;

	args.flags = MYTUN_RINGS_F_EVENT_IDX;
	r = ring_new(t.fd, args);
	if (threaded) {
		sysfs_here();
		iface_knob(t.name, "threaded", "1");
	}
	/* To nobody: the stack throws it away after a look at the address. */
	packet_inbound(&p, &t, AF_INET, "0123456789", 10);
	memset(p.bytes + 16, 7, 4);
	packet_finish(&p, false);
	transmit_by_event(&r, &p, threaded, &sent, &slept, &rang);
	eventually(load_acquire(&r.tx_cons->pos) == r.tx);
	printf("# %llu packets, %llu doorbells, %llu sleeps, %lld wake-ups\n",
	       (unsigned long long)sent, (unsigned long long)rang, (unsigned long long)slept,
	       iface_ethtool(t.name, "tx_q0_wakeups"));
	fflush(stdout);
	expect_eq(iface_stats(t.name).rx_packets, sent);
	expect_eq(r.tx_cons->drops, 0);
	expect_eq(iface_ethtool(t.name, "tx_q0_doorbells"), rang);
	expect(sent > ENOUGH);
	expect(rang > ENOUGH_DOORBELLS);
	if (threaded)
		expect(slept > ENOUGH_SLEEPS);
}

TEST_WITHIN(60, no_doorbell_is_lost)
{
	no_doorbell_is_lost_with(false);
}

TEST_WITHIN(60, no_doorbell_is_lost_with_a_kernel_thread)
{
	no_doorbell_is_lost_with(true);
}
