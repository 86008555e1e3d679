// SPDX-License-Identifier: MIT
/* ethtool -c and -C: rx-frames, as the built-in driver keeps it, and what it does with IFF_NAPI. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "tun.h"

static int coalesce(const struct tun *t, uint32_t cmd, struct ethtool_coalesce *ec)
{
	struct ifreq ifr = { .ifr_data = (void *)ec };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), ret;

	memcpy(ifr.ifr_name, t->name, IFNAMSIZ);
	ec->cmd = cmd;
	ret = ioctl(fd, SIOCETHTOOL, &ifr);
	close(fd);
	return ret;
}

static uint32_t rx_frames(const struct tun *t)
{
	struct ethtool_coalesce ec = {};

	must(coalesce(t, ETHTOOL_GCOALESCE, &ec));
	return ec.rx_max_coalesced_frames;
}

TEST(rx_frames_are_kept_up_to_64)
{
	struct tun t = tun_open("", IFF_TUN);
	const uint32_t values[][2] = { { 1, 1 }, { 64, 64 }, { 65, 64 }, { ~0u, 64 }, { 0, 0 } };

	expect_eq(rx_frames(&t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct ethtool_coalesce ec = { .rx_max_coalesced_frames = values[i][0] };

		must(coalesce(&t, ETHTOOL_SCOALESCE, &ec));
		expect_eq(rx_frames(&t), values[i][1]);
	}
}

TEST(rx_usecs_are_kept_up_to_10000)
{
	struct tun t = tun_open("", IFF_TUN);
	const uint32_t values[][2] = { { 1, 1 }, { 10000, 10000 }, { 10001, 10000 }, { 0, 0 } };
	struct ethtool_coalesce ec = {};

	must(coalesce(&t, ETHTOOL_GCOALESCE, &ec));
	expect_eq(ec.rx_coalesce_usecs, 20);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		ec = (struct ethtool_coalesce){ .rx_coalesce_usecs = values[i][0] };
		must(coalesce(&t, ETHTOOL_SCOALESCE, &ec));
		must(coalesce(&t, ETHTOOL_GCOALESCE, &ec));
		expect_eq(ec.rx_coalesce_usecs, values[i][1]);
	}
}

TEST(nothing_else_can_be_set)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ethtool_coalesce ec = { .tx_coalesce_usecs = 10 };

	expect_errno(coalesce(&t, ETHTOOL_SCOALESCE, &ec), EOPNOTSUPP);
}

static void set_coalesce(const struct tun *t, uint32_t frames, uint32_t usecs)
{
	struct ethtool_coalesce ec = {
		.rx_max_coalesced_frames = frames,
		.rx_coalesce_usecs = usecs,
	};

	must(coalesce(t, ETHTOOL_SCOALESCE, &ec));
}

static bool there(int udp)
{
	char byte;

	return recv(udp, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

TEST(written_packets_go_up_together)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_NAPI);
	int udp = udp_here(AF_INET);
	struct packet p;

	set_coalesce(&t, 8, 10000);
	packet_inbound(&p, &t, AF_INET, "one", 3);
	for (int round = 0; round < 20; round++) {
		bool late = false;

		for (int i = 0; i < 7; i++) {
			must(write(t.fd, p.bytes, p.len));
			late |= there(udp);
		}
		must(write(t.fd, p.bytes, p.len));
		for (int i = 0; i < 8; i++)
			udp_expect(udp, "one", 3);
		/* A slow machine's clock may have ended for the first. */
		if (!late)
			return;
	}
	fail("none waited for the eighth");
}

TEST(the_last_written_packets_do_not_wait_for_ever)
{
	const uint32_t usecs[] = { 1, 20, 10000 };
	struct tun t = tun_open_up(IFF_TUN | IFF_NAPI);
	int udp = udp_here(AF_INET);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "one", 3);
	for (size_t u = 0; u < ARRAY_SIZE(usecs); u++) {
		set_coalesce(&t, 64, usecs[u]);
		for (int n = 1; n < 64; n++) {
			for (int i = 0; i < n; i++)
				must(write(t.fd, p.bytes, p.len));
			for (int i = 0; i < n; i++)
				udp_expect(udp, "one", 3);
		}
	}
	set_coalesce(&t, 64, 0);
	must(write(t.fd, p.bytes, p.len));
	udp_expect(udp, "one", 3);
}

/* The clock runs when the queue goes, gets rings, or is out of service. */
TEST(a_queue_with_packets_that_wait_goes)
{
	for (int how = 0; how < 30; how++) {
		struct tun t = tun_open_up(IFF_TUN | IFF_NAPI | IFF_MULTI_QUEUE);
		struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
		int udp = udp_here(AF_INET);
		struct packet p;

		set_coalesce(&t, 64, how % 3 ? 10000 : 500);
		packet_inbound(&p, &t, AF_INET, "one", 3);
		for (int i = 0; i < 5; i++)
			must(write(t.fd, p.bytes, p.len));
		switch (how % 5) {
		case 0:
			must(ioctl(t.fd, TUNSETQUEUE, &off));
			break;
		case 1:
			iface_del(t.name);
			break;
		case 2:
			ring_small(t.fd);
			udp_expect(udp, "one", 3);
			break;
		case 3:
			iface_down(t.name);
			break;
		}
		tun_close(&t);
		iface_del_if_there(t.name);
		close(udp);
	}
}

enum {
	WRITTEN = 5
};

static void write_few(const struct tun *t, const struct packet *p, bool records)
{
	static struct records r;

	if (!records) {
		for (int i = 0; i < WRITTEN; i++)
			must(write(t->fd, p->bytes, p->len));
		return;
	}
	records_on(t->fd);
	records_clear(&r);
	for (int i = 0; i < WRITTEN; i++)
		records_add(&r, p);
	expect_eq(must(write(t->fd, r.bytes, r.len)), r.len);
}

static unsigned long long rx_total(const struct tun *t)
{
	struct rtnl_link_stats64 s = iface_stats(t->name);

	return s.rx_packets + s.rx_dropped;
}

static void detach_queue(struct tun *t)
{
	must(ioctl(t->fd, TUNSETQUEUE, &(struct ifreq){ .ifr_flags = IFF_DETACH_QUEUE }));
}

static void get_rings(struct tun *t)
{
	ring_small(t->fd);
}

/* When their queue goes they arrive at once. */
static void arrive_when(void (*go)(struct tun *t), bool records)
{
	for (int round = 0; round < 10; round++) {
		struct tun t = tun_open_up(IFF_TUN | IFF_NAPI | IFF_MULTI_QUEUE), other;
		int udp = udp_here(AF_INET);
		struct packet p;

		other = tun_open(t.name, IFF_TUN | IFF_NAPI | IFF_MULTI_QUEUE);
		set_coalesce(&t, 64, 10000);
		packet_inbound(&p, &t, AF_INET, "one", 3);
		write_few(&t, &p, records);
		go(&t);
		for (int i = 0; i < WRITTEN; i++) {
			expect(there(udp));
			udp_expect(udp, "one", 3);
		}
		expect_eq(iface_stats(other.name).rx_packets, WRITTEN);
		expect_eq(iface_stats(other.name).rx_bytes, WRITTEN * p.len);
		expect_eq(rx_total(&other), WRITTEN);
		tun_close(&other);
		if (go != tun_close)
			tun_close(&t);
		close(udp);
	}
}

TEST(packets_that_wait_arrive_when_their_queue_goes)
{
	for (int records = 0; records < 2; records++) {
		arrive_when(detach_queue, records);
		arrive_when(tun_close, records);
		arrive_when(get_rings, records);
	}
}

TEST(packets_that_wait_are_counted_when_the_interface_goes_down)
{
	for (int round = 0; round < 20; round++) {
		struct tun t = tun_open_up(IFF_TAP | IFF_NAPI);
		int udp = udp_here(AF_INET);
		long before = mib("Ip", "InReceives");
		struct rtnl_link_stats64 s;
		unsigned int came;
		struct packet p;

		set_coalesce(&t, 64, 10000);
		packet_inbound(&p, &t, AF_INET, "one", 3);
		write_few(&t, &p, round % 2);
		iface_down(t.name);
		eventually(rx_total(&t) == WRITTEN);
		s = iface_stats(t.name);
		expect_eq(s.rx_bytes, s.rx_packets * p.len);
		/* What the interface counts as gone up is what came to IP, */
		expect_eq(mib("Ip", "InReceives") - before, s.rx_packets);
		/* which finds no route for one that came in the last moment. */
		for (came = 0; there(udp); came++)
			udp_expect(udp, "one", 3);
		expect(came <= s.rx_packets);
		tun_close(&t);
		close(udp);
	}
}

TEST(without_napi_no_written_packet_waits_for_another)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ethtool_coalesce ec = { .rx_max_coalesced_frames = 64 };
	int udp = udp_here(AF_INET);
	struct packet p;

	must(coalesce(&t, ETHTOOL_SCOALESCE, &ec));
	packet_inbound(&p, &t, AF_INET, "one", 3);
	for (int i = 0; i < 5; i++) {
		expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
		udp_expect(udp, "one", 3);
	}
}
