// SPDX-License-Identifier: MIT
/* Packets from elsewhere that lie about themselves, and programs that change their mind while
 * one is under way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "ring.h"
#include "slow.h"
#include "super.h"

/* A checksum that begins in the Ethernet header, which the built-in tun passes on. */
TEST(a_checksum_that_begins_before_the_packet)
{
	struct {
		struct virtio_net_hdr vnet;
		uint8_t frame[300];
	} w = { .vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_offset = 20 } };
	struct tun f = tun_open("far0", IFF_TUN), t;
	uint8_t payload[100] = {};
	struct packet p;
	struct ring far;

	if (access("/dev/net/tun", F_OK))
		skip("no built-in tun");
	iface_up_bare(f.name);
	iface_addr(f.name, AF_INET, "10.8.0.1", 24);
	must(write_file("/proc/sys/net/ipv4/ip_forward", "1"));
	far = ring_new(f.fd, ring_args(1 << 16));
	tun_path = "/dev/net/tun";
	t = tun_open_up(IFF_TAP | IFF_VNET_HDR);
	packet_inbound(&p, &t, AF_INET, payload, sizeof(payload));
	inet_pton(AF_INET, "10.8.0.2", p.bytes + ETH + 16);
	packet_finish(&p, true);
	memcpy(w.frame, p.bytes, p.len);
	if (write(t.fd, &w, sizeof(w.vnet) + p.len) < 0)
		expect_eq(errno, EINVAL);
	sleep_ms(300);
	/* Newer kernels' tun does not take it. */
	expect_eq(far.rx_prod->pos, 0);
}

/* Two VLAN tags in the frame and one beside it, before the longest headers. */
TEST(the_longest_headers_and_a_tag_beside_the_frame)
{
	struct tun t = tun_open("in0", IFF_TAP), u = tun_open("out0", IFF_TAP);
	struct ring r = ring_new(t.fd, ring_args(1 << 18));
	struct ring far = ring_new(u.fd, ring_args(1 << 18));
	static struct super s;
	struct mytun_rec *rec;
	unsigned int seed = 0;

	bridge("in0", "out0");
	ring_rx_drain(&far);
	do {
		srandom(seed++);
		super_random(&s, (struct super_kind){ .tap = true, .vlans = 3 }, 10);
	} while (s.headers != 14 + 12 + 60 + 60 || s.len > 30000);
	super_record(&r, &s);
	ring_tx_flush(&r);
	expect_eq(r.tx_cons->drops, 0);
	for (;; ring_rx_done(&far)) {
		uint8_t *p;

		rec = ring_rx_wait(&far);
		p = rec_packet(rec);
		if (memcmp(p, s.bytes, 16))
			continue;
		expect(rec->len <= s.headers + s.mss);
		expect(!memcmp(p + 142, s.bytes + 142, 4));
		break;
	}
}

/* A VLAN flow that was sent on queue 1, with its tag in the frame, comes back with the tag
 * beside it.
 */
TEST(a_flow_of_a_vlan_comes_back_where_it_was_sent)
{
	struct tun a = tun_open("m0", IFF_TAP | IFF_MULTI_QUEUE);
	struct tun b = tun_open("m0", IFF_TAP | IFF_MULTI_QUEUE), p = tun_open("p0", IFF_TAP);
	struct ring ra = ring_new(a.fd, ring_args(1 << 16));
	struct ring rb = ring_new(b.fd, ring_args(1 << 16));
	unsigned int on_a, on_b;
	struct packet pkt;
	uint8_t frame[300];

	bridge("m0", "p0");
	packet_inbound(&pkt, &a, AF_INET, "hello", 5);
	for (int tagged = 0; tagged < 2; tagged++) {
		unsigned int tag = tagged ? 4 : 0, len = pkt.len + tag;

		ring_rx_drain(&ra);
		ring_rx_drain(&rb);
		on_a = 0;
		on_b = 0;
		for (unsigned int i = 0; i < 16; i++) {
			struct udphdr *uh = (struct udphdr *)(frame + ETH + tag + 20);

			memcpy(frame, pkt.bytes, 12);
			memcpy(frame, "\x02\0\0\0\0\x09", 6);
			if (tagged)
				memcpy(frame + 12, "\x81\0\0\x05", 4);
			memcpy(frame + 12 + tag, pkt.bytes + 12, pkt.len - 12);
			uh->source = htons(3000 + 100 * tagged + i);
			ring_tx_packet(&rb, frame, len);
			ring_tx_flush(&rb);

			/* The answer. */
			memcpy(frame + 6, "\x02\0\0\0\0\x09", 6);
			memcpy(frame, pkt.bytes + 6, 6);
			inet_pton(AF_INET, HERE4, frame + ETH + tag + 12);
			inet_pton(AF_INET, THERE4, frame + ETH + tag + 16);
			uh->dest = uh->source;
			uh->source = htons(PORT_HERE);
			expect_eq(must(write(p.fd, frame, len)), len);
		}
		sleep_ms(100);
		for (; ring_rx(&ra); ring_rx_done(&ra))
			on_a += ring_rx(&ra)->len == len;
		for (; ring_rx(&rb); ring_rx_done(&rb))
			on_b += ring_rx(&rb)->len == len;
		expect_eq(on_a, 0);
		expect_eq(on_b, 16);
	}
}

static bool offload_stop;

static void *offload_toggle(void *arg)
{
	struct tun *t = arg;

	/* A turn for the sender with either, where there is one CPU. */
	while (!__atomic_load_n(&offload_stop, __ATOMIC_RELAXED)) {
		must(ioctl(t->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO6 | TUN_F_TSO_ECN));
		sched_yield();
		must(ioctl(t->fd, TUNSETOFFLOAD, 0));
		sched_yield();
	}
	return NULL;
}

#define EXTENDED_PIECES 3

/* Consumes a record. Return: bytes of the packet; 0: there is none. */
static ssize_t next_record(struct ring *r)
{
	struct mytun_rec *rec = ring_rx(r);
	ssize_t len = rec ? rec->len : 0;

	if (rec)
		ring_rx_done(r);
	return len;
}

/* What is taken whole when the packet is sent, and not any more a moment later. */
static void offload_race(bool rings)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_rings g = ring_args(1 << 17);
	const unsigned int sent = rounds(60000, 6000);
	unsigned int whole = 0, pieces = 0;
	static uint8_t into[70000];
	struct rtnl_link_stats64 stats;
	static struct super s;
	struct ring r = {};
	pthread_t thread;
	ssize_t len;
	int fd;

	g.flags = MYTUN_RINGS_F_HASH;
	if (rings)
		r = ring_new(t.fd, g);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	iface_up_bare(t.name);
	fd = super_socket(t.name);
	/* With many IPv6 extension headers: the module does not cut it. */
	super_new(&s, (struct super_kind){ .ipv6 = true, .extensions = 10 }, 1000,
		  EXTENDED_PIECES, 1000);
	pthread_create(&thread, NULL, offload_toggle, &t);
	for (unsigned int i = 0; i < sent; i++) {
		super_send(fd, t.name, &s);
		while ((len = rings ? next_record(&r) : read(t.fd, into, sizeof(into))) > 0)
			*(len == s.len ? &whole : &pieces) += 1;
		if (i % 16 == 0)
			sched_yield();
	}
	__atomic_store_n(&offload_stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);

	/* Some came whole, some the core cut, and the others were dropped, and counted. */
	stats = iface_stats(t.name);
	printf("# %u packets sent, %u came whole, %u pieces, %llu dropped\n", sent, whole, pieces,
	       (unsigned long long)stats.tx_dropped);
	expect_eq(stats.tx_packets, whole + pieces);
	expect_eq(pieces % EXTENDED_PIECES, 0);
	expect_eq(whole + pieces / EXTENDED_PIECES + stats.tx_dropped, sent);
	expect(whole && pieces);
}

TEST_WITHIN(120, offloads_change_under_a_super_packet_for_a_ring)
{
	offload_race(true);
}

TEST_WITHIN(120, offloads_change_under_a_super_packet_for_read)
{
	offload_race(false);
}
