// SPDX-License-Identifier: MIT
/* An RX ring without room: what does not fit is dropped and counted, nothing else. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

static void send_number(int udp, uint32_t n, size_t len)
{
	uint8_t payload[2000];

	fill(payload, len, n);
	memcpy(payload, &n, sizeof(n));
	udp_send(udp, payload, len);
}

/* The number of the next record, whose payload must be as it was sent. */
static uint32_t take_number(struct ring *r)
{
	struct mytun_rec *rec = ring_rx_wait(r);
	size_t len = rec->len - UDP4;
	uint8_t want[2000];
	uint32_t n;

	memcpy(&n, (char *)rec_packet(rec) + UDP4, sizeof(n));
	fill(want, len, n);
	memcpy(want, &n, sizeof(n));
	expect(!memcmp((char *)rec_packet(rec) + UDP4, want, len));
	ring_rx_done(r);
	return n;
}

TEST(a_full_ring_drops_the_newest_and_counts_them)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);
	/* 32 + 28 + 100 is 160: 25 fit. */
	const unsigned int fit = 4096 / 160;

	for (unsigned int i = 0; i < fit; i++)
		send_number(udp, i, 100);
	expect_eq(r.rx_prod->drops, 0);
	for (unsigned int i = 0; i < 7; i++)
		send_number(udp, 1000 + i, 100);
	expect_eq(r.rx_prod->drops, 7);
	expect_eq(iface_stats(t.name).tx_dropped, 7);
	expect_eq(iface_stats(t.name).tx_packets, fit);
	expect_eq(iface_ethtool(t.name, "rx_q0_drops"), 7);
	for (unsigned int i = 0; i < fit; i++)
		expect_eq(take_number(&r), i);
	expect(!ring_rx(&r));

	/* And it is as good as new. */
	for (unsigned int i = 0; i < fit; i++)
		send_number(udp, i, 100);
	for (unsigned int i = 0; i < fit; i++)
		expect_eq(take_number(&r), i);
	expect_eq(r.rx_prod->drops, 7);
}

TEST(a_smaller_packet_may_still_fit)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);

	send_number(udp, 0, 1400);
	send_number(udp, 1, 1400);
	send_number(udp, 2, 1400); /* 2 * 1472 of 4096 */
	send_number(udp, 3, 1000);
	expect_eq(r.rx_prod->drops, 1);
	expect_eq(take_number(&r), 0);
	expect_eq(take_number(&r), 1);
	expect_eq(take_number(&r), 3);
	expect(!ring_rx(&r));
}

TEST(room_that_is_given_back_while_full_is_used_at_once)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);
	unsigned int fit = 4096 / 160;
	uint32_t next = 0;

	for (uint32_t i = 0; i < fit; i++)
		send_number(udp, i, 100);
	for (uint32_t i = fit; i < 300; i++) {
		expect_eq(take_number(&r), next++);
		send_number(udp, i, 100);
	}
	expect_eq(r.rx_prod->drops, 0);
	while (ring_rx(&r))
		expect_eq(take_number(&r), next++);
	expect_eq(next, 300);
}

TEST(a_packet_larger_than_the_ring_is_dropped_and_counted)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	uint8_t payload[9000] = {};
	int udp;

	iface_set_mtu(t.name, 9000);
	iface_up(t.name);
	udp = udp_here(AF_INET);
	udp_send(udp, payload, 4096 - 32 - UDP4 + 1);
	udp_send(udp, payload, 8000);
	expect_eq(r.rx_prod->drops, 2);
	expect(!ring_rx(&r));
	udp_send(udp, payload, 4096 - 32 - UDP4);
	expect_eq(ring_rx_wait(&r)->size, 4096);
	udp_send(udp, payload, 1);
	expect_eq(r.rx_prod->drops, 3);
	ring_rx_done(&r);
	udp_send(udp, payload, 1);
	expect_eq(ring_rx_wait(&r)->len, UDP4 + 1);
	expect_eq(iface_stats(t.name).tx_dropped, 3);
}

TEST(room_counts_when_a_ring_fills)
{
	struct mytun_rings args = {
		.rx_size = 1 << 12,
		.tx_size = 1 << 12,
		.rx_headroom = MYTUN_ROOM_MAX,
	};
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, args);
	int udp = udp_here(AF_INET);

	udp_send(udp, "never", 5);
	expect_eq(r.rx_prod->drops, 1);
	expect(!ring_rx(&r));
}

TEST(drops_of_a_queue_that_left_stay_in_the_interfaces_totals)
{
	struct tun a = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_new(a.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);
	struct rtnl_link_stats64 s;
	struct tun b;

	for (uint32_t i = 0; i < 30; i++)
		send_number(udp, i, 100);
	b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	ring_unmap(&r);
	tun_close(&a);
	s = iface_stats(b.name);
	expect_eq(s.tx_packets, 25);
	expect_eq(s.tx_dropped, 5);
}
