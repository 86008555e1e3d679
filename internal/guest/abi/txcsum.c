// SPDX-License-Identifier: MIT
/* Who says that a packet's checksum is right: the stack, the stack on request, or the program. */
#define _GNU_SOURCE
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

static long csum_errors(int family)
{
	const char *line;
	long n;

	if (family == AF_INET)
		return mib("Udp", "InCsumErrors");
	line = strstr(read_file("/proc/net/snmp6"), "Udp6InCsumErrors");
	if (!line || sscanf(line, "%*s %ld", &n) != 1)
		fail("no Udp6InCsumErrors");
	return n;
}

/* The last byte of a good packet changed, after its checksum was made. */
static struct mytun_rec *corrupt(struct ring *r, const struct tun *t, int family)
{
	struct packet p;

	packet_inbound(&p, t, family, "good", 4);
	p.bytes[p.len - 1] = 'x';
	return ring_tx_packet(r, p.bytes, p.len);
}

static void the_stack_believes_the_program(int flags, int family)
{
	struct tun t = tun_open_up(flags);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(family);
	long before = csum_errors(family);

	corrupt(&r, &t, family);
	ring_tx_flush(&r);
	udp_expect_none(udp);
	expect_eq(csum_errors(family), before + 1);

	corrupt(&r, &t, family)->vnet_flags = VIRTIO_NET_HDR_F_DATA_VALID;
	ring_tx_flush(&r);
	udp_expect(udp, "goox", 4);
	expect_eq(csum_errors(family), before + 1);
	expect_eq(r.tx_cons->drops, 0);
}

TEST(the_stack_believes_the_program_ipv4)
{
	the_stack_believes_the_program(IFF_TUN, AF_INET);
}

TEST(the_stack_believes_the_program_ipv6)
{
	the_stack_believes_the_program(IFF_TUN, AF_INET6);
}

TEST(the_stack_believes_the_program_tap)
{
	the_stack_believes_the_program(IFF_TAP, AF_INET);
}

TEST(a_checksum_to_be_finished_is_finished_whatever_else_is_said)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;

	rec = corrupt(&r, &t, AF_INET);
	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	rec->csum_start = 20;
	rec->csum_offset = 6;
	/* The stack takes it: it is its own to finish. */
	ring_tx_flush(&r);
	udp_expect(udp, "goox", 4);

	/* Lies about its place are still lies. */
	rec = corrupt(&r, &t, AF_INET);
	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	rec->csum_start = rec->len;
	ring_tx_flush(&r);
	udp_expect_none(udp);
	expect_eq(r.tx_cons->drops, 1);
}

TEST(of_a_packet_that_is_none_nothing_is_believed)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct mytun_rec *rec = ring_tx(&r, 3);

	memset(rec_packet(rec), 0x45, 3);
	rec->vnet_flags = VIRTIO_NET_HDR_F_DATA_VALID;
	rec = ring_tx(&r, 1);
	memset(rec_packet(rec), 0x05, 1);
	rec->vnet_flags = VIRTIO_NET_HDR_F_DATA_VALID;
	ring_tx_flush(&r);
	expect_eq(r.tx_cons->drops, 1);
	expect_eq(iface_stats(t.name).rx_packets, 1);
}
