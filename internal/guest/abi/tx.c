// SPDX-License-Identifier: MIT
/* Records in the TX ring become packets of the stack. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

static void datagrams_of_all_sizes(int flags, int family)
{
	const size_t sizes[] = { 0, 1, 2, 3, 15, 16, 17, 18, 100, 512, 1000, 1400, 1472, 2000,
				 3000, 3500, 3800, 4000, 4068, 4096, 4200, 8000, 9000, 16384,
				 32768, 65000, family == AF_INET ? 65535 - UDP4 : 65535 - 8 };
	struct tun t = tun_open_up(flags);
	struct ring r = ring_new(t.fd, ring_args(1 << 17));
	static uint8_t payload[65536];
	static struct packet p;
	uint64_t bytes = 0;
	int udp = udp_here(family);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(payload, sizes[i], i);
		packet_inbound(&p, &t, family, payload, sizes[i]);
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_flush(&r);
		udp_expect(udp, payload, sizes[i]);
		bytes += p.len;
	}
	expect_eq(r.tx_cons->drops, 0);
	expect_eq(iface_stats(t.name).rx_packets, ARRAY_SIZE(sizes));
	expect_eq(iface_stats(t.name).rx_bytes, bytes);
	expect_eq(iface_ethtool(t.name, "tx_q0_packets"), ARRAY_SIZE(sizes));
	expect_eq(iface_ethtool(t.name, "tx_q0_bytes"), bytes);
	expect_eq(iface_ethtool(t.name, "tx_q0_doorbells"), ARRAY_SIZE(sizes));
}

TEST(ipv4_datagrams_of_all_sizes_arrive_from_a_tun_program)
{
	datagrams_of_all_sizes(IFF_TUN, AF_INET);
}

TEST(ipv6_datagrams_of_all_sizes_arrive_from_a_tun_program)
{
	datagrams_of_all_sizes(IFF_TUN, AF_INET6);
}

TEST(ipv4_datagrams_of_all_sizes_arrive_from_a_tap_program)
{
	datagrams_of_all_sizes(IFF_TAP, AF_INET);
}

TEST(ipv6_datagrams_of_all_sizes_arrive_from_a_tap_program)
{
	datagrams_of_all_sizes(IFF_TAP, AF_INET6);
}

/* What a capture sees is what was sent, also of what no protocol takes. */
TEST(every_byte_of_a_packet_goes_up)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int raw = raw_socket(t.name);
	uint8_t bytes[1500], seen[1500];
	struct mytun_rec *rec;

	for (size_t len = 1; len <= sizeof(bytes); len += len < 70 ? 1 : 71) {
		struct pollfd p = { .fd = raw, .events = POLLIN };

		fill(bytes, len, len);
		rec = ring_tx_packet(&r, bytes, len);
		rec->proto = htons(0x88b5);
		ring_tx_flush(&r);
		expect_eq(must(poll(&p, 1, 5000)), 1);
		expect_eq(must(recv(raw, seen, sizeof(seen), 0)), len);
		expect(!memcmp(seen, bytes, len));
	}
	expect_eq(r.tx_cons->drops, 0);
}

static void send_batch(struct ring *r, const struct tun *t, int udp, unsigned int n)
{
	struct packet p;
	char text[32];

	for (unsigned int i = 0; i < n; i++) {
		packet_inbound(&p, t, AF_INET, text, sprintf(text, "number %u", i));
		ring_tx_packet(r, p.bytes, p.len);
	}
	ring_tx_flush(r);
	for (unsigned int i = 0; i < n; i++)
		udp_expect(udp, text, sprintf(text, "number %u", i));
	udp_expect_none(udp);
}

TEST(one_doorbell_sends_a_batch_in_order)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);

	send_batch(&r, &t, udp, 1);
	send_batch(&r, &t, udp, 2);
	send_batch(&r, &t, udp, 63);
	send_batch(&r, &t, udp, 64); /* NAPI's budget */
	send_batch(&r, &t, udp, 65);
	send_batch(&r, &t, udp, 600);
	expect_eq(iface_ethtool(t.name, "tx_q0_doorbells"), 6);
}

/* Pages that the kernel has handed out since it began. */
static unsigned long pages_handed_out(void)
{
	unsigned long n, sum = 0;

	for (const char *at = read_file("/proc/vmstat"); (at = strstr(at, "pgalloc_")); at++) {
		if (sscanf(at, "pgalloc_%*s %lu", &n) == 1)
			sum += n;
	}
	return sum;
}

/* The heads of packets that wait in a socket for long are in pages that the queue uses again. */
TEST(bursts_that_wait_need_no_new_pages)
{
	const int packets = 120, rounds = 50;
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	int udp = udp_here(AF_INET), size = 1 << 20;
	static uint8_t payload[1400];
	unsigned long before = 0;
	struct packet p;

	must(setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)));
	packet_inbound(&p, &t, AF_INET, payload, sizeof(payload));
	for (int round = -5; round < rounds; round++) {
		if (!round)
			before = pages_handed_out();
		for (int i = 0; i < packets; i++)
			ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_flush(&r);
		for (int i = 0; i < packets; i++)
			udp_expect(udp, payload, sizeof(payload));
	}
	/* Four pages of 32 KiB kept, and no more, would be too few by three in each round. */
	expect(pages_handed_out() - before < rounds * 16ul);
}

TEST(a_ring_can_be_filled_to_the_last_byte)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);
	struct packet p;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 32; i++) { /* records of 128 */
			packet_inbound(&p, &t, AF_INET, &i, 96 - UDP4);
			ring_tx_packet(&r, p.bytes, p.len);
		}
		expect_eq(ring_tx_room(&r), 0);
		ring_tx_flush(&r);
		for (int i = 0; i < 32; i++) {
			int got[24];

			must(recv(udp, got, sizeof(got), 0));
			expect_eq(got[0], i);
		}
	}
}

TEST(records_wrap_at_the_end_of_the_data_area)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET), across = 0;
	uint8_t payload[1400];
	struct packet p;

	for (unsigned int i = 0; i < 500; i++) {
		size_t len = 16 + i * 37 % 1300;

		fill(payload, len, i);
		packet_inbound(&p, &t, AF_INET, payload, len);
		across += (r.tx & (r.g.tx_size - 1)) + p.len + 32 > r.g.tx_size;
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_flush(&r);
		udp_expect(udp, payload, len);
	}
	expect(across > 20);
	expect_eq(r.tx_cons->drops, 0);
}

TEST(a_packet_may_lie_anywhere_in_its_record)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "here", 4);
	for (uint16_t off = 32; off < 300; off += 7) {
		rec = ring_tx(&r, off - 32 + p.len + off % 5);
		memset(rec + 1, 0xee, rec->size - sizeof(*rec));
		rec->off = off;
		rec->len = p.len;
		memcpy(rec_packet(rec), p.bytes, p.len);
		ring_tx_flush(&r);
		udp_expect(udp, "here", 4);
	}
	expect_eq(r.tx_cons->drops, 0);
}

TEST(fields_that_are_ignored_may_say_anything)
{
	struct tun t = tun_open_up(IFF_TAP);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "here", 4);
	rec = ring_tx_packet(&r, p.bytes, p.len);
	rec->hash = ~0u;
	rec->proto = 0xffff; /* TAP: the Ethernet header says it */
	rec->reserved = rec->reserved2 = 0xffff;
	ring_tx_flush(&r);
	udp_expect(udp, "here", 4);
	expect_eq(r.tx_cons->drops, 0);
}

TEST(a_tun_records_protocol_is_used_when_it_is_set)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "right", 5);
	rec = ring_tx_packet(&r, p.bytes, p.len);
	rec->proto = htons(ETHERTYPE_IP);
	packet_inbound(&p, &t, AF_INET, "wrong", 5);
	rec = ring_tx_packet(&r, p.bytes, p.len);
	rec->proto = htons(ETHERTYPE_IPV6); /* taken at its word, thrown away by IPv6 */
	ring_tx_flush(&r);
	udp_expect(udp, "right", 5);
	udp_expect_none(udp);
	expect_eq(r.tx_cons->drops, 0);
}

TEST(skipped_records_carry_nothing_and_count_nothing)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;
	struct packet p;

	for (int i = 0; i < 3; i++) {
		packet_inbound(&p, &t, AF_INET, "skip", 4);
		rec = ring_tx_packet(&r, p.bytes, p.len);
		rec->flags = MYTUN_REC_F_SKIP;
		rec = ring_tx(&r, 5000); /* what else stands there does not matter */
		rec->flags = MYTUN_REC_F_SKIP;
		rec->len = ~0u;
		rec->off = 0;
		rec->gso_type = 0x7f;
		packet_inbound(&p, &t, AF_INET, &i, sizeof(i));
		ring_tx_packet(&r, p.bytes, p.len);
	}
	ring_tx_flush(&r);
	for (int i = 0; i < 3; i++)
		udp_expect(udp, &i, sizeof(i));
	udp_expect_none(udp);
	expect_eq(r.tx_cons->drops, 0);
	expect_eq(iface_stats(t.name).rx_packets, 3);
	expect_eq(iface_stats(t.name).rx_dropped, 0);
}

TEST(an_unfinished_checksum_is_finished_on_the_way)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "sum", 3);
	p.bytes[26] ^= 0x55; /* of no use, and not looked at */
	rec = ring_tx_packet(&r, p.bytes, p.len);
	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->csum_start = 20;
	rec->csum_offset = 6;
	ring_tx_packet(&r, p.bytes, p.len); /* without the flag it is looked at */
	ring_tx_flush(&r);
	udp_expect(udp, "sum", 3);
	udp_expect_none(udp);
}

TEST(an_interface_that_is_down_takes_and_drops)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "down", 4);
	iface_down(t.name);
	for (int i = 0; i < 5; i++)
		ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_publish(&r);
	expect_errno(ring_doorbell(&r), ENETDOWN);
	eventually(load_acquire(&r.tx_cons->pos) == r.tx);
	eventually(r.tx_cons->drops == 5);
	expect_eq(iface_stats(t.name).rx_dropped, 5);
	expect_eq(iface_ethtool(t.name, "tx_q0_drops"), 5);
	expect_eq(r.tx_cons->flags, 0);

	iface_up(t.name);
	udp_expect_none(udp);
	packet_inbound(&p, &t, AF_INET, "up", 2);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "up", 2);
}

TEST(a_thread_of_the_kernel_can_serve_the_ring)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	char path[64];

	sysfs_here();
	snprintf(path, sizeof(path), "/sys/class/net/%s/threaded", t.name);
	if (access(path, F_OK))
		skip("this kernel has no threads for NAPI");
	must(write_file(path, "1"));
	send_batch(&r, &t, udp, 100);
	must(write_file(path, "0"));
	send_batch(&r, &t, udp, 100);
	must(write_file(path, "1"));
	tun_close(&t);
}
