// SPDX-License-Identifier: MIT
/*
 * A program that breaks the protocol of a ring loses that queue's rings, and knows it;
 * other queues of the interface and other interfaces go on without loss.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

/* One host with its own network namespace: queue 0 will lie, queue 1 is honest. */
struct scene {
	struct tun t, honest_t, other_t;
	struct ring liar, honest, other;
	int udp, other_udp;
};

static struct scene scene_new(void)
{
	struct scene s;

	s.other_t = tun_open_up(IFF_TUN);
	s.other = ring_small(s.other_t.fd);
	s.other_udp = udp_here(AF_INET);
	netns_new();
	s.t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	s.honest_t = tun_open(s.t.name, IFF_TUN | IFF_MULTI_QUEUE);
	s.liar = ring_new(s.t.fd, ring_args(1 << 12));
	s.honest = ring_small(s.honest_t.fd);
	s.udp = udp_here(AF_INET);
	return s;
}

/* A packet up, and its answer down by the same queue. */
static void exchange(struct ring *r, const struct tun *t, int udp, unsigned int n)
{
	struct packet p;

	packet_inbound(&p, t, AF_INET, &n, sizeof(n));
	ring_tx_packet(r, p.bytes, p.len);
	ring_tx_flush(r);
	udp_expect(udp, &n, sizeof(n));
	udp_send(udp, &n, sizeof(n));
	expect_eq(ring_rx_wait(r)->len, UDP4 + sizeof(n));
	ring_rx_done(r);
}

static void expect_faulted(const struct ring *r, const char *name, uint32_t flags)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN | POLLOUT };
	char stat[32] = "q0_faulted";

	eventually(load_acquire(&r->rx_prod->flags) == flags);
	eventually(load_acquire(&r->tx_cons->flags) == flags);
	expect_errno(ring_doorbell(r), EIO);
	expect_eq(must(poll(&p, 1, 0)), 1);
	expect_eq(p.revents, POLLIN | POLLHUP);
	expect_eq(iface_ethtool(name, stat), 1);
	expect_eq(iface_ethtool(name, "q1_faulted"), 0);
}

static void expect_others_unharmed(struct scene *s)
{
	for (unsigned int i = 0; i < 200; i++) {
		exchange(&s->honest, &s->honest_t, s->udp, i);
		exchange(&s->other, &s->other_t, s->other_udp, i);
	}
	expect_eq(s->honest.rx_prod->drops + s->honest.tx_cons->drops, 0);
	expect_eq(s->other.rx_prod->drops + s->other.tx_cons->drops, 0);
	expect_eq(s->honest.rx_prod->flags | s->other.rx_prod->flags, 0);
}

static void tx_lie(void (*lie)(struct ring *r, const struct packet *p))
{
	struct scene s = scene_new();
	struct packet p;

	for (unsigned int i = 0; i < 10; i++) {
		exchange(&s.liar, &s.t, s.udp, i);
		exchange(&s.honest, &s.honest_t, s.udp, i);
	}
	expect_eq(iface_ethtool(s.t.name, "q0_faulted"), 0);

	packet_inbound(&p, &s.t, AF_INET, "lie", 3);
	lie(&s.liar, &p);
	ring_expect_fault(&s.liar);
	expect_faulted(&s.liar, s.t.name, MYTUN_END_F_FAULT);
	expect_others_unharmed(&s);
	udp_expect_none(s.udp);

	/* It stays as it is, and can be left. */
	store_release(&s.liar.tx_prod->pos, load_acquire(&s.liar.tx_cons->pos));
	expect_errno(ring_doorbell(&s.liar), EIO);
	must(ioctl(s.t.fd, MYTUN_IOC_DETACH, 0));
	expect_eq(s.liar.rx_prod->flags, MYTUN_END_F_FAULT | MYTUN_END_F_DETACHED);
	expect_errno(ring_doorbell(&s.liar), EBADFD);
	expect_eq(iface_ethtool(s.honest_t.name, "q0_faulted"), 0);
	exchange(&s.honest, &s.honest_t, s.udp, 1);
}

#define TX_LIE(name, ...)                                              \
	static void lie_##name(struct ring *r, const struct packet *p) \
	{                                                              \
		__VA_ARGS__;                                           \
	}                                                              \
	TEST(tx_##name)                                                \
	{                                                              \
		tx_lie(lie_##name);                                    \
	}

/* A record whose size is another than it takes. */
static void record_of_size(struct ring *r, const struct packet *p, uint32_t size)
{
	ring_tx_packet(r, p->bytes, p->len)->size = size;
	ring_tx_publish(r);
}

/* A good record, and a position other than its end. */
static void position(struct ring *r, const struct packet *p, int32_t off)
{
	ring_tx_packet(r, p->bytes, p->len);
	store_release(&r->tx_prod->pos, r->tx + off);
}

TX_LIE(record_of_size_0, record_of_size(r, p, 0))
TX_LIE(record_smaller_than_its_header, record_of_size(r, p, 16))
TX_LIE(record_of_unaligned_size, record_of_size(r, p, 56))
TX_LIE(record_beyond_the_published_position, record_of_size(r, p, 80))
TX_LIE(record_far_beyond_the_published_position, record_of_size(r, p, 0xfffffff0))
TX_LIE(record_marked_busy, record_of_size(r, p, 64 | MYTUN_REC_BUSY))
TX_LIE(position_within_a_record, position(r, p, -16))
TX_LIE(position_within_a_header, position(r, p, -48))
TX_LIE(position_backwards, position(r, p, -80))
TX_LIE(position_unaligned, position(r, p, 8))
TX_LIE(position_odd, position(r, p, 1))
TX_LIE(position_more_than_the_size_ahead, position(r, p, 4096))
TX_LIE(position_half_the_range_ahead, position(r, p, 1 << 30))

TEST(tx_good_records_before_a_broken_one_arrive)
{
	struct scene s = scene_new();
	struct packet p;

	for (int i = 0; i < 5; i++) {
		packet_inbound(&p, &s.t, AF_INET, &i, sizeof(i));
		ring_tx_packet(&s.liar, p.bytes, p.len);
	}
	record_of_size(&s.liar, &p, 0);
	ring_doorbell(&s.liar);
	for (int i = 0; i < 5; i++)
		udp_expect(s.udp, &i, sizeof(i));
	expect_faulted(&s.liar, s.t.name, MYTUN_END_F_FAULT);
	expect_eq(load_acquire(&s.liar.tx_cons->pos), 5 * 64);
	udp_expect_none(s.udp);
}

static void rx_lie(void (*lie)(struct ring *r))
{
	struct scene s = scene_new();
	uint64_t drops;

	for (unsigned int i = 0; i < 10; i++) {
		exchange(&s.honest, &s.honest_t, s.udp, i);
		exchange(&s.liar, &s.t, s.udp, i); /* the flow is the liar's now */
	}
	/* The kernel looks when its ring seems full. */
	for (unsigned int i = 0; i < 4096 / 64; i++)
		udp_send(s.udp, &i, sizeof(i));
	expect_eq(s.liar.rx_prod->drops, 0);
	lie(&s.liar);
	udp_send(s.udp, "more", 4);
	expect_faulted(&s.liar, s.t.name, MYTUN_END_F_FAULT);

	/* What comes now is counted. */
	drops = s.liar.rx_prod->drops;
	expect(drops <= 1);
	for (int i = 0; i < 7; i++)
		udp_send(s.udp, "more", 4);
	expect_eq(s.liar.rx_prod->drops, drops + 7);
	expect_eq(iface_stats(s.t.name).tx_dropped, drops + 7);
	expect_others_unharmed(&s);
	ring_unmap(&s.liar);
	tun_close(&s.t);
	exchange(&s.honest, &s.honest_t, s.udp, 1);
}

#define RX_LIE(name, ...)                         \
	static void rx_lie_##name(struct ring *r) \
	{                                         \
		__VA_ARGS__;                      \
	}                                         \
	TEST(rx_##name)                           \
	{                                         \
		rx_lie(rx_lie_##name);            \
	}

RX_LIE(position_beyond_the_producer, store_release(&r->rx_cons->pos, r->rx_prod->pos + 16))
RX_LIE(position_far_beyond_the_producer, store_release(&r->rx_cons->pos, r->rx + (1u << 31)))
RX_LIE(position_unaligned, store_release(&r->rx_cons->pos, r->rx + 8))
RX_LIE(position_odd, store_release(&r->rx_cons->pos, r->rx + 1))
RX_LIE(position_backwards, store_release(&r->rx_cons->pos, -16u))

TEST(rx_a_position_that_goes_back_after_the_kernel_saw_it)
{
	struct scene s = scene_new();

	exchange(&s.liar, &s.t, s.udp, 1);
	for (int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 4096 / 64 + 1; i++)
			udp_send(s.udp, &i, sizeof(i));
		ring_rx_drain(&s.liar);
	}
	expect_eq(s.liar.rx_prod->flags, 0);
	store_release(&s.liar.rx_cons->pos, 0);
	for (unsigned int i = 0; i < 4096 / 64 + 1; i++)
		udp_send(s.udp, &i, sizeof(i));
	expect_faulted(&s.liar, s.t.name, MYTUN_END_F_FAULT);
}

TEST(rx_records_that_the_program_scribbled_over_harm_nobody)
{
	struct scene s = scene_new();

	exchange(&s.liar, &s.t, s.udp, 1);
	for (unsigned int i = 0; i < 1000; i++) {
		uint32_t n = i;

		memset(s.liar.rx_data, i, s.liar.g.rx_size);
		memset(s.liar.rx_prod, i, 4096);
		memset(s.liar.tx_cons, i, 4096);
		udp_send(s.udp, &n, sizeof(n));
	}
	/* What the kernel published was its own to write, and is written again. */
	udp_send(s.udp, "last", 4);
	expect_eq(iface_ethtool(s.t.name, "q0_faulted"), 0);
	expect_eq(iface_ethtool(s.t.name, "rx_q0_packets") +
			  iface_ethtool(s.t.name, "rx_q0_drops"),
		  1002);
	expect_others_unharmed(&s);
}

static void lie_while_parent_polls(void *arg)
{
	struct ring *r = arg;

	wait_asleep(getppid());
	store_release(&r->tx_prod->pos, 8);
	ring_doorbell(r);
}

static void fault_wakes(uint32_t flags, short events)
{
	struct mytun_rings args = ring_args(1 << 12);
	struct tun t = tun_open_up(IFF_TUN);
	struct pollfd p = { .fd = t.fd, .events = events };
	struct ring r;
	pid_t child;

	args.flags = flags;
	r = ring_new(t.fd, args);
	child = spawn(lie_while_parent_polls, &r);
	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect_eq(p.revents, (events & POLLIN) | POLLHUP);
	spawn_wait(child);
}

TEST(a_fault_wakes_poll)
{
	fault_wakes(0, POLLIN);
	netns_new();
	fault_wakes(MYTUN_RINGS_F_EVENT_IDX, POLLIN);
	netns_new();
	fault_wakes(0, 0);
}
