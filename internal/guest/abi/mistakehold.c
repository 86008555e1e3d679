// SPDX-License-Identifier: MIT
/*
 * Mistakes that others have paid for: NETDEV_TX_BUSY for a packet that is the core's no more,
 * because it was orphaned or trimmed before; and senders that nobody wakes.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

enum {
	SENT = 60,
	LEN = 100
};

static void set_flags(int fd, uint32_t flags)
{
	struct mytun_mode mode = { .flags = flags };

	must(ioctl(fd, MYTUN_IOC_SET_MODE, &mode));
}

/* Up, with a queueing discipline and little room; with rings or for read(2). */
static struct tun held(int tun_flags, bool rings, struct ring *r)
{
	struct tun t = tun_open("", tun_flags);

	set_flags(t.fd, MYTUN_MODE_F_BACKPRESSURE);
	if (rings)
		*r = ring_new(t.fd, ring_args(1 << 12));
	else
		must(iface_set_txqueuelen(t.name, 4));
	iface_up(t.name);
	return t;
}

static void send_numbers(int udp, uint32_t from, uint32_t n)
{
	uint8_t payload[LEN];

	for (uint32_t i = from; i < from + n; i++) {
		fill(payload, sizeof(payload), i);
		udp_send(udp, payload, sizeof(payload));
	}
}

static void take(struct ring *r, uint32_t n, size_t before, size_t len)
{
	struct mytun_rec *rec;
	uint8_t want[LEN];
	uint32_t old = r->rx;

	eventually(ring_rx(r));
	rec = ring_rx(r);
	fill(want, sizeof(want), n);
	expect_eq(rec->len, before + UDP4 + len);
	if (memcmp((char *)rec_packet(rec) + before + UDP4, want, len))
		fail("packet %u is another, or changed", n);
	ring_rx_done(r);
	full_barrier();
	if (mytun_need_event(load_acquire(&r->rx_prod->event), r->rx, old))
		must(ioctl(r->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX));
}

/* Wakes the senders for nothing until there is no room left, and then some: a queue is stopped in
 * good time, and nothing is refused unless it is woken.
 */
static void refuse(const struct ring *r)
{
	for (int i = 0; i < 20; i++) {
		must(ioctl(r->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX));
		sleep_ms(1);
	}
}

/* The sender's own all the while: its buffer holds what waits, and is free afterwards. */
TEST(busy_after_orphan)
{
	struct ring r;
	struct tun t = held(IFF_TUN, true, &r);
	int udp = udp_here(AF_INET), without, each, before, after;

	send_numbers(udp, 0, SENT - 1);
	must(ioctl(udp, SIOCOUTQ, &without));
	send_numbers(udp, SENT - 1, 1);
	must(ioctl(udp, SIOCOUTQ, &each));
	each -= without;
	refuse(&r);
	expect(iface_backlog(t.name) > SENT / 2);
	must(ioctl(udp, SIOCOUTQ, &before));
	expect(each > LEN);
	expect_eq(before, iface_backlog(t.name) * each);
	for (uint32_t i = 0; i < SENT; i++)
		take(&r, i, 0, LEN);
	must(ioctl(udp, SIOCOUTQ, &after));
	expect_eq(after, 0);
	expect_eq(iface_stats(t.name).tx_dropped, 0);
}

/* A filter trims each once, however often it was refused: what waits is whole, and is looked at
 * when its turn has come.
 */
TEST(busy_after_trim)
{
	struct ring r;
	struct tun t = held(IFF_TAP, true, &r);
	int udp = udp_here(AF_INET);
	unsigned int trimmed = 0, whole = 0, there = 0;

	must(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(ETH + UDP4 + 40)));
	send_numbers(udp, 0, SENT);
	refuse(&r);
	expect(iface_backlog(t.name) > 0);
	expect_eq(ring_rx(&r)->len, ETH + UDP4 + 40);
	for (uint32_t at = r.rx; at != load_acquire(&r.rx_prod->pos); there++)
		at += ((struct mytun_rec *)(r.rx_data + at % r.g.rx_size))->size;
	must(ioctl(t.fd, TUNDETACHFILTER, 0));
	for (uint32_t i = 0; i < SENT; i++) {
		eventually(ring_rx(&r));
		*(ring_rx(&r)->len == ETH + UDP4 + 40 ? &trimmed : &whole) += 1;
		take(&r, i, ETH, whole ? LEN : 40);
	}
	/* Not the one, either, that was refused and is the next. */
	expect_eq(trimmed, there);
	expect(whole > SENT / 4);
	expect_eq(iface_stats(t.name).tx_dropped, 0);
}

/* A file goes while senders wait for it, and another comes. */
TEST(no_wake_on_attach)
{
	struct ring r;
	struct tun t = held(IFF_TUN, true, &r), u;
	int udp = udp_here(AF_INET);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	send_numbers(udp, 0, SENT);
	expect(iface_backlog(t.name) > 0);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	u = tun_open(t.name, IFF_TUN);
	r = ring_new(u.fd, ring_args(1 << 16));
	eventually(iface_backlog(u.name) == 0);
	ring_rx_drain(&r);
	send_numbers(udp, 1000, 1);
	take(&r, 1000, 0, LEN);
	must(ioctl(u.fd, TUNSETPERSIST, 0));
}

TEST(no_wake_on_resize)
{
	struct tun t = held(IFF_TUN, false, NULL);
	int udp = udp_here(AF_INET);

	send_numbers(udp, 0, SENT);
	expect(iface_backlog(t.name) > 0);
	must(iface_set_txqueuelen(t.name, 4 * SENT));
	send_numbers(udp, SENT, 10); /* who sends is not refused for what was */
	eventually(iface_backlog(t.name) == 0);
}

TEST(no_wake_on_flag_change)
{
	struct ring r;
	struct tun t = held(IFF_TUN, true, &r);
	int udp = udp_here(AF_INET);

	send_numbers(udp, 0, SENT);
	expect(iface_backlog(t.name) > 0);
	set_flags(t.fd, 0);
	eventually(iface_backlog(t.name) == 0);
	/* What had no room was dropped, and counted; the others are as they were. */
	expect(r.rx_prod->drops > 0);
	for (uint32_t i = 0; ring_rx(&r); i++)
		take(&r, i, 0, LEN);
}
