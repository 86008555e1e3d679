// SPDX-License-Identifier: MIT
/*
 * Mistakes that others have paid for: what net/tso.h does not know of super-packets, and what
 * virtio headers can say.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "segment.h"
#include "slow.h"
#include "super.h"

enum {
	MSS = 1000,
	SEGMENTS = 7,
	TH_CWR = 0x80
};

static struct super s;

/* An interface to which super-packets are sent, and the TCP header of the next. */
struct cut {
	struct tun t;
	struct ring r;
	int raw;
	struct tcphdr *th;
	struct iphdr *ip;
};

static struct cut cut_new(struct super_kind kind)
{
	struct cut c = { .t = tun_open("", kind.tap ? IFF_TAP : IFF_TUN) };

	c.r = ring_new(c.t.fd, ring_args(1 << 18));
	iface_up_bare(c.t.name);
	c.raw = super_socket(c.t.name);
	super_new(&s, kind, MSS, SEGMENTS, 500);
	c.ip = (struct iphdr *)(s.bytes + s.network);
	c.th = (struct tcphdr *)(s.bytes + s.vnet.csum_start);
	c.th->th_flags &= ~(TH_CWR | TH_FIN | TH_PUSH);
	s.vnet.gso_type &= ~VIRTIO_NET_HDR_GSO_ECN;
	return c;
}

/* The packets that it is cut into, one after the other; NULL after the last. */
static uint8_t *piece(struct cut *c, uint32_t *len)
{
	static uint8_t bytes[2000];
	struct mytun_rec *rec = ring_rx(&c->r);

	if (!rec)
		return NULL;
	*len = rec->len;
	expect_eq(rec->vnet_flags | rec->gso_type | rec->gso_size, 0);
	memcpy(bytes, rec_packet(rec), rec->len);
	ring_rx_done(&c->r);
	return bytes;
}

static void expect_pieces(struct cut *c)
{
	static uint8_t want[2000];
	uint32_t len, i = 0;
	uint8_t *got;

	super_send(c->raw, c->t.name, &s);
	for (; (got = piece(c, &len)); i++) {
		expect_eq(len, super_cut(&s, i, want));
		for (uint32_t at = 0; at < len; at++)
			if (got[at] != want[at])
				fail("piece %u: byte %u of %u is %#x, not %#x", i, at, len,
				     got[at], want[at]);
	}
	expect_eq(i, SEGMENTS);
}

TEST(tso_computes_no_checksum)
{
	struct cut c = cut_new((struct super_kind){});
	uint32_t len;
	uint8_t *p;

	super_send(c.raw, c.t.name, &s);
	for (int i = 0; i < SEGMENTS; i++) {
		p = piece(&c, &len);
		expect(p && checksums_right(p, len));
	}
	expect_pieces(&c);
}

/* The TCP options lie behind the linear part. */
TEST(tso_wants_linear_headers)
{
	struct cut c = cut_new((struct super_kind){});

	s.vnet.hdr_len = s.vnet.csum_start + s.vnet.csum_offset + 2;
	expect(s.headers > s.vnet.csum_start + sizeof(*c.th));
	expect_pieces(&c);
}

TEST(tso_leaves_cwr_in_every_segment)
{
	struct cut c = cut_new((struct super_kind){});
	uint32_t len;
	uint8_t *p;

	c.th->th_flags |= TH_CWR;
	s.vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	super_send(c.raw, c.t.name, &s);
	for (int i = 0; (p = piece(&c, &len)); i++)
		expect_eq(!!(((struct tcphdr *)(p + 20))->th_flags & TH_CWR), i == 0);
	expect_pieces(&c);
}

TEST(tso_has_psh_and_fin_in_the_last_segment_only)
{
	struct cut c = cut_new((struct super_kind){ .ipv6 = true });
	uint32_t len;
	uint8_t *p;

	c.th->psh = c.th->fin = c.th->rst = 1;
	super_send(c.raw, c.t.name, &s);
	for (int i = 0; (p = piece(&c, &len)); i++) {
		/* The stack's own code, which ours has to be like, leaves it. */
		expect_eq(((struct tcphdr *)(p + 40))->rst, 1);
		expect_eq(((struct tcphdr *)(p + 40))->psh, i + 1 == SEGMENTS);
		expect_eq(((struct tcphdr *)(p + 40))->fin, i + 1 == SEGMENTS);
	}
	expect_pieces(&c);
}

/* One more for each, also where it wraps; which net/tso.h does even where it should not, see
 * the next.
 */
TEST(tso_counts_ip_id)
{
	struct cut c = cut_new((struct super_kind){});
	uint32_t len;
	uint8_t *p;

	c.ip->id = htons(0xfffd);
	super_send(c.raw, c.t.name, &s);
	for (int i = 0; (p = piece(&c, &len)); i++)
		expect_eq(ntohs(((struct iphdr *)p)->id), (uint16_t)(0xfffd + i));
	expect_pieces(&c);
}

/*
 * Segments that came from the program of one interface, were merged by GRO and forwarded, come
 * out of the other as they went in: with identifiers that do not count, and, where they
 * were more than one packet has fragments, from a list of packets.
 */
static void forwarded(unsigned int segments, size_t each, unsigned int id_step)
{
	struct tun t = tun_open_up(IFF_TUN), far = tun_open("far0", IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18)), out;
	int capture = raw_socket(t.name);
	static struct packet sent[64];
	struct conn c = conn_here(AF_INET);
	unsigned int merged = 0;
	uint8_t payload[1400];

	iface_up_bare("far0");
	iface_addr("far0", AF_INET, "10.8.0.1", 24);
	must(write_file("/proc/sys/net/ipv4/ip_forward", "1"));
	out = ring_new(far.fd, ring_args(1 << 18));
	c.to = "10.8.0.2";
	for (unsigned int i = 0; i < segments; i++) {
		struct iphdr *ip = (struct iphdr *)sent[i].bytes;

		fill(payload, each, i);
		segment(&sent[i], &c, TH_ACK, payload, each);
		ip->id = htons(i * id_step);
		ip->check = 0;
		ip->check = packet_fold(packet_sum(0, ip, sizeof(*ip)));
		ring_tx_packet(&r, sent[i].bytes, sent[i].len);
	}
	ring_tx_flush(&r);
	for (unsigned int i = 0; i < segments; i++) {
		struct mytun_rec *rec = ring_rx_wait(&out);
		struct iphdr *ip = rec_packet(rec);

		expect_eq(rec->len, sent[i].len);
		expect(checksums_right(ip, rec->len));
		expect_eq(ntohs(ip->id), i * id_step);
		ip->ttl++;
		ip->check = ((struct iphdr *)sent[i].bytes)->check;
		if (memcmp(ip, sent[i].bytes, rec->len))
			fail("segment %u is not what was sent", i);
		ring_rx_done(&out);
	}
	/* As the stack saw them: in one piece, or two. */
	while (recv(capture, payload, sizeof(payload), MSG_DONTWAIT) > 0)
		merged++;
	expect(merged > 0 && merged <= 3);
}

TEST(tso_counts_ip_id_that_is_fixed)
{
	forwarded(10, 1000, 0);
}

TEST(tso_knows_no_frag_list)
{
	forwarded(44, 1400, 1);
}

TEST(tso_gets_payload_len_wrong_with_ipv6_extension_headers)
{
	struct cut c = cut_new((struct super_kind){ .ipv6 = true, .extensions = 1 });
	uint32_t len;
	uint8_t *p;

	super_send(c.raw, c.t.name, &s);
	while ((p = piece(&c, &len)))
		expect_eq(ntohs(((struct ip6_hdr *)p)->ip6_plen), len - 40);
	expect_pieces(&c);
}

/* TCP in a tunnel: the outer headers are each packet's, too. */
TEST(tso_knows_no_tunnels)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	static uint8_t want[2000];
	unsigned int n = 0;
	uint32_t len;
	int raw;

	iface_up_bare(t.name);
	iface_addr(t.name, AF_INET, "10.8.0.1", 24);
	if (!runs("ip link add tunnel0 type ipip local 10.8.0.1 remote 10.8.0.2"))
		skip("no tunnels");
	run("ip link set tunnel0 up");
	raw = super_socket("tunnel0");
	super_new(&s, (struct super_kind){}, MSS, SEGMENTS, 500);
	super_send(raw, "tunnel0", &s);
	while ((len = super_cut(&s, n, want))) {
		struct mytun_rec *rec = ring_rx_wait(&r);
		struct iphdr *outer = rec_packet(rec);

		expect_eq(rec->len, 20 + len);
		expect_eq(outer->protocol, IPPROTO_IPIP);
		expect_eq(ntohs(outer->tot_len), 20 + len);
		expect_eq(packet_fold(packet_sum(0, outer, 20)), 0);
		if (memcmp(outer + 1, want, len))
			fail("the packet in tunnel packet %u is not right", n);
		ring_rx_done(&r);
		n++;
	}
	expect_eq(n, SEGMENTS);
	expect(!ring_rx(&r));
}

/* The least piece of the super-packets that came by since the last time, if any did. */
static uint32_t least_piece(int capture)
{
	static struct {
		struct virtio_net_hdr vnet;
		uint8_t packet[65000];
	} got;
	uint32_t least = -1;

	while (recv(capture, &got, sizeof(got), MSG_DONTWAIT) > 0)
		if (got.vnet.gso_type && got.vnet.gso_size < least)
			least = got.vnet.gso_size;
	return least;
}

/* One packet stands for more than a 16-bit count of them holds, or nearly: it is dropped, or, by
 * kernels that know better, made of larger pieces.
 */
TEST(gso_segs_overflow_CVE_2026_90063)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 19));
	static uint8_t payload[65000], got[65000];
	struct conn c = conn_here(AF_INET);
	int tcp = tcp_connect_here(&c, &r), capture = raw_socket(t.name), on = 1;
	struct pollfd there = { .fd = capture, .events = POLLIN };
	struct packet p;

	must(setsockopt(capture, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)));
	for (int size = 1; size <= 8; size++) {
		struct conn next = c;
		uint64_t drops = r.tx_cons->drops;
		uint32_t least;

		fill(payload, sizeof(payload), size);
		segment(&p, &next, TH_ACK, payload, 60000);
		super_frame(&r, &p, VIRTIO_NET_HDR_GSO_TCPV4, size);
		ring_tx_flush(&r);
		ring_rx_drain(&r);
		if (r.tx_cons->drops > drops) {
			expect(size < 8);
			expect_errno(recv(tcp, got, 1, MSG_DONTWAIT), EAGAIN);
			expect_eq(least_piece(capture), (uint32_t)-1);
			continue;
		}
		/* Consumed is not yet delivered. */
		expect_eq(must(poll(&there, 1, 5000)), 1);
		least = least_piece(capture);
		expect(least >= 8 && least < 1000);
		expect_eq(must(recv(tcp, got, 60000, MSG_WAITALL)), 60000);
		expect(!memcmp(got, payload, 60000));
		c = next;
	}
	/* Datagrams are counted by all. */
	for (int size = 1; size < 300; size += 100) {
		uint64_t drops = r.tx_cons->drops;

		packet_inbound(&p, &t, AF_INET, payload, 65000);
		super_frame(&r, &p, VIRTIO_NET_HDR_GSO_UDP_L4, size);
		ring_tx_flush(&r);
		expect_eq(r.tx_cons->drops, drops + 1);
	}
}

/* The offsets of a virtio header are from the first byte on, tags or not. */
static void with_vlan(unsigned int vlans)
{
	struct tun in = tun_open("in0", IFF_TAP), out = tun_open("out0", IFF_TAP);
	struct ring r = ring_new(in.fd, ring_args(1 << 18));
	struct ring far = ring_new(out.fd, ring_args(1 << 18));
	static uint8_t want[2000];
	struct mytun_rec *rec;
	unsigned int n = 0;
	uint32_t len;

	bridge("in0", "out0");
	ring_rx_drain(&far);
	super_new(&s, (struct super_kind){ .tap = true, .vlans = vlans }, MSS, SEGMENTS, 500);
	((struct tcphdr *)(s.bytes + s.vnet.csum_start))->th_flags &= ~TH_CWR;
	rec = ring_tx_packet(&r, s.bytes, s.len);
	rec->vnet_flags = s.vnet.flags;
	rec->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	rec->gso_size = s.vnet.gso_size;
	rec->csum_start = s.vnet.csum_start;
	rec->csum_offset = s.vnet.csum_offset;
	ring_tx_flush(&r);
	expect_eq(r.tx_cons->drops, 0);
	while ((len = super_cut(&s, n, want))) {
		rec = ring_rx_wait(&far);
		if (memcmp(rec_packet(rec), s.bytes, 12)) {
			ring_rx_done(&far); /* of the bridge's own */
			continue;
		}
		expect_eq(rec->len, len);
		if (memcmp(rec_packet(rec), want, len))
			fail("piece %u is not right", n);
		ring_rx_done(&far);
		n++;
	}
	expect_eq(n, SEGMENTS);
}

TEST(transport_header_with_vlan_CVE_2026_80905)
{
	with_vlan(1);
}

TEST(transport_header_with_two_vlans_CVE_2026_80905)
{
	with_vlan(2);
}

/* A header on the kernel's stack that is filled in by half. */
TEST(stack_bytes_leaked_to_the_program)
{
	struct tun t = tun_open("", IFF_TUN | IFF_VNET_HDR), u;
	struct {
		struct virtio_net_hdr vnet;
		uint8_t more[22]; /* of the longer header that was asked for */
		uint8_t packet[2000];
	} got;
	static const struct virtio_net_hdr none;
	int size = 32;
	struct mytun_rec *rec;
	struct mytun_info info;
	struct ring r;
	int udp;

	must(ioctl(t.fd, TUNSETVNETHDRSZ, &size));
	iface_up(t.name);
	udp = udp_here(AF_INET);
	for (int i = 0; i < 20; i++) {
		memset(&got, 0xe1, sizeof(got));
		udp_send(udp, "abc", 3);
		expect_eq(must(read(t.fd, &got, sizeof(got))), size + UDP4 + 3);
		expect(!memcmp(&got.vnet, &none, sizeof(none)));
		for (size_t at = 0; at < sizeof(got.more); at++)
			expect_eq(got.more[at], 0xe1);
		for (size_t at = UDP4 + 3; at < sizeof(got.packet); at++)
			expect_eq(got.packet[at], 0xe1);
	}
	tun_close(&t);
	close(udp);

	u = tun_open_up(IFF_TUN);
	r = ring_small(u.fd);
	udp = udp_here(AF_INET);
	for (int i = 0; i < 20; i++) {
		udp_send(udp, "abc", 3);
		rec = ring_rx_wait(&r);
		expect_eq(rec->hash | rec->vnet_flags | rec->gso_type | rec->hdr_len, 0);
		expect_eq(rec->gso_size | rec->csum_start | rec->csum_offset, 0);
		expect_eq(rec->reserved | rec->reserved2 | rec->flags, 0);
		expect_eq(((uint8_t *)rec)[rec->off + rec->len], 0);
		ring_rx_done(&r);
	}
	memset(&info, 0xe1, sizeof(info));
	must(ioctl(u.fd, MYTUN_IOC_INFO, &info));
	for (size_t i = 0; i < ARRAY_SIZE(info.reserved); i++)
		expect_eq(info.reserved[i], 0);
}
