// SPDX-License-Identifier: MIT
/*
 * Every byte that comes out of the module is known: what a packet's sender wrote, what the
 * contract says of it, or what was there before. The kernel's memory is dirtied meanwhile, so
 * that a byte of it would not be a zero by chance.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "foreign.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "super.h"
#include "tally.h"

#define SIZE (1u << 17)

static void expect_bytes(const char *what, const void *got, const void *want, size_t len)
{
	const uint8_t *g = got, *w = want;
	size_t at = 0;

	while (at < len && g[at] == w[at])
		at++;
	if (at < len)
		fail("%s: byte %zu of %zu is %#x, not %#x", what, at, len, g[at], w[at]);
}

/* A queue, and what its data area should look like. */
struct known {
	struct tun t;
	struct ring r;
	int raw, offloading;
	uint8_t area[SIZE];
	struct mytun_end rx_prod;
};

static struct known *known_new(int flags, unsigned long offloads, uint32_t ring_flags)
{
	static struct known k;
	struct mytun_rings g = ring_args(SIZE);

	tally_new();
	g.flags = ring_flags;
	g.rx_headroom = 50;
	g.rx_tailroom = 23;
	k.t = tun_open("", flags);
	foreign_fill();
	k.r = ring_new(k.t.fd, g);
	/* New memory is nothing but zeros. */
	expect_bytes("new rings", k.r.rx_data, k.area, SIZE);
	expect_bytes("new rings", k.r.tx_data, k.area, SIZE);
	for (int i = 0; i < 4; i++)
		expect_bytes("new rings", k.r.map + 4096 * i, k.area, 4096);
	must(ioctl(k.t.fd, TUNSETOFFLOAD, offloads));
	iface_up_bare(k.t.name);
	k.raw = raw_socket(k.t.name);
	k.offloading = super_socket(k.t.name);
	fill(k.area, SIZE, 4711);
	memcpy(k.r.rx_data, k.area, SIZE);
	return &k;
}

static void put(struct known *k, uint32_t at, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		k->area[(at + i) % SIZE] = ((const uint8_t *)bytes)[i];
}

/* The next record of the ring is to be that packet, with these virtio fields. */
static void know(struct known *k, const void *packet, uint32_t len, uint16_t proto,
		 const struct virtio_net_hdr *vnet)
{
	struct mytun_rec head = {
		.size = (sizeof(head) + 50 + len + 23 + 15) & -16u,
		.len = len,
		.off = sizeof(head) + 50,
		.proto = htons(proto),
	};

	if (vnet) {
		head.vnet_flags = vnet->flags;
		head.gso_type = vnet->gso_type;
		head.hdr_len = vnet->hdr_len;
		head.gso_size = vnet->gso_size;
		head.csum_start = vnet->csum_start;
		head.csum_offset = vnet->csum_offset;
	}
	/* Which hash it is, and that it is one for both directions, others test. */
	if (k->r.g.flags & MYTUN_RINGS_F_HASH)
		head.hash = ((struct mytun_rec *)(k->r.rx_data + k->rx_prod.pos % SIZE))->hash;
	put(k, k->rx_prod.pos, &head, sizeof(head));
	put(k, k->rx_prod.pos + head.off, packet, len);
	k->rx_prod.pos += head.size;
}

/* All of it is as it is known, and given back. */
static void expect_known(struct known *k)
{
	static const uint8_t zeros[4096];

	expect_eq(load_acquire(&k->r.rx_prod->pos), k->rx_prod.pos);
	expect_bytes("the RX ring", k->r.rx_data, k->area, SIZE);
	expect_bytes("the kernel's end", k->r.rx_prod, &k->rx_prod, sizeof(k->rx_prod));
	expect_bytes("the rest of its page", k->r.rx_prod + 1, zeros, 4096 - sizeof(k->rx_prod));
	expect_bytes("the other end", k->r.tx_cons, zeros, 4096);
	expect_bytes("the TX ring", k->r.tx_data, zeros, 4096);
	store_release(&k->r.rx_cons->pos, k->rx_prod.pos);
}

static void every_byte_of_raw_packets(int flags, uint32_t ring_flags)
{
	struct known *k = known_new(flags, 0, ring_flags);
	uint8_t bytes[1514];

	for (size_t len = k->t.tap ? ETH : 1; len <= 1500; len += len < 100 ? 1 : 31) {
		fill(bytes, len, len);
		bytes[k->t.tap ? 12 : 0] = 0x88;
		bytes[k->t.tap ? 13 : 0] = 0xb5;
		if (len % 8 == 0)
			foreign_fill();
		raw_send(k->raw, 0x88b5, bytes, len);
		know(k, bytes, len, 0x88b5, NULL);
		expect_known(k);
	}
}

TEST(every_byte_of_a_packets_record_is_known)
{
	every_byte_of_raw_packets(IFF_TUN, 0);
}

TEST(every_byte_of_a_frames_record_is_known)
{
	every_byte_of_raw_packets(IFF_TAP, 0);
}

TEST(every_byte_of_a_record_with_a_hash_is_known)
{
	every_byte_of_raw_packets(IFF_TAP, MYTUN_RINGS_F_HASH | MYTUN_RINGS_F_EVENT_IDX);
}

/* Each round a super-packet, which comes in pieces. */
static void every_byte_of_pieces(struct super_kind kind)
{
	struct known *k = known_new(kind.tap ? IFF_TAP : IFF_TUN, 0, 0);
	static uint8_t packet[1 << 16];
	static struct super s;
	uint32_t len;

	for (unsigned int round = 0; round < 40; round++) {
		srandom(round);
		super_random(&s, kind, 40);
		if (s.len / s.mss * 300 + s.len > SIZE)
			continue;
		if (round % 4 == 0)
			foreign_fill();
		super_send(k->offloading, k->t.name, &s);
		for (unsigned int i = 0; (len = super_cut(&s, i, packet)); i++)
			know(k, packet, len, s.proto, NULL);
		expect_known(k);
	}
}

TEST(every_byte_of_the_pieces_of_ipv4_tcp_is_known)
{
	every_byte_of_pieces((struct super_kind){});
}

TEST(every_byte_of_the_pieces_of_ipv6_tcp_is_known)
{
	every_byte_of_pieces((struct super_kind){ .ipv6 = true });
}

TEST(every_byte_of_the_pieces_of_frames_is_known)
{
	every_byte_of_pieces((struct super_kind){ .tap = true, .vlans = 2 });
}

TEST(every_byte_of_a_super_packets_record_is_known)
{
	struct known *k = known_new(IFF_TUN, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN, 0);
	static struct super s;

	for (unsigned int round = 0; round < 40; round++) {
		struct mytun_rec *rec;

		srandom(round);
		super_random(&s, (struct super_kind){}, 40);
		if (round % 4 == 0)
			foreign_fill();
		super_send(k->offloading, k->t.name, &s);
		rec = (struct mytun_rec *)(k->r.rx_data + k->rx_prod.pos % SIZE);
		/* A hint: how much of it lay in one piece. */
		expect(rec->hdr_len >= s.headers && rec->hdr_len <= s.len);
		s.vnet.hdr_len = rec->hdr_len;
		know(k, s.bytes, s.len, s.proto, &s.vnet);
		expect_known(k);
	}
}

/* A plain file: what read(2) wrote of a buffer, and what it did not. */
static void every_byte_of_read(int flags, int vnet_len)
{
	int pi_len = flags & IFF_NO_PI ? 0 : sizeof(struct tun_pi);
	uint8_t bytes[1514], got[2000], want[2000];
	struct ifreq ifr;
	int fd = tun_open_file(), raw;

	tally_new();
	must(tun_set_iff(fd, "", flags, &ifr));
	if (flags & IFF_VNET_HDR)
		must(ioctl(fd, TUNSETVNETHDRSZ, &vnet_len));
	must(fcntl(fd, F_SETFL, O_NONBLOCK));
	iface_up_bare(ifr.ifr_name);
	raw = raw_socket(ifr.ifr_name);
	for (size_t len = ETH; len <= 1500; len += len < 100 ? 1 : 31) {
		struct tun_pi pi = { .proto = htons(0x88b5) };
		size_t room = len % 5 ? sizeof(got) : pi_len + vnet_len + len / 2, n;
		uint8_t *p = want;

		fill(bytes, len, len);
		bytes[12] = 0x88;
		bytes[13] = 0xb5;
		if (len % 8 == 0)
			foreign_fill();
		raw_send(raw, 0x88b5, bytes, len);
		memset(got, 0xe1, sizeof(got));
		memset(want, 0xe1, sizeof(want));
		n = must(read(fd, got, room));
		expect_eq(n, room < sizeof(got) ? room : pi_len + vnet_len + len);
		pi.flags = room < sizeof(got) ? TUN_PKT_STRIP : 0;
		memcpy(p, &pi, pi_len);
		p += pi_len;
		/* Of a longer header than there is, the rest is the program's. */
		memset(p, 0, vnet_len ? sizeof(struct virtio_net_hdr) : 0);
		p += vnet_len;
		memcpy(p, bytes, want + n - p);
		expect_bytes("a buffer", got, want, sizeof(got));
	}
}

TEST(every_byte_of_read_is_known)
{
	every_byte_of_read(IFF_TUN | IFF_NO_PI, 0);
}

TEST(every_byte_of_read_with_headers_is_known)
{
	every_byte_of_read(IFF_TAP | IFF_VNET_HDR, 10);
}

TEST(every_byte_of_read_with_long_headers_is_known)
{
	every_byte_of_read(IFF_TUN | IFF_VNET_HDR, 40);
}

TEST(every_byte_of_read_of_records_is_known)
{
	static uint8_t got[1 << 16], want[1 << 16];
	struct tun t = tun_open("", IFF_TUN);
	uint8_t bytes[1500];
	int raw;

	tally_new();
	records_on(t.fd);
	iface_up_bare(t.name);
	raw = raw_socket(t.name);
	for (size_t len = 1; len <= 1500; len += len < 100 ? 1 : 31) {
		uint8_t *p = want;

		if (len % 8 == 0)
			foreign_fill();
		memset(got, 0xe1, sizeof(got));
		memset(want, 0xe1, sizeof(want));
		for (int i = 0; i < 3; i++) {
			struct mytun_rec head = {
				.size = (sizeof(head) + len + 15) & -16u,
				.len = len,
				.off = sizeof(head),
				.proto = htons(0x88b5),
			};

			fill(bytes, len, len + i);
			raw_send(raw, 0x88b5, bytes, len);
			memset(p, 0, head.size);
			memcpy(p, &head, sizeof(head));
			memcpy(p + head.off, bytes, len);
			p += head.size;
		}
		expect_eq(must(read(t.fd, got, sizeof(got))), p - want);
		expect_bytes("records", got, want, sizeof(got));
	}
}

/* Up the stack: what a capture sees is the packet, not what stands beside it in the ring. */
static void every_byte_that_goes_up(int flags)
{
	struct tun t = tun_open("", flags);
	struct ring r = ring_small(t.fd);
	uint8_t bytes[1514], got[2000];
	int raw;

	tally_new();
	iface_up_bare(t.name);
	raw = raw_socket(t.name);
	for (size_t len = t.tap ? ETH : 1; len <= 1500; len += len < 100 ? 1 : 31) {
		struct sockaddr_ll ll;
		struct sockaddr *from = (struct sockaddr *)&ll;
		socklen_t n = sizeof(ll);
		struct mytun_rec *rec;

		fill(bytes, len, len);
		if (t.tap)
			memcpy(bytes, "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\2\x88\xb5", ETH);
		if (len % 8 == 0)
			foreign_fill();
		rec = ring_tx(&r, len + 64);
		memset(rec + 1, 0xc5, len + 64);
		rec->off += 32;
		rec->len = len;
		rec->proto = htons(0x88b5);
		memcpy(rec_packet(rec), bytes, len);
		ring_tx_flush(&r);
		expect_eq(r.tx_cons->drops, 0);
		memset(got, 0xe1, sizeof(got));
		do
			expect_eq(must(recvfrom(raw, got, sizeof(got), 0, from, &n)),
				  len);
		while (ll.sll_pkttype == PACKET_OUTGOING);
		expect_bytes("a packet", got, bytes, len);
	}
}

TEST(every_byte_that_goes_up_is_known)
{
	every_byte_that_goes_up(IFF_TUN);
}

TEST(every_byte_of_a_frame_that_goes_up_is_known)
{
	every_byte_that_goes_up(IFF_TAP);
}

/* What ioctls answer: nothing behind it, nothing between. */
TEST(every_byte_of_an_answer_is_known)
{
	struct tun t = tun_open("answers", IFF_TUN);
	struct {
		union {
			struct mytun_info info;
			struct mytun_mode mode;
			struct mytun_rings rings;
			struct ifreq ifr;
		};
		uint8_t behind[64];
	} got, want;
	struct mytun_rings g = ring_args(1 << 12);

	tally_new();
	foreign_fill();
	memset(&got, 0xe1, sizeof(got));
	memset(&want, 0xe1, sizeof(want));
	must(ioctl(t.fd, MYTUN_IOC_INFO, &got));
	memset(&want.info, 0, sizeof(want.info));
	memcpy(&want, &got, offsetof(struct mytun_info, reserved)); /* setup/info_* */
	expect_bytes("MYTUN_IOC_INFO", &got, &want, sizeof(got));

	memset(&got, 0xe1, sizeof(got));
	memset(&want, 0xe1, sizeof(want));
	must(ioctl(t.fd, MYTUN_IOC_GET_MODE, &got));
	memset(&want.mode, 0, sizeof(want.mode));
	expect_bytes("MYTUN_IOC_GET_MODE", &got, &want, sizeof(got));

	memset(&got, 0xe1, sizeof(got));
	memset(&want, 0xe1, sizeof(want));
	must(ioctl(t.fd, TUNGETIFF, &got));
	memset(&want.ifr, 0, sizeof(want.ifr));
	strcpy(want.ifr.ifr_name, "answers");
	want.ifr.ifr_flags = got.ifr.ifr_flags;
	expect_bytes("TUNGETIFF", &got, &want, sizeof(got));

	memset(&got, 0xe1, sizeof(got));
	memset(&want, 0xe1, sizeof(want));
	got.rings = g;
	must(ioctl(t.fd, MYTUN_IOC_RINGS, &got));
	g.rx_cons = 0;
	g.tx_prod = 4096;
	g.rx_prod = 2 * 4096;
	g.tx_cons = 3 * 4096;
	g.rx_data = 4 * 4096;
	g.tx_data = 6 * 4096;
	g.map_size = 8 * 4096;
	want.rings = g;
	expect_bytes("MYTUN_IOC_RINGS", &got, &want, sizeof(got));
}
