// SPDX-License-Identifier: MIT
/*
 * Super-packets cut into records. What is right is what the stack's own segmentation
 * makes of the same super-packet: a second interface, whose program takes only finished
 * packets by read(2), says that.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "super.h"
#include "tun.h"

struct pair {
	struct tun cut, plain;
	struct ring ring;
	int to_cut, to_plain, capture;
};

static struct pair pair_new(int flags, uint32_t size)
{
	struct pair p = { .cut = tun_open("cut%d", flags), .plain = tun_open("plain%d", flags) };

	p.ring = ring_new(p.cut.fd, ring_args(size));
	must(fcntl(p.plain.fd, F_SETFL, O_NONBLOCK));
	iface_up_bare(p.cut.name);
	iface_up_bare(p.plain.name);
	p.to_cut = super_socket(p.cut.name);
	p.to_plain = super_socket(p.plain.name);
	p.capture = raw_socket(p.cut.name);
	must(fcntl(p.capture, F_SETFL, O_NONBLOCK));
	return p;
}

static void pair_send(struct pair *p, const struct super *s)
{
	super_send(p->to_cut, p->cut.name, s);
	super_send(p->to_plain, p->plain.name, s);
}

/* How many packets the capture saw since it was asked last. */
static unsigned int captured(struct pair *p)
{
	static uint8_t bytes[1 << 17];
	unsigned int n = 0;

	while (recv(p->capture, bytes, sizeof(bytes), 0) > 0)
		n++;
	return n;
}

/* Of unequal packets: what is allowed to differ, and a word where they do. */
static void explain(const struct super *s, const uint8_t *got, const uint8_t *want, size_t len)
{
	size_t at = 0;

	while (at < len && got[at] == want[at])
		at++;
	/* The stack itself writes the one's complement's zero both ways. */
	if (at == s->vnet.csum_start + 16u && !want[at] && !want[at + 1] && got[at] == 0xff &&
	    got[at + 1] == 0xff && !memcmp(got + at + 2, want + at + 2, len - at - 2))
		return;

	fail("byte %zu of %zu is %#x, not %#x (headers %u, mss %u, proto %#x, gso %#x)", at, len,
	     got[at], want[at], s->headers, s->mss, s->proto, s->vnet.gso_type);
}

/* The records are the packets of the plain interface; how many. */
static unsigned int expect_same(struct pair *p, const struct super *s)
{
	static uint8_t want[1 << 17];
	struct mytun_rec *rec;
	unsigned int n = 0;
	ssize_t len;

	while ((len = read(p->plain.fd, want, sizeof(want))) > 0) {
		rec = ring_rx(&p->ring);
		if (!rec)
			fail("no record for packet %u of %zd bytes", n, len);
		expect_eq(rec->len, len);
		expect_eq(ntohs(rec->proto), s->proto);
		expect_eq(rec->vnet_flags | rec->gso_type | rec->gso_size, 0);
		if (memcmp(rec_packet(rec), want, len))
			explain(s, rec_packet(rec), want, len);
		ring_rx_done(&p->ring);
		n++;
	}
	if (ring_rx(&p->ring))
		fail("a record more than the %u packets", n);
	return n;
}

/* A capture sees one piece: the stack has left it whole. */
static void as_the_stack_cuts(int flags, struct super_kind kind, unsigned int rounds)
{
	struct pair p = pair_new(flags, 1 << 22);
	static struct super s;
	unsigned int n;

	for (unsigned int i = 0; i < rounds; i++) {
		srandom(i * 7 + kind.ipv6 + 2 * kind.vlans);
		super_random(&s, kind, 400);
		pair_send(&p, &s);
		n = expect_same(&p, &s);
		if (n < 2)
			fail("round %u: %u packets", i, n);
		expect_eq(captured(&p), 1);
	}
	expect_eq(p.ring.rx_prod->drops, 0);
}

TEST(ipv4_tcp_is_cut_as_the_stack_cuts_it)
{
	as_the_stack_cuts(IFF_TUN, (struct super_kind){}, 1000);
}

TEST(ipv6_tcp_is_cut_as_the_stack_cuts_it)
{
	as_the_stack_cuts(IFF_TUN, (struct super_kind){ .ipv6 = true }, 1000);
}

static void all_kinds_of_tap(unsigned int vlans)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct super_kind kind = { .tap = true, .ipv6 = i, .vlans = vlans };

		as_the_stack_cuts(IFF_TAP, kind, 250);
	}
}

TEST(ethernet_frames_are_cut_as_the_stack_cuts_them)
{
	all_kinds_of_tap(0);
}

TEST(frames_with_a_vlan_tag_are_cut_as_the_stack_cuts_them)
{
	all_kinds_of_tap(1);
}

TEST(frames_with_two_vlan_tags_are_cut_as_the_stack_cuts_them)
{
	all_kinds_of_tap(2);
}

/* By bash, for which tc is iproute2's, and not busybox's, which knows little. */
static void command(const char *format, ...)
{
	char text[400] = "bash -c '";
	size_t quote = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + quote, sizeof(text) - quote - 1, format, args);
	va_end(args);
	if (system(strcat(text, "'")))
		fail("%s", text);
}

/* What leaves by the one interface leaves by the other, too. */
static void mirror(const struct pair *p)
{
	command("modprobe -a sch_ingress cls_matchall act_mirred");
	command("tc qdisc add dev %s clsact", p->cut.name);
	command("tc filter add dev %s egress matchall action mirred egress mirror dev %s",
		p->cut.name, p->plain.name);
}

/* Bursts of a socket, of random sizes. */
static void bursts_as_the_stack_cuts(int flags, int family)
{
	struct pair p = pair_new(flags, 1 << 22);
	static uint8_t payload[1 << 16];
	struct super s = {};
	unsigned int n;
	int udp, size;

	iface_set_mtu(p.cut.name, 9000);
	iface_up(p.cut.name);
	mirror(&p);
	udp = udp_here(family);
	s.proto = family == AF_INET ? 0x800 : 0x86dd;
	srandom(family);
	for (unsigned int i = 0; i < 300; i++) {
		size_t len;

		size = 1 + random() % (i & 1 ? 8900 : 200);
		len = size + 1 + random() % (size * 63);
		if (len > 65000)
			len = 65000;
		must(setsockopt(udp, SOL_UDP, 103 /* UDP_SEGMENT */, &size, sizeof(size)));
		fill(payload, len, i);
		udp_send(udp, payload, len);
		n = expect_same(&p, &s);
		expect_eq(n, (len + size - 1) / size);
		expect_eq(captured(&p), 1);
	}
}

TEST(ipv4_udp_is_cut_as_the_stack_cuts_it)
{
	bursts_as_the_stack_cuts(IFF_TUN, AF_INET);
}

TEST(ipv6_udp_is_cut_as_the_stack_cuts_it)
{
	bursts_as_the_stack_cuts(IFF_TUN, AF_INET6);
}

TEST(udp_in_ethernet_frames_is_cut_as_the_stack_cuts_it)
{
	bursts_as_the_stack_cuts(IFF_TAP, AF_INET);
}

TEST(ipv6_extension_headers_are_cut_by_the_stack_s_own_code)
{
	as_the_stack_cuts(IFF_TUN, (struct super_kind){ .ipv6 = true, .extensions = 1 }, 200);
}

/* Both queues of an interface get their share, whether they have rings or not. */
TEST(a_queue_without_rings_gets_finished_packets_beside_one_with)
{
	struct tun ringed = tun_open("both%d", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun plain = tun_open(ringed.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_new(ringed.fd, ring_args(1 << 20));
	struct tun other = tun_open("other%d", IFF_TUN);
	static uint8_t got[1 << 16], want[1 << 16];
	unsigned int by_ring = 0, by_read = 0;
	int to_both, to_other;
	static struct super s;
	ssize_t len;

	must(fcntl(plain.fd, F_SETFL, O_NONBLOCK));
	must(fcntl(other.fd, F_SETFL, O_NONBLOCK));
	iface_up_bare(ringed.name);
	iface_up_bare(other.name);
	to_both = super_socket(ringed.name);
	to_other = super_socket(other.name);
	for (unsigned int i = 0; i < 64; i++) {
		struct mytun_rec *rec;

		srandom(i);
		super_random(&s, (struct super_kind){}, 100);

		super_send(to_both, ringed.name, &s);
		super_send(to_other, other.name, &s);
		while ((len = read(other.fd, want, sizeof(want))) > 0) {
			rec = ring_rx(&r);
			if (rec) {
				expect_eq(rec->len, len);
				expect(!memcmp(rec_packet(rec), want, len));
				ring_rx_done(&r);
				by_ring++;
				continue;
			}
			expect_eq(read(plain.fd, got, sizeof(got)), len);
			expect(!memcmp(got, want, len));
			by_read++;
		}
		expect(!ring_rx(&r));
		expect_errno(read(plain.fd, got, sizeof(got)), EAGAIN);
	}
	expect(by_ring > 0);
	expect(by_read > 0);
}

TEST(a_ring_that_fills_within_a_super_packet_takes_what_fits)
{
	/* 32 bytes of header, 52 of packet headers: records of 1088 bytes. */
	const unsigned int mss = 1000, segments = 20, fit = 8192 / 1088;
	struct pair p = pair_new(IFF_TUN, 8192);
	static uint8_t want[1 << 16];
	static struct super s;
	struct mytun_rec *rec;
	ssize_t len;

	super_new(&s, (struct super_kind){}, mss, segments, 500);
	for (unsigned int round = 1; round <= 3; round++) {
		pair_send(&p, &s);
		for (unsigned int i = 0; i < segments; i++) {
			len = must(read(p.plain.fd, want, sizeof(want)));
			rec = ring_rx(&p.ring);
			expect_eq(!!rec, i < fit);
			if (!rec)
				continue;
			expect_eq(rec->len, len);
			expect(!memcmp(rec_packet(rec), want, len));
			ring_rx_done(&p.ring);
		}
		expect_eq(p.ring.rx_prod->drops, round * (segments - fit));
		expect_eq(iface_stats(p.cut.name).tx_packets, round * fit);
		expect_eq(iface_stats(p.cut.name).tx_dropped, round * (segments - fit));
	}

	/* And if not even the first fits. */
	super_new(&s, (struct super_kind){}, 9000, 3, 500);
	super_send(p.to_cut, p.cut.name, &s);
	expect(!ring_rx(&p.ring));
	expect_eq(p.ring.rx_prod->drops, 3 * (segments - fit) + 3);
}

TEST(the_last_short_segment_may_fit_where_a_whole_one_does_not)
{
	struct pair p = pair_new(IFF_TUN, 4096);
	static struct super s;

	/* Records of 1088, 1088, 1088 and 96 bytes fit, a fourth of 1088 does not. */
	super_new(&s, (struct super_kind){}, 1000, 4, 10);
	pair_send(&p, &s);
	expect_eq(expect_same(&p, &s), 4);
	expect_eq(p.ring.rx_prod->drops, 0);
}

TEST(the_mtu_of_today_does_not_matter_to_what_was_sent_yesterday)
{
	struct pair p = pair_new(IFF_TUN, 1 << 20);
	static struct super s;

	for (int mtu = 68; mtu <= 65535; mtu = mtu * 3 + 1) {
		iface_set_mtu(p.cut.name, mtu);
		iface_set_mtu(p.plain.name, mtu);
		super_new(&s, (struct super_kind){}, 1400, 10, 1);
		pair_send(&p, &s);
		expect_eq(expect_same(&p, &s), 10);
	}
}

/* As above, but of a socket of this host: no other interface has to say what is right. */
TEST(a_burst_of_a_udp_socket_is_cut_into_its_datagrams)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 20));
	int udp = udp_here(AF_INET), size = 1200, capture = raw_socket(t.name);
	static uint8_t payload[30 * 1200 - 7], seen[1 << 16];
	static struct packet packet;
	uint16_t proto;

	must(setsockopt(udp, SOL_UDP, 103 /* UDP_SEGMENT */, &size, sizeof(size)));
	fill(payload, sizeof(payload), 1);
	udp_send(udp, payload, sizeof(payload));
	expect_eq(raw_capture(capture, seen, sizeof(seen), &proto), UDP4 + sizeof(payload));
	for (unsigned int i = 0; i < 30; i++) {
		struct mytun_rec *rec = ring_rx_wait(&r);
		size_t len = i < 29 ? 1200 : 1193;

		expect_eq(rec->len, UDP4 + len);
		expect(!memcmp((char *)rec_packet(rec) + UDP4, payload + i * 1200, len));
		/* The checksums are right if computing them changes nothing. */
		packet.len = rec->len;
		memcpy(packet.bytes, rec_packet(rec), rec->len);
		packet_finish(&packet, false);
		expect(!memcmp(packet.bytes, rec_packet(rec), rec->len));
		ring_rx_done(&r);
	}
	expect(!ring_rx(&r));
}

/* One wake-up for all of a super-packet. */
TEST(a_super_packet_wakes_once)
{
	struct mytun_rings args = ring_args(1 << 20);
	struct tun t = tun_open("", IFF_TUN);
	static struct super s;
	struct ring r;

	args.flags = MYTUN_RINGS_F_EVENT_IDX;
	r = ring_new(t.fd, args);
	iface_up_bare(t.name);
	super_new(&s, (struct super_kind){}, 1000, 40, 10);
	store_release(&r.rx_cons->event, r.rx);
	super_send(super_socket(t.name), t.name, &s);
	expect_eq(ring_rx_drain(&r), 40);
	sysfs_here();
	expect_eq(iface_ethtool(t.name, "rx_q0_wakeups"), 1);
	expect_eq(iface_ethtool(t.name, "rx_q0_packets"), 40);
}

TEST(segmentation_can_be_switched_off_and_on)
{
	struct pair p = pair_new(IFF_TUN, 1 << 20);
	static struct super s;

	super_new(&s, (struct super_kind){}, 1000, 40, 10);
	for (int round = 0; round < 2; round++) {
		command("ethtool -K %s tso off", p.cut.name);
		pair_send(&p, &s);
		expect_eq(expect_same(&p, &s), 40);
		expect_eq(captured(&p), 40);
		command("ethtool -K %s tso on", p.cut.name);
		pair_send(&p, &s);
		expect_eq(expect_same(&p, &s), 40);
		expect_eq(captured(&p), 1);
	}
}
