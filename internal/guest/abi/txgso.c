// SPDX-License-Identifier: MIT
/* Records that stand for several packets: they reach a socket whole, and a wire cut. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "segment.h"
#include "super.h"

/* Behind the second interface. */
#define FAR4 "10.8.0.2"
#define FAR6 "fd08::2"

static uint8_t payload[65536];

static size_t headers(int family, bool tcp)
{
	return (family == AF_INET ? 20 : 40) + (tcp ? 20 : 8);
}

static void tcp_reaches_a_socket(int family, uint8_t gso_type)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	struct conn c = conn_here(family);
	static uint8_t got[65536];
	int tcp = tcp_connect_here(&c, &r);
	size_t total = 0;
	struct packet p;

	for (unsigned int i = 0; i < 8; i++) {
		size_t sizes[] = { 30000, 1400, 1401, 2800, 1, 5, 20000, 8 }, n = sizes[i];

		fill(payload, n, i);
		segment(&p, &c, TH_ACK | TH_PUSH, payload, n);
		super_frame(&r, &p, gso_type, 1400);
		ring_tx_flush(&r);
		expect_eq(must(recv(tcp, got, n, MSG_WAITALL)), n);
		expect(!memcmp(got, payload, n));
		total += n;
		ring_rx_drain(&r);
	}
	expect_eq(r.tx_cons->drops, 0);
	expect_eq(c.seq, 1001 + total);
}

TEST(tcpv4_reaches_a_socket)
{
	tcp_reaches_a_socket(AF_INET, VIRTIO_NET_HDR_GSO_TCPV4);
}

TEST(tcpv6_reaches_a_socket)
{
	tcp_reaches_a_socket(AF_INET6, VIRTIO_NET_HDR_GSO_TCPV6);
}

TEST(tcpv4_with_ecn_reaches_a_socket)
{
	tcp_reaches_a_socket(AF_INET, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
}

/* A packet of UDP, longer than packet_inbound() makes them for a wire. */
static void udp_reaches_a_socket(int family)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	int udp = udp_here(family);
	struct packet p;

	for (unsigned int i = 0; i < 4; i++) {
		size_t sizes[] = { 10000, 1201, 2400, 40 * 1200 }, n = sizes[i];

		fill(payload, n, i);
		packet_inbound(&p, &t, family, payload, n);
		super_frame(&r, &p, VIRTIO_NET_HDR_GSO_UDP_L4, 1200);
		ring_tx_flush(&r);
		expect_eq(r.tx_cons->drops, 0);
		for (size_t at = 0; at < n; at += 1200)
			udp_expect(udp, payload + at, n - at < 1200 ? n - at : 1200);
		udp_expect_none(udp);
	}
}

TEST(udp_datagrams_of_ipv4_reach_a_socket)
{
	udp_reaches_a_socket(AF_INET);
}

TEST(udp_datagrams_of_ipv6_reach_a_socket)
{
	udp_reaches_a_socket(AF_INET6);
}

/* A second interface that takes no unfinished packets, and the way to it. */
static struct tun far_side(struct ring *r)
{
	struct tun t = tun_open("far0", IFF_TUN);

	iface_up_bare(t.name);
	must(write_file("/proc/sys/net/ipv6/conf/far0/disable_ipv6", "0"));
	iface_addr(t.name, AF_INET, "10.8.0.1", 24);
	iface_addr(t.name, AF_INET6, "fd08::1", 64);
	must(write_file("/proc/sys/net/ipv4/ip_forward", "1"));
	must(write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
	*r = ring_new(t.fd, ring_args(1 << 18));
	return t;
}

/* The next packet that was forwarded; what the kernel says for itself is left out. */
static struct mytun_rec *forwarded(struct ring *r, uint8_t proto)
{
	for (;; ring_rx_done(r)) {
		struct mytun_rec *rec = ring_rx_wait(r);
		uint8_t *l3 = rec_packet(rec);

		if ((l3[0] >> 4 == 4 ? l3[9] : l3[6]) == proto)
			return rec;
	}
}

/* Finished, of the right length, with the next bytes of the payload; how many. */
static size_t expect_piece(struct mytun_rec *rec, size_t headers, size_t size, size_t at,
			   size_t len)
{
	size_t n = len - at < size ? len - at : size;
	uint8_t *l3 = rec_packet(rec);

	expect_eq(rec->vnet_flags, 0);
	expect_eq(rec->gso_type, 0);
	expect_eq(rec->len, headers + n);
	expect(checksums_right(l3, rec->len));
	expect(!memcmp(l3 + headers, payload + at, n));
	return n;
}

static void tcp_is_cut_for_a_wire(int family, uint8_t gso_type, uint8_t flags)
{
	const size_t len = 30000, mss = 1400, h = headers(family, true);
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18)), far;
	struct conn c = conn_here(family);
	struct packet p;

	far_side(&far);
	c.to = family == AF_INET ? FAR4 : FAR6;
	fill(payload, len, 1);
	segment(&p, &c, flags, payload, len);
	super_frame(&r, &p, gso_type, mss);
	ring_tx_flush(&r);
	expect_eq(r.tx_cons->drops, 0);
	for (size_t at = 0; at < len;) {
		struct mytun_rec *rec = forwarded(&far, IPPROTO_TCP);
		struct tcphdr *tcp = (void *)((char *)rec_packet(rec) + h - sizeof(*tcp));
		size_t n = expect_piece(rec, h, mss, at, len);
		uint8_t want = flags;

		if (at) /* said once, with the first */
			want &= ~0x80;
		if (at + n < len) /* said once, with the last */
			want &= ~(TH_FIN | TH_PUSH);
		expect_eq(ntohl(tcp->th_seq), 1000 + at);
		expect_eq(tcp->th_flags, want);
		at += n;
		ring_rx_done(&far);
	}
}

TEST(tcpv4_is_cut_for_a_wire)
{
	tcp_is_cut_for_a_wire(AF_INET, VIRTIO_NET_HDR_GSO_TCPV4, TH_ACK | TH_PUSH | TH_FIN);
}

TEST(tcpv6_is_cut_for_a_wire)
{
	tcp_is_cut_for_a_wire(AF_INET6, VIRTIO_NET_HDR_GSO_TCPV6, TH_ACK | TH_PUSH | TH_FIN);
}

TEST(tcpv4_with_ecn_is_cut_for_a_wire)
{
	tcp_is_cut_for_a_wire(AF_INET, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
			      TH_ACK | 0x80);
}

TEST(tcpv6_with_ecn_is_cut_for_a_wire)
{
	tcp_is_cut_for_a_wire(AF_INET6, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
			      TH_ACK | 0x80);
}

static void to_far(struct packet *udp)
{
	if (udp->bytes[0] >> 4 == 4)
		inet_pton(AF_INET, FAR4, udp->bytes + 16);
	else
		inet_pton(AF_INET6, FAR6, udp->bytes + 24);
	packet_finish(udp, false);
}

static void udp_is_cut_for_a_wire(int family)
{
	const size_t len = 10000, size = 1200, h = headers(family, false);
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18)), far;
	struct packet p;

	far_side(&far);
	fill(payload, len, 1);
	packet_inbound(&p, &t, family, payload, len);
	to_far(&p);
	super_frame(&r, &p, VIRTIO_NET_HDR_GSO_UDP_L4, size);
	ring_tx_flush(&r);
	expect_eq(r.tx_cons->drops, 0);
	for (size_t at = 0; at < len;) {
		at += expect_piece(forwarded(&far, IPPROTO_UDP), h, size, at, len);
		ring_rx_done(&far);
	}
}

TEST(udp_datagrams_of_ipv4_are_cut_for_a_wire)
{
	udp_is_cut_for_a_wire(AF_INET);
}

TEST(udp_datagrams_of_ipv6_are_cut_for_a_wire)
{
	udp_is_cut_for_a_wire(AF_INET6);
}

/* Lies. What @spoil makes of a good super-frame is dropped, and those around it arrive. */
static void dropped(int family, bool tcp, uint8_t gso_type, void (*spoil)(struct mytun_rec *rec))
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 19));
	int udp = udp_here(AF_INET);
	struct conn c = conn_here(family);
	struct packet p, good;

	packet_inbound(&good, &t, AF_INET, "good", 4);
	fill(payload, 30000, 1);
	for (int i = 0; i < 3; i++) {
		ring_tx_packet(&r, good.bytes, good.len);
		if (tcp)
			segment(&p, &c, TH_ACK, payload, 30000);
		else
			packet_inbound(&p, &t, family, payload, 30000);
		spoil(super_frame(&r, &p, gso_type, 1200));
	}
	ring_tx_packet(&r, good.bytes, good.len);
	ring_tx_flush(&r);
	for (int i = 0; i < 4; i++)
		udp_expect(udp, "good", 4);
	udp_expect_none(udp);
	expect_eq(r.tx_cons->drops, 3);
	expect_eq(r.tx_cons->flags, 0);
	expect_eq(iface_stats(t.name).rx_packets, 4);
	expect_eq(iface_stats(t.name).rx_dropped, 3);
}

#define DROPS(family, tcp, type, name, ...)                                    \
	static void spoil_##name(struct mytun_rec *rec)                        \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}                                                                      \
	TEST(dropped_##name)                                                   \
	{                                                                      \
		dropped(family, tcp, VIRTIO_NET_HDR_GSO_##type, spoil_##name); \
	}

DROPS(AF_INET, true, TCPV4, tcp_of_size_0, rec->gso_size = 0)
DROPS(AF_INET6, true, TCPV6, tcp_of_size_0_ipv6, rec->gso_size = 0)
DROPS(AF_INET, true, TCPV4, tcp_of_the_size_that_means_something_else, rec->gso_size = 0xffff)
DROPS(AF_INET, true, TCPV4, tcp_with_a_checksum_past_the_end, rec->csum_start = rec->len)
DROPS(AF_INET, true, TCPV4, tcp_with_a_header_past_the_end, rec->csum_start = rec->len - 19)
DROPS(AF_INET, true, TCPV4, tcp_with_a_checksum_elsewhere, rec->csum_offset = 6)
DROPS(AF_INET, true, TCPV4, tcp_with_a_header_elsewhere, rec->csum_start = 24)
DROPS(AF_INET, true, TCPV4, tcp_without_a_checksum_to_finish, rec->vnet_flags = 0)
DROPS(AF_INET, true, TCPV4, tcp_that_is_said_to_be_right,
      rec->vnet_flags = VIRTIO_NET_HDR_F_DATA_VALID)
DROPS(AF_INET, true, TCPV6, tcp_of_the_other_version, rec->hdr_len = 0)
DROPS(AF_INET6, true, TCPV4, tcp_of_the_other_version_ipv6, rec->hdr_len = 0)
DROPS(AF_INET, true, TCPV4, fragment, ((uint8_t *)rec_packet(rec))[6] = 0x20)
DROPS(AF_INET, true, TCPV4, tunnel, ((uint8_t *)rec_packet(rec))[9] = IPPROTO_IPIP)
DROPS(AF_INET, false, TCPV4, tcp_that_is_udp, rec->csum_offset = 16)
DROPS(AF_INET, false, UDP, fragments_of_one_byte_each, rec->gso_size = 1)
DROPS(AF_INET, true, TCPV4, kind_that_is_not_known, rec->gso_type = 2)
DROPS(AF_INET, true, TCPV4, ecn_of_nothing, rec->gso_type = VIRTIO_NET_HDR_GSO_ECN)
DROPS(AF_INET, false, UDP_L4, udp_of_size_0, rec->gso_size = 0)
DROPS(AF_INET, false, UDP_L4, udp_of_too_many_datagrams, rec->gso_size = 20)
DROPS(AF_INET, false, UDP_L4, udp_of_one_byte_each, rec->gso_size = 1)
DROPS(AF_INET, false, UDP_L4, udp_without_a_checksum_to_finish, rec->vnet_flags = 0)
DROPS(AF_INET, false, UDP_L4, udp_with_a_checksum_elsewhere, rec->csum_offset = 16)
DROPS(AF_INET, false, UDP_L4, udp_with_ecn, rec->gso_type |= VIRTIO_NET_HDR_GSO_ECN)

/* What hdr_len says is a hint, and nobody believes it. */
TEST(the_length_of_the_headers_may_say_anything)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	struct conn c = conn_here(AF_INET);
	const uint16_t lies[] = { 0, 1, 20, 39, 41, 1000, 0x7fff, 0xffff };
	int tcp = tcp_connect_here(&c, &r);
	uint8_t got[5000];
	struct packet p;

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		fill(payload, sizeof(got), i);
		segment(&p, &c, TH_ACK, payload, sizeof(got));
		super_frame(&r, &p, VIRTIO_NET_HDR_GSO_TCPV4, 1400)->hdr_len = lies[i];
		ring_tx_flush(&r);
		expect_eq(must(recv(tcp, got, sizeof(got), MSG_WAITALL)), sizeof(got));
		expect(!memcmp(got, payload, sizeof(got)));
		ring_rx_drain(&r);
	}
}

/* The longest that can be said, in the smallest pieces: more than a u16 counts. */
static void smallest_pieces(uint8_t gso_type, uint16_t gso_size)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18)), far;
	int udp = udp_here(AF_INET);
	struct conn c = conn_here(AF_INET6);
	struct packet p;

	far_side(&far);
	c.to = FAR6;
	segment(&p, &c, TH_ACK, payload, 65535 - 20);
	super_frame(&r, &p, gso_type, gso_size);
	ring_tx_flush(&r);
	ring_rx_drain(&far);
	packet_inbound(&p, &t, AF_INET, "alive", 5);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "alive", 5);
}

TEST_WITHIN(60, the_smallest_pieces_of_tcp_harm_nobody)
{
	smallest_pieces(VIRTIO_NET_HDR_GSO_TCPV6, 1);
}

TEST_WITHIN(60, the_smallest_pieces_of_udp_harm_nobody)
{
	smallest_pieces(VIRTIO_NET_HDR_GSO_UDP, 1);
}

/* Each piece has all of the headers: what would be many times as large is no packet. */
TEST(headers_that_become_a_mebibyte_are_dropped)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	static struct super s;

	for (unsigned int mss = 32; mss >= 8; mss /= 4) {
		super_new(&s, (struct super_kind){ .ipv6 = true, .extensions = 10 }, mss,
			  60000 / mss, mss);
		super_record(&r, &s);
		ring_tx_flush(&r);
		expect_eq(r.tx_cons->drops, mss == 8);
	}
}

/* With its headers it has more bytes than 16 bits count. */
TEST(the_longest_of_tcpv6_is_cut_for_a_wire)
{
	const size_t len = 65535 - 20, mss = 1400, h = headers(AF_INET6, true);
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18)), far;
	struct conn c = conn_here(AF_INET6);
	struct packet p;

	far_side(&far);
	c.to = FAR6;
	fill(payload, len, 1);
	segment(&p, &c, TH_ACK, payload, len);
	super_frame(&r, &p, VIRTIO_NET_HDR_GSO_TCPV6, mss);
	ring_tx_flush(&r);
	expect_eq(r.tx_cons->drops, 0);
	for (size_t at = 0; at < len; ring_rx_done(&far))
		at += expect_piece(forwarded(&far, IPPROTO_TCP), h, mss, at, len);
}

/*
 * Frames with VLAN tags, of VLAN 0, which is none and needs no interface of its own, and
 * virtio fields that lie about all that can be lied about: whoever cuts or sums them, on
 * their way out of another interface, looks where they say.
 */
static void vlan_frame(struct packet *p, const struct tun *t, unsigned int tags, int family,
		       bool tcp)
{
	struct conn c = conn_here(family);
	struct tun tun = *t;
	struct packet inner;
	uint8_t *to = p->bytes;

	c.to = family == AF_INET ? FAR4 : FAR6;
	tun.tap = false;
	if (tcp) {
		segment(&inner, &c, TH_ACK, payload, 8000);
	} else {
		packet_inbound(&inner, &tun, family, payload, 8000);
		to_far(&inner);
	}
	iface_mac(t->name, to);
	memcpy(to + 6, "\x02\0\0\0\0\x02", 6);
	to += 12;
	for (unsigned int i = 0; i < tags; i++, to += 4)
		memcpy(to, i + 1 < tags ? "\x88\xa8\0\0" : "\x81\0\0\0", 4);
	memcpy(to, family == AF_INET ? "\x08\x00" : "\x86\xdd", 2);
	memcpy(to + 2, inner.bytes, inner.len);
	p->len = to + 2 + inner.len - p->bytes;
}

static uint16_t lie(unsigned int *seed, uint16_t truth)
{
	const uint16_t near[] = { 0, 1, 2, 12, 14, 16, 18, 20, 22, 33, 34, 38, 54, 58, 1000, 7999,
				  0x7fff, 0xfffe, 0xffff };

	*seed = *seed * 1664525u + 1013904223u;
	if (*seed >> 30 == 0)
		return truth;
	return near[(*seed >> 16) % ARRAY_SIZE(near)];
}

TEST_WITHIN(120, lies_about_frames_with_vlan_tags_harm_nobody)
{
	const uint8_t types[] = { 0, 1, 3, 4, 5, 0x81, 0x84, 0x85, 0x80 };
	struct tun t = tun_open_up(IFF_TAP);
	struct ring r = ring_new(t.fd, ring_args(1 << 18)), far;
	int udp = udp_here(AF_INET);
	unsigned int seed = 7;
	struct packet p;

	far_side(&far);
	fill(payload, 8000, 1);
	for (unsigned int i = 0; i < 4000; i++) {
		unsigned int tags = i % 3;
		uint16_t l4 = 14 + 4 * tags + (i & 4 ? 20 : 40);
		struct mytun_rec *rec;

		vlan_frame(&p, &t, tags, i & 4 ? AF_INET : AF_INET6, i & 8);
		rec = ring_tx_packet(&r, p.bytes, lie(&seed, 0) & 1 ? p.len : p.len / 7);
		rec->vnet_flags = lie(&seed, 1) & 3;
		rec->gso_type = types[lie(&seed, 1) % ARRAY_SIZE(types)];
		rec->gso_size = lie(&seed, 1000);
		rec->csum_start = lie(&seed, l4);
		rec->csum_offset = lie(&seed, i & 8 ? 16 : 6);
		rec->hdr_len = lie(&seed, l4 + 20);
		if (i % 50 == 49) {
			ring_tx_flush(&r);
			ring_rx_drain(&far);
			ring_rx_drain(&r);
		}
	}
	ring_tx_flush(&r);
	expect(iface_stats("far0").tx_packets > 10); /* some were good enough */
	expect(r.tx_cons->drops > 100 && r.tx_cons->drops < 3900);
	expect_eq(r.tx_cons->flags, 0);
	packet_inbound(&p, &t, AF_INET, "alive", 5);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "alive", 5);
}
