// SPDX-License-Identifier: MIT
/* What the stack transmits, as the program finds it in the RX ring. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "slow.h"

/* The record holds the packet, and says nothing else of it but the protocol. */
static void expect_record(struct mytun_rec *rec, const void *packet, size_t len, uint16_t proto)
{
	expect_eq(rec->len, len);
	expect(!memcmp(rec_packet(rec), packet, len));
	expect_eq(ntohs(rec->proto), proto);
	expect_eq(rec->hash, 0);
	expect_eq(rec->vnet_flags | rec->gso_type | rec->hdr_len | rec->gso_size |
			  rec->csum_start | rec->csum_offset,
		  0);
}

/* It holds what a capture on the interface saw. */
static void expect_captured(struct mytun_rec *rec, int capture)
{
	static uint8_t sent[1 << 17];
	uint16_t proto;
	size_t len = raw_capture(capture, sent, sizeof(sent), &proto);

	expect_record(rec, sent, len, proto);
}

/* The same, of a UDP datagram whose checksum the stack left to the interface. */
static void expect_finished(struct mytun_rec *rec, int capture, bool tap)
{
	static struct packet sent;
	uint16_t proto;

	sent.len = raw_capture(capture, sent.bytes, sizeof(sent.bytes), &proto);
	packet_finish(&sent, tap);
	expect_record(rec, sent.bytes, sent.len, proto);
}

static void datagrams_of_all_sizes(int flags, int family)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 15, 16, 17, 100, 1000, 1400, 4000, 4096,
					8999, 20000, 65507 - 40 };
	struct tun t = tun_open("", flags);
	struct ring r = ring_new(t.fd, ring_args(1 << 17));
	size_t headers = (t.tap ? ETH : 0) + (family == AF_INET ? UDP4 : UDP6);
	uint16_t proto = family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6;
	static uint8_t payload[65536];
	struct mytun_rec *rec;
	int capture, udp;

	iface_set_mtu(t.name, 65521);
	iface_up(t.name);
	capture = raw_socket(t.name);
	udp = udp_here(family);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(payload, sizes[i], i);
		udp_send(udp, payload, sizes[i]);
		rec = ring_rx_wait(&r);
		expect_eq(rec->len, headers + sizes[i]);
		expect(!memcmp((char *)rec_packet(rec) + headers, payload, sizes[i]));
		expect_eq(rec->proto, htons(proto));
		expect_finished(rec, capture, t.tap);
		ring_rx_done(&r);
	}
	expect(!ring_rx(&r));
	expect_eq(r.rx_prod->drops, 0);
}

TEST(ipv4_datagrams_of_all_sizes_reach_a_tun_program)
{
	datagrams_of_all_sizes(IFF_TUN, AF_INET);
}

TEST(ipv6_datagrams_of_all_sizes_reach_a_tun_program)
{
	datagrams_of_all_sizes(IFF_TUN, AF_INET6);
}

TEST(ipv4_datagrams_of_all_sizes_reach_a_tap_program)
{
	datagrams_of_all_sizes(IFF_TAP, AF_INET);
}

TEST(ipv6_datagrams_of_all_sizes_reach_a_tap_program)
{
	datagrams_of_all_sizes(IFF_TAP, AF_INET6);
}

TEST(fragments_of_a_datagram_are_records_of_their_own)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 17));
	int capture = raw_socket(t.name), udp = udp_here(AF_INET);
	uint8_t payload[4000];

	fill(payload, sizeof(payload), 1);
	udp_send(udp, payload, sizeof(payload));
	for (int i = 0; i < 3; i++) {
		expect_captured(ring_rx_wait(&r), capture);
		ring_rx_done(&r);
	}
	expect(!ring_rx(&r));
}

static void packets_as_they_are(int flags, uint16_t proto, size_t least)
{
	struct tun t = tun_open_up(flags);
	struct ring r = ring_new(t.fd, ring_args(1 << 13));
	int raw = raw_socket(t.name);
	uint8_t bytes[1514];

	for (size_t len = least; len <= 1500; len += len < 100 ? 1 : 53) {
		struct mytun_rec *rec;

		fill(bytes, len, len);
		if (t.tap) {
			bytes[12] = proto >> 8;
			bytes[13] = proto & 0xff;
		}
		raw_send(raw, proto, bytes, len);
		rec = ring_rx_wait(&r);
		expect_eq(rec->len, len);
		expect(!memcmp(rec_packet(rec), bytes, len));
		expect_eq(ntohs(rec->proto), proto);
		ring_rx_done(&r);
	}
	expect(!ring_rx(&r));
}

TEST(packets_of_any_length_and_protocol_come_as_they_are_sent_on_tun)
{
	packets_as_they_are(IFF_TUN, 0x88b5, 1);
}

TEST(frames_of_any_length_and_protocol_come_as_they_are_sent_on_tap)
{
	packets_as_they_are(IFF_TAP, 0x88b5, 14);
}

TEST(vlan_tags_are_part_of_the_packet)
{
	struct tun t = tun_open_up(IFF_TAP);
	struct ring r = ring_small(t.fd);
	int raw = raw_socket(t.name);
	uint8_t bytes[100];
	struct mytun_rec *rec;

	fill(bytes, sizeof(bytes), 1);
	memcpy(bytes + 12, "\x81\x00\x00\x05\x88\xb5", 6);
	raw_send(raw, ETHERTYPE_VLAN, bytes, sizeof(bytes));
	rec = ring_rx_wait(&r);
	expect_eq(rec->len, sizeof(bytes));
	expect(!memcmp(rec_packet(rec), bytes, sizeof(bytes)));
}

static void with_room(uint16_t headroom, uint16_t tailroom)
{
	struct mytun_rings args = {
		.rx_size = 1 << 15,
		.tx_size = 1 << 12,
		.rx_headroom = headroom,
		.rx_tailroom = tailroom,
	};
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, args);
	int udp = udp_here(AF_INET);
	uint8_t payload[300];

	/* ring_rx() looks at the room; a program that writes all that it may must not
	 * spoil the records after.
	 */
	for (size_t len = 0; len < sizeof(payload); len += 7) {
		struct mytun_rec *rec;

		fill(payload, len, len);
		udp_send(udp, payload, len);
		udp_send(udp, "after", 5);
		rec = ring_rx_wait(&r);
		expect_eq(rec->off, sizeof(*rec) + headroom);
		expect_eq(rec->len, UDP4 + len);
		expect(!memcmp((char *)rec_packet(rec) + UDP4, payload, len));
		memset(rec + 1, 0xee, rec->size - sizeof(*rec));
		ring_rx_done(&r);
		rec = ring_rx_wait(&r);
		expect_eq(rec->len, UDP4 + 5);
		expect(!memcmp((char *)rec_packet(rec) + UDP4, "after", 5));
		ring_rx_done(&r);
	}
}

TEST(headroom_and_tailroom_are_the_programs)
{
	with_room(0, 0);
	netns_new();
	with_room(1, 1);
	netns_new();
	with_room(32, 16);
	netns_new();
	with_room(60, 0);
	netns_new();
	with_room(0, 77);
	netns_new();
	with_room(MYTUN_ROOM_MAX, MYTUN_ROOM_MAX);
}

static uint32_t hash_of(struct ring *r, int raw, const struct packet *p, uint16_t proto)
{
	uint32_t hash;

	raw_send(raw, proto, p->bytes, p->len);
	hash = ring_rx_wait(r)->hash;
	ring_rx_done(r);
	return hash;
}

/* The packet of the other direction: addresses and ports change places. */
static void turn_round(struct packet *p, const struct tun *t, int family)
{
	uint8_t *l3 = p->bytes + (t->tap ? ETH : 0);
	size_t n = family == AF_INET ? 4 : 16;
	uint8_t *addrs = l3 + (family == AF_INET ? 12 : 8), tmp[16];

	memcpy(tmp, addrs, n);
	memcpy(addrs, addrs + n, n);
	memcpy(addrs + n, tmp, n);
	memcpy(tmp, addrs + 2 * n, 2);
	memcpy(addrs + 2 * n, addrs + 2 * n + 2, 2);
	memcpy(addrs + 2 * n + 2, tmp, 2);
	packet_finish(p, t->tap);
}

static void hash_is_of_the_flow(int flags, int family)
{
	uint16_t proto = family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6;
	struct mytun_rings args = ring_args(1 << 16);
	struct tun t = tun_open_up(flags);
	int raw = raw_socket(t.name), same = 0;
	uint32_t last = 0;
	struct packet p;
	struct ring r;

	args.flags = MYTUN_RINGS_F_HASH;
	r = ring_new(t.fd, args);
	for (uint8_t port = 1; port < 30; port++) {
		uint32_t hash;

		packet_inbound(&p, &t, family, "abc", 3);
		p.bytes[p.len - 3 - 8] = port;
		packet_finish(&p, t.tap);
		hash = hash_of(&r, raw, &p, proto);
		expect(hash != 0);
		expect_eq(hash_of(&r, raw, &p, proto), hash);
		turn_round(&p, &t, family);
		expect_eq(hash_of(&r, raw, &p, proto), hash);
		same += hash == last;
		last = hash;
	}
	expect(same < 3);

	/* What a socket sends, and the answer. */
	packet_inbound(&p, &t, family, "abc", 3);
	last = hash_of(&r, raw, &p, proto);
	udp_send(udp_here(family), "abc", 3);
	expect_eq(ring_rx_wait(&r)->hash, last);
}

TEST(both_directions_of_a_flow_have_one_hash_ipv4_tun)
{
	hash_is_of_the_flow(IFF_TUN, AF_INET);
}

TEST(both_directions_of_a_flow_have_one_hash_ipv6_tun)
{
	hash_is_of_the_flow(IFF_TUN, AF_INET6);
}

TEST(both_directions_of_a_flow_have_one_hash_ipv4_tap)
{
	hash_is_of_the_flow(IFF_TAP, AF_INET);
}

TEST(both_directions_of_a_flow_have_one_hash_ipv6_tap)
{
	hash_is_of_the_flow(IFF_TAP, AF_INET6);
}

/* Options between the IP header and what is behind it, which one side may have alone. */
static void add_options(struct packet *p, int family)
{
	size_t header = family == AF_INET ? 20 : 40;
	uint8_t *ip = p->bytes;

	memmove(ip + header + 8, ip + header, p->len - header);
	p->len += 8;
	if (family == AF_INET) {
		struct iphdr *ip4 = (struct iphdr *)ip;

		ip4->ihl += 2;
		ip4->tot_len = htons(p->len);
		memset(ip + header, IPOPT_NOP, 8);
		ip4->check = 0;
		ip4->check = packet_fold(packet_sum(0, ip, header + 8));
	} else {
		struct ip6_hdr *ip6 = (struct ip6_hdr *)ip;

		/* Destination options: padding. */
		memcpy(ip + header, (uint8_t[]){ ip6->ip6_nxt, 0, 1, 4, 0, 0, 0, 0 }, 8);
		ip6->ip6_nxt = IPPROTO_DSTOPTS;
		ip6->ip6_plen = htons(p->len - header);
	}
}

static struct ring ring_with_hashes(const struct tun *t)
{
	struct mytun_rings args = ring_args(1 << 16);

	args.flags = MYTUN_RINGS_F_HASH;
	return ring_new(t->fd, args);
}

TEST(options_of_ip_do_not_change_the_hash)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_with_hashes(&t);
	int raw = raw_socket(t.name);

	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;
		uint16_t proto = i ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
		struct packet p;
		uint32_t hash;

		packet_inbound(&p, &t, family, "abc", 3);
		hash = hash_of(&r, raw, &p, proto);
		add_options(&p, family);
		expect_eq(hash_of(&r, raw, &p, proto), hash);
	}
}

/* From hashes that a program is shown on one interface it learns nothing of another. */
TEST(another_interface_has_other_hashes)
{
	struct tun t = tun_open_up(IFF_TUN), other = tun_open("", IFF_TUN);
	struct ring r = ring_with_hashes(&t), other_r = ring_with_hashes(&other);
	int raw = raw_socket(t.name), other_raw;
	unsigned int same = 0;
	struct packet p;

	iface_up_bare(other.name);
	other_raw = raw_socket(other.name);
	for (int i = 0; i < 8; i++) {
		packet_inbound(&p, &t, AF_INET, "abc", 3);
		p.bytes[UDP4 - 8] = i; /* another port */
		same += hash_of(&r, raw, &p, ETHERTYPE_IP) ==
			hash_of(&other_r, other_raw, &p, ETHERTYPE_IP);
	}
	expect(same < 3);
}

TEST(what_is_no_packet_comes_as_it_is_though_it_has_no_flow)
{
	static const uint8_t bad[][24] = {
		{ 0x43, 0, 0, 24 }, /* a header shorter than it can be */
		{ 0x4f, 0, 0, 24 }, /* a header longer than the packet */
		{ 0x60, 0, 0, 0, 0, 0, 17, 64 }, /* half of one */
	};
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_with_hashes(&t);
	int raw = raw_socket(t.name);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct mytun_rec *rec;

		raw_send(raw, bad[i][0] >> 4 == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6, bad[i],
			 sizeof(bad[i]));
		rec = ring_rx_wait(&r);
		expect_eq(rec->len, sizeof(bad[i]));
		expect(!memcmp(rec_packet(rec), bad[i], sizeof(bad[i])));
		ring_rx_done(&r);
	}
}

/* SO_TIMESTAMPING: when the interface took the packet. */
static void sent_with_the_time(const struct tun *t, struct ring *r)
{
	int udp = udp_here(AF_INET);
	int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	char control[512], data[512];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	const struct cmsghdr *c;
	bool found = false;

	must(setsockopt(udp, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)));
	udp_send(udp, "now", 3);
	must(recvmsg(udp, &msg, MSG_ERRQUEUE));
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, (struct cmsghdr *)c))
		found |= c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPING;
	expect(found);
	if (r)
		expect_eq(ring_rx_drain(r), 1);
	else
		expect_eq(must(read(t->fd, data, sizeof(data))), UDP4 + 3);
	close(udp);
}

TEST(a_sender_can_have_the_time_of_a_packet)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r;

	sent_with_the_time(&t, NULL);
	r = ring_small(t.fd);
	sent_with_the_time(&t, &r);
}

TEST(unfinished_checksums_come_only_when_asked_for)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;

	must(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM));
	udp_send(udp, "part", 4);
	rec = ring_rx_wait(&r);
	expect_eq(rec->vnet_flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	expect_eq(rec->gso_type, VIRTIO_NET_HDR_GSO_NONE);
	expect_eq(rec->csum_start, 20);
	expect_eq(rec->csum_offset, 6);
	ring_rx_done(&r);

	must(ioctl(t.fd, TUNSETOFFLOAD, 0));
	udp_send(udp, "whole", 5);
	rec = ring_rx_wait(&r);
	expect_eq(rec->vnet_flags, 0);
	expect_eq(rec->csum_start, 0);
}

TEST(records_wrap_at_the_end_of_the_data_area)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET), across = 0;
	uint8_t payload[1400];

	for (unsigned int i = 0; i < 500; i++) {
		size_t len = 16 + i * 37 % 1300;
		struct mytun_rec *rec;
		uint32_t at;

		fill(payload, len, i);
		udp_send(udp, payload, len);
		rec = ring_rx_wait(&r);
		expect_eq(rec->len, UDP4 + len);
		expect(!memcmp((char *)rec_packet(rec) + UDP4, payload, len));
		at = r.rx & (r.g.rx_size - 1);
		if (at + rec->size > r.g.rx_size) {
			uint32_t first = r.g.rx_size - at;

			/* What is beyond the end is at the beginning. */
			across++;
			expect(!memcmp((char *)rec + first, r.rx_data, rec->size - first));
		}
		ring_rx_done(&r);
	}
	expect(across > 20);
	expect_eq(r.rx_prod->drops, 0);
}

TEST(the_kernels_pages_say_what_it_counted)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	uint64_t bytes = 0;

	for (int i = 0; i < 10; i++) {
		udp_send(udp, "0123456789", i);
		bytes += UDP4 + i;
	}
	expect_eq(iface_stats(t.name).tx_packets, 10);
	expect_eq(iface_stats(t.name).tx_bytes, bytes);
	expect_eq(iface_stats(t.name).tx_dropped, 0);
	expect_eq(iface_ethtool(t.name, "rx_q0_packets"), 10);
	expect_eq(iface_ethtool(t.name, "rx_q0_bytes"), bytes);
	expect_eq(iface_ethtool(t.name, "rx_q0_drops"), 0);
	expect_eq(iface_ethtool(t.name, "q0_faulted"), 0);
	expect_eq(ring_rx_drain(&r), 10);
	expect_eq(r.rx_prod->reserved, 0);
	expect_eq(r.tx_cons->reserved, 0);
	expect_eq(r.rx_prod->flags | r.tx_cons->flags, 0);
}

/* The tag of a frame of the raw socket, before its protocol. */
static void with_tag(struct packet *p)
{
	memmove(p->bytes + 16, p->bytes + 12, p->len - 12);
	memcpy(p->bytes + 12, "\x81\x00\x00\x07", 4);
	p->len += 4;
}

static void tags_do_not_change_the_hash(int family)
{
	uint16_t proto = family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6;
	struct tun t = tun_open_up(IFF_TAP);
	struct ring r = ring_with_hashes(&t);
	int raw = raw_socket(t.name), vlan;
	uint32_t last = 0, same = 0;
	char command[200];

	snprintf(command, sizeof(command),
		 "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; "
		 "ip link add link %s name vlan7 type vlan id 7 && ip link set vlan7 up",
		 t.name);
	if (!runs(command))
		skip("this kernel has no VLANs");
	vlan = raw_socket("vlan7");
	for (uint8_t port = 1; port < 9; port++) {
		struct packet p;
		uint32_t hash;

		/* The second half without the offload: the stack puts the tag in. */
		snprintf(command, sizeof(command), "ethtool -K %s txvlan off", t.name);
		if (port == 5)
			run(command);
		packet_inbound(&p, &t, family, "abc", 3);
		p.bytes[p.len - 3 - 8] = port;
		packet_finish(&p, t.tap);
		hash = hash_of(&r, raw, &p, proto);
		expect_eq(hash_of(&r, vlan, &p, proto), hash);
		same += hash == last;
		last = hash;
		turn_round(&p, &t, family);
		expect_eq(hash_of(&r, vlan, &p, proto), hash);
		with_tag(&p);
		expect_eq(hash_of(&r, raw, &p, ETHERTYPE_VLAN), hash);
	}
	expect(same < 3);
}

TEST(vlan_tags_do_not_change_the_hash_ipv4)
{
	tags_do_not_change_the_hash(AF_INET);
}

TEST(vlan_tags_do_not_change_the_hash_ipv6)
{
	tags_do_not_change_the_hash(AF_INET6);
}
