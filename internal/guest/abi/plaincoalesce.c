// SPDX-License-Identifier: MIT
/* ethtool -c and -C: rx-frames, as the built-in driver keeps it. */
#define _GNU_SOURCE
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

TEST(nothing_else_can_be_set)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ethtool_coalesce ec = { .rx_coalesce_usecs = 10 };

	expect_errno(coalesce(&t, ETHTOOL_SCOALESCE, &ec), EOPNOTSUPP);
}

TEST(no_written_packet_waits_for_another)
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
