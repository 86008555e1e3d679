// SPDX-License-Identifier: MIT
/* Packets shorter than any that a protocol makes: tc(8) redirects them from an interface whose
 * packets have no Ethernet header.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "slow.h"
#include "tun.h"

/* A file whose packets go to @to. */
static int redirected(const char *to)
{
	int fd = tun_open_file();
	struct ifreq ifr;
	char filter[200];

	must(tun_set_iff(fd, "from0", IFF_TUN, &ifr));
	iface_up_bare("from0");
	snprintf(filter, sizeof(filter),
		 "tc filter add dev from0 ingress matchall action mirred egress redirect dev %s",
		 to);
	if (!runs("tc qdisc add dev from0 ingress") || !runs(filter))
		skip("this kernel's tc redirects nothing");
	return fd;
}

static void send_short(int fd, size_t len)
{
	struct {
		struct tun_pi pi;
		uint8_t bytes[64];
	} w = { .pi = { .proto = 0xb588 }, .bytes = { 0x12, 0x34, 0x56 } };

	expect_eq(must(write(fd, &w, sizeof(w.pi) + len)), sizeof(w.pi) + len);
}

TEST(what_is_too_short_for_an_address_passes_no_filter)
{
	struct {
		struct tun_filter f;
		uint8_t addr[6];
	} one = { .f = { .flags = TUN_FLT_ALLMULTI, .count = 1 }, .addr = { 2 } };
	struct tun t = tap_up(0);
	int from = redirected(t.name);

	expect_eq(ioctl(t.fd, TUNSETTXFILTER, &one), 1);
	send_short(from, 3);
	expect_eq(frames_count(&t), 0);
	expect_eq(iface_stats(t.name).tx_dropped, 1);
	one.f.count = 0;
	expect_eq(ioctl(t.fd, TUNSETTXFILTER, &one), 0);
	send_short(from, 3);
	expect_eq(frames_count(&t), 1);
}

/* The tag stands beside the packet, and has no place in it. */
TEST(what_is_too_short_for_its_tag_is_no_record)
{
	struct tun t = tun_open_up(IFF_TAP);
	static struct records r;
	int from;

	if (vlan_socket(t.name) < 0)
		skip("no VLAN interfaces");
	from = redirected("vlan7");
	records_on(t.fd);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	send_short(from, 3);
	expect_errno(read(t.fd, r.bytes, sizeof(r.bytes)), EAGAIN);
	expect_eq(iface_stats(t.name).tx_dropped, 1);
	send_short(from, ETH - 1);
	expect_errno(read(t.fd, r.bytes, sizeof(r.bytes)), EAGAIN);
	expect_eq(iface_stats(t.name).tx_dropped, 2);
	send_short(from, ETH);
	expect_eq(records_read(&r, t.fd), 1);
	expect_eq(r.rec[0]->len, ETH + 4);
}

/* Nor of a ring: nothing that lies behind it may come along. */
TEST(what_is_too_short_for_its_tag_is_not_in_a_ring)
{
	struct tun t = tun_open_up(IFF_TAP);
	struct ring r = ring_small(t.fd);
	struct mytun_rec *rec;
	int from;

	if (vlan_socket(t.name) < 0)
		skip("no VLAN interfaces");
	from = redirected("vlan7");
	for (size_t len = 1; len < ETH; len++) {
		send_short(from, len);
		expect(!ring_rx(&r));
		expect_eq(iface_stats(t.name).tx_dropped, len);
	}
	send_short(from, ETH);
	rec = ring_rx_wait(&r);
	expect_eq(rec->len, ETH + 4);
	expect(!memcmp(rec_packet(rec), "\x12\x34\x56\0\0\0\0\0\0\0\0\0\x81\0\0\x07\0\0", 18));
}

/* A program is promised a byte. */
TEST(an_empty_packet_is_dropped)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int from = redirected(t.name);

	if (getenv("MYTUN_LAB"))
		skip("this kernel warns of it before it is here");
	send_short(from, 0);
	expect(!ring_rx(&r));
	expect_eq(iface_stats(t.name).tx_dropped, 1);
	send_short(from, 1);
	expect_eq(ring_rx_wait(&r)->len, 1);
}
