// SPDX-License-Identifier: MIT
/* TX records whose header lies about the packet: dropped, counted, the others arrive. */
#define _GNU_SOURCE
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

static struct mytun_rec *good(struct ring *r, const struct tun *t, const char *text)
{
	struct packet p;

	packet_inbound(&p, t, AF_INET, text, strlen(text));
	return ring_tx_packet(r, p.bytes, p.len);
}

/* What @spoil makes of a good record is dropped, and those around it are not. */
static void dropped(int flags, void (*spoil)(struct mytun_rec *rec))
{
	enum {
		BAD = 5
	};
	struct tun t = tun_open_up(flags);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	int udp = udp_here(AF_INET);
	char text[32];

	for (int i = 0; i < BAD; i++) {
		sprintf(text, "before %d", i);
		good(&r, &t, text);
		spoil(good(&r, &t, "bad"));
	}
	good(&r, &t, "last");
	ring_tx_flush(&r);
	for (int i = 0; i < BAD; i++)
		udp_expect(udp, text, sprintf(text, "before %d", i));
	udp_expect(udp, "last", 4);
	udp_expect_none(udp);

	expect_eq(r.tx_cons->drops, BAD);
	expect_eq(r.tx_cons->flags, 0);
	expect_eq(iface_stats(t.name).rx_dropped, BAD);
	expect_eq(iface_stats(t.name).rx_packets, BAD + 1);
	expect_eq(iface_ethtool(t.name, "tx_q0_drops"), BAD);
	expect_eq(iface_ethtool(t.name, "tx_q0_packets"), BAD + 1);
	expect_eq(iface_ethtool(t.name, "q0_faulted"), 0);
	must(ring_doorbell(&r));
}

#define DROPS(kind, name, ...)                          \
	static void spoil_##name(struct mytun_rec *rec) \
	{                                               \
		__VA_ARGS__;                            \
	}                                               \
	TEST(dropped_##name)                            \
	{                                               \
		dropped(kind, spoil_##name);            \
	}

DROPS(IFF_TUN, no_packet, rec->len = 0)
DROPS(IFF_TUN, packet_at_the_header, rec->off = 0)
DROPS(IFF_TUN, packet_in_the_header, rec->off = sizeof(*rec) - 1)
DROPS(IFF_TUN, packet_past_the_record, rec->off = rec->size + 1)
DROPS(IFF_TUN, packet_far_past_the_record, rec->off = 0xffff)
DROPS(IFF_TUN, packet_at_the_records_end, rec->off = rec->size)
DROPS(IFF_TUN, packet_one_byte_too_long_for_its_record, rec->len = rec->size - rec->off + 1)
DROPS(IFF_TUN, packet_of_4_gib, rec->len = ~0u)
DROPS(IFF_TUN, packet_whose_end_wraps_around, rec->len = -(uint32_t)rec->off)
DROPS(IFF_TUN, packet_that_is_longer_with_a_later_begin, rec->off += rec->size - rec->len)

DROPS(IFF_TUN, unknown_flag, rec->flags = MYTUN_REC_F_SKIP << 1)
DROPS(IFF_TUN, unknown_highest_flag, rec->flags = 1 << 15)
DROPS(IFF_TUN, unknown_flag_beside_skip, rec->flags = MYTUN_REC_F_SKIP | 1 << 15)

DROPS(IFF_TUN, ip_version_0, *(uint8_t *)rec_packet(rec) = 0x05)
DROPS(IFF_TUN, ip_version_5, *(uint8_t *)rec_packet(rec) = 0x55)
DROPS(IFF_TUN, ip_version_15, *(uint8_t *)rec_packet(rec) = 0xf5)

DROPS(IFF_TAP, no_frame, rec->len = 0)
DROPS(IFF_TAP, frame_of_one_byte, rec->len = 1)
DROPS(IFF_TAP, frame_shorter_than_its_header, rec->len = 13)
DROPS(IFF_TAP, frame_in_the_header, rec->off = sizeof(*rec) - 1)
DROPS(IFF_TAP, frame_too_long_for_its_record, rec->len = rec->size - rec->off + 1)
DROPS(IFF_TAP, unknown_flag_tap, rec->flags = MYTUN_REC_F_SKIP << 1)

DROPS(IFF_TUN, unknown_kind_of_gso, rec->gso_type = 0x7f, rec->gso_size = 100)
DROPS(IFF_TUN, gso_of_size_0, rec->gso_type = VIRTIO_NET_HDR_GSO_TCPV4)
DROPS(IFF_TUN, checksum_beyond_the_packet, rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      rec->csum_start = rec->len)
DROPS(IFF_TUN, checksum_that_straddles_the_end, rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      rec->csum_start = 20, rec->csum_offset = rec->len - 21)
DROPS(IFF_TUN, checksum_whose_place_wraps_around, rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      rec->csum_start = 0xffff, rec->csum_offset = 0xffff)
DROPS(IFF_TAP, checksum_of_the_frames_header, rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      rec->csum_start = 0, rec->csum_offset = 40)
DROPS(IFF_TAP, checksum_from_the_frames_header_on,
      rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, rec->csum_start = 13, rec->csum_offset = 27)
DROPS(IFF_TAP, checksum_beyond_the_frame, rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      rec->csum_start = 0xfff0, rec->csum_offset = 6)

TEST(longest_packet_is_sent_and_a_longer_one_dropped)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;

	good(&r, &t, "before");
	rec = ring_tx(&r, MYTUN_PACKET_MAX);
	memset(rec_packet(rec), 0x45, rec->len);
	rec = ring_tx(&r, MYTUN_PACKET_MAX + 1);
	memset(rec_packet(rec), 0x45, rec->len);
	good(&r, &t, "after");
	ring_tx_flush(&r);
	udp_expect(udp, "before", 6);
	udp_expect(udp, "after", 5);
	expect_eq(r.tx_cons->drops, 1);
	expect_eq(iface_stats(t.name).rx_packets, 3);
	expect_eq(iface_stats(t.name).rx_dropped, 1);
}

TEST(headers_of_random_bits_harm_nobody)
{
	struct tun t = tun_open_up(IFF_TAP);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET), others = 0;
	char text[256];

	for (unsigned int i = 0; i < 1000; i++) {
		struct mytun_rec *rec = good(&r, &t, "random"), keep = *rec;

		fill(rec, sizeof(*rec), i);
		rec->size = keep.size;
		if (i & 1) /* get further in */
			rec->flags = 0;
		if (i & 2)
			rec->off = keep.off;
		if (i & 4)
			rec->len = keep.len;
		if (i & 8)
			rec->gso_type &= 7, rec->vnet_flags &= 1;
		good(&r, &t, "good");
		ring_tx_flush(&r);
		for (;;) {
			ssize_t n = must(recv(udp, text, sizeof(text), 0));

			if (n == 4 && !memcmp(text, "good", 4))
				break;
			others++;
		}
	}
	expect(others > 0 && others < 900);
	expect_eq(r.tx_cons->flags, 0);
}
