// SPDX-License-Identifier: MIT
/* Super-packets and unfinished checksums, for programs that ask with TUNSETOFFLOAD. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <netinet/udp.h>
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

#define CSUM 0x01
#define TSO4 0x02
#define TSO6 0x04
#define ECN  0x08
#define USO4 0x20
#define USO6 0x40
#define ALL  (CSUM | TSO4 | TSO6 | ECN | USO4 | USO6)

/* One interface with rings and one whose file has virtio headers. */
struct both {
	struct tun ringed, plain;
	struct ring ring;
	int to_ringed, to_plain;
};

static struct both both_new(int flags, unsigned long offloads)
{
	struct both b = { .ringed = tun_open("ringed%d", flags),
			  .plain = tun_open("plain%d", flags | IFF_VNET_HDR) };

	b.ring = ring_new(b.ringed.fd, ring_args(1 << 20));
	must(ioctl(b.ringed.fd, TUNSETOFFLOAD, offloads));
	must(ioctl(b.plain.fd, TUNSETOFFLOAD, offloads));
	must(fcntl(b.plain.fd, F_SETFL, O_NONBLOCK));
	iface_up_bare(b.ringed.name);
	iface_up_bare(b.plain.name);
	b.to_ringed = super_socket(b.ringed.name);
	b.to_plain = super_socket(b.plain.name);
	return b;
}

static void expect_vnet(const struct mytun_rec *rec, const struct virtio_net_hdr *vnet)
{
	expect_eq(rec->vnet_flags, vnet->flags);
	expect_eq(rec->gso_type, vnet->gso_type);
	expect_eq(rec->hdr_len, vnet->hdr_len);
	expect_eq(rec->gso_size, vnet->gso_size);
	expect_eq(rec->csum_start, vnet->csum_start);
	expect_eq(rec->csum_offset, vnet->csum_offset);
}

/* The record of a super-packet is what read(2) with a virtio header gives of it. */
static void whole(struct both *b, const struct super *s)
{
	static struct {
		struct virtio_net_hdr vnet;
		uint8_t packet[1 << 16];
	} got;
	struct mytun_rec *rec;
	ssize_t len;

	super_send(b->to_ringed, b->ringed.name, s);
	super_send(b->to_plain, b->plain.name, s);
	len = must(read(b->plain.fd, &got, sizeof(got))) - sizeof(got.vnet);
	rec = ring_rx(&b->ring);
	expect(rec);
	expect_eq(len, s->len);
	expect_eq(rec->len, s->len);
	expect(!memcmp(rec_packet(rec), s->bytes, s->len));
	expect(!memcmp(got.packet, s->bytes, s->len));
	expect_vnet(rec, &got.vnet);
	expect_eq(rec->gso_type, s->vnet.gso_type);
	expect_eq(rec->gso_size, s->mss);
	expect_eq(rec->vnet_flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	expect_eq(rec->csum_start, s->vnet.csum_start);
	ring_rx_done(&b->ring);
	expect(!ring_rx(&b->ring));
	expect_errno(read(b->plain.fd, &got, sizeof(got)), EAGAIN);
}

static void whole_of(int flags, struct super_kind kind)
{
	struct both b = both_new(flags, ALL);
	static struct super s;

	srandom(1);
	for (unsigned int i = 0; i < 200; i++) {
		super_random(&s, kind, 400);
		whole(&b, &s);
	}
}

TEST(ipv4_super_packets_come_whole_to_who_asked)
{
	whole_of(IFF_TUN, (struct super_kind){});
}

TEST(ipv6_super_packets_come_whole_to_who_asked)
{
	whole_of(IFF_TUN, (struct super_kind){ .ipv6 = true });
}

TEST(super_packets_of_ethernet_come_whole_to_who_asked)
{
	whole_of(IFF_TAP, (struct super_kind){ .tap = true, .vlans = 1 });
}

/* What comes whole, of a packet of IPv4, of IPv6 and one with ECN. */
static void whole_with(unsigned long offloads, bool v4, bool v6, bool ecn)
{
	struct both b = both_new(IFF_TUN, offloads);
	static struct super s;
	unsigned int n;

	for (unsigned int i = 0; i < 50; i++) {
		struct super_kind kind = { .ipv6 = i & 1 };
		bool want;

		srandom(i);
		super_new(&s, kind, 1000, 10, 10);
		want = (kind.ipv6 ? v6 : v4) &&
		       (ecn || !(s.vnet.gso_type & VIRTIO_NET_HDR_GSO_ECN));
		super_send(b.to_ringed, b.ringed.name, &s);
		n = ring_rx_drain(&b.ring);
		expect_eq(n, want ? 1 : 10);
	}
}

TEST(only_what_was_asked_for_comes_whole)
{
	whole_with(0, false, false, false);
	whole_with(CSUM, false, false, false);
	whole_with(CSUM | TSO4, true, false, false);
	whole_with(CSUM | TSO6, false, true, false);
	whole_with(CSUM | TSO4 | ECN, true, false, true);
	whole_with(CSUM | TSO4 | TSO6 | ECN, true, true, true);
}

TEST(offloads_that_need_each_other)
{
	struct tun t = tun_open("", IFF_TUN);

	must(ioctl(t.fd, TUNSETOFFLOAD, 0));
	must(ioctl(t.fd, TUNSETOFFLOAD, ALL));
	must(ioctl(t.fd, TUNSETOFFLOAD, CSUM | USO4 | USO6));
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, CSUM | USO4), EINVAL);
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, CSUM | USO6), EINVAL);
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, USO4 | USO6), EINVAL);
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, TSO4), EINVAL);
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, CSUM | 1 << 20), EINVAL);
}

/* A burst of a UDP socket, by the ring and by read(2) with a virtio header. */
static void burst_of_udp(int family)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_VNET_HDR);
	size_t headers = family == AF_INET ? UDP4 : UDP6;
	int udp = udp_here(family), size = 1200;
	static uint8_t payload[30 * 1200 - 7];
	static struct {
		struct virtio_net_hdr vnet;
		uint8_t packet[1 << 16];
	} got;
	struct mytun_rec *rec;
	struct ring r;

	must(ioctl(t.fd, TUNSETOFFLOAD, ALL));
	must(setsockopt(udp, SOL_UDP, 103 /* UDP_SEGMENT */, &size, sizeof(size)));
	fill(payload, sizeof(payload), 1);
	udp_send(udp, payload, sizeof(payload));
	expect_eq(must(read(t.fd, &got, sizeof(got))),
		  sizeof(got.vnet) + headers + sizeof(payload));
	expect_eq(got.vnet.gso_type, 5 /* VIRTIO_NET_HDR_GSO_UDP_L4 */);
	expect_eq(got.vnet.gso_size, size);
	expect_eq(got.vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	expect_eq(got.vnet.csum_start, headers - sizeof(struct udphdr));
	expect_eq(got.vnet.csum_offset, 6);
	expect(!memcmp(got.packet + headers, payload, sizeof(payload)));

	r = ring_new(t.fd, ring_args(1 << 20));
	udp_send(udp, payload, sizeof(payload));
	rec = ring_rx_wait(&r);
	expect_eq(rec->len, headers + sizeof(payload));
	expect(!memcmp((char *)rec_packet(rec) + headers, payload, sizeof(payload)));
	expect_vnet(rec, &got.vnet);
}

TEST(a_burst_of_ipv4_udp_comes_whole)
{
	burst_of_udp(AF_INET);
}

TEST(a_burst_of_ipv6_udp_comes_whole)
{
	burst_of_udp(AF_INET6);
}

/* A checksum that nobody has computed yet is said to be so, or computed. */
TEST(unfinished_checksums_come_to_who_asked)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 14));
	int udp = udp_here(AF_INET);
	struct packet p = {};
	struct mytun_rec *rec;

	for (int round = 0; round < 2; round++) {
		must(ioctl(t.fd, TUNSETOFFLOAD, CSUM));
		udp_send(udp, "hello", 5);
		rec = ring_rx_wait(&r);
		expect_eq(rec->vnet_flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		expect_eq(rec->gso_type, 0);
		expect_eq(rec->csum_start, 20);
		expect_eq(rec->csum_offset, 6);
		ring_rx_done(&r);

		must(ioctl(t.fd, TUNSETOFFLOAD, 0));
		udp_send(udp, "hello", 5);
		rec = ring_rx_wait(&r);
		expect_eq(rec->vnet_flags, 0);
		p.len = rec->len;
		memcpy(p.bytes, rec_packet(rec), rec->len);
		packet_finish(&p, false);
		expect(!memcmp(p.bytes, rec_packet(rec), rec->len));
		ring_rx_done(&r);
	}
}

/* What the interface offers the stack: to finish by itself with rings, else nothing. */
TEST(features_follow_rings_and_offloads)
{
	struct tun t = tun_open("", IFF_TUN);
	const char *features = "ethtool -k %s | grep -q \"%s: %s\"";
	char command[200];

	for (int ringed = 0; ringed < 2; ringed++) {
		snprintf(command, sizeof(command), features, t.name, "tcp-segmentation-offload",
			 ringed ? "on" : "off");
		expect_eq(system(command), 0);
		snprintf(command, sizeof(command), features, t.name, "tx-udp-segmentation",
			 ringed ? "on" : "off");
		expect_eq(system(command), 0);
		snprintf(command, sizeof(command), features, t.name, "tx-checksumming",
			 ringed ? "on" : "off");
		expect_eq(system(command), 0);
		if (!ringed)
			ring_new(t.fd, ring_args(1 << 14));
	}
}
