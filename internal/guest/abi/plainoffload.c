// SPDX-License-Identifier: MIT
/* VLAN offloads and headroom, as the built-in driver has them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ethtool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "both.h"
#include "check.h"
#include "iface.h"
#include "packet.h"
#include "slow.h"
#include "tun.h"

#define TRACING "/sys/kernel/tracing/"

static void say_vlan(const struct tun *t)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GFLAGS };

	must(iface_ethtool_cmd(t->name, &v));
	say("flags of VLAN %#x", v.data & (ETH_FLAG_TXVLAN | ETH_FLAG_RXVLAN));
}

static void vlan_offloads(void)
{
	const uint32_t flags[] = { 0, ETH_FLAG_TXVLAN, ETH_FLAG_RXVLAN };
	const int kinds[] = { IFF_TUN, IFF_TAP };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct tun t = tun_open("", kinds[k]);

		say_vlan(&t);
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
			struct ethtool_value v = { .cmd = ETHTOOL_SFLAGS, .data = flags[i] };

			say_call(iface_ethtool_cmd(t.name, &v));
			say_vlan(&t);
		}
		tun_close(&t);
	}
}

TEST(vlan_offloads_are_those_of_tun)
{
	both(vlan_offloads);
}

#define LENGTHS 100

/* An event is switched once for all frames: that stops every CPU, a tenth of a second long. */
static void write_frames(const struct tun *t)
{
	uint8_t frame[2000] = { 2, [12] = 0x88, [13] = 0xb5 };

	close(must(open(TRACING "trace", O_WRONLY | O_TRUNC)));
	must(write_file(TRACING "events/net/netif_receive_skb_entry/enable", "1"));
	for (size_t i = 0; i < LENGTHS; i++)
		expect_eq(must(write(t->fd, frame, 60 + 8 * i)), 60 + 8 * i);
	must(write_file(TRACING "events/net/netif_receive_skb_entry/enable", "0"));
}

/* The memory that the skb of each written frame takes, which grows by steps with its headroom. */
static void truesizes(const struct tun *t, unsigned int sizes[LENGTHS])
{
	char *line = NULL;
	size_t size = 0, found = 0;
	FILE *trace;

	write_frames(t);
	trace = fopen(TRACING "trace", "re");
	expect(trace != NULL);
	while (getline(&line, &size, trace) > 0) {
		if (!strstr(line, "dev=wide "))
			continue;
		expect(found < LENGTHS);
		expect_eq(sscanf(strstr(line, "truesize="), "truesize=%u", &sizes[found]), 1);
		found++;
	}
	expect_eq(found, LENGTHS);
	free(line);
	fclose(trace);
}

static void headroom(void)
{
	struct tun t = tun_open("wide", IFF_TAP);
	unsigned int before[LENGTHS], now[LENGTHS], grown = 0;

	iface_up_bare(t.name);
	truesizes(&t, before);
	/* A port of a bridge has the headroom that any other port wants. */
	must(write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"));
	must(write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0"));
	run("ip link add under type dummy && ip link set under up && "
	    "ip link add far type vxlan id 7 remote fd00::1 dev under dstport 4789 && "
	    "ip link add bridge type bridge && ip link set wide master bridge && "
	    "ip link set far master bridge");
	truesizes(&t, now);
	for (size_t i = 0; i < LENGTHS; i++) {
		say("%zu bytes: %u, on the bridge %u", 60 + 8 * i, before[i], now[i]);
		grown += now[i] > before[i];
	}
	expect(grown > 0);
}

TEST(headroom_is_given_as_on_tun)
{
	if (!runs("modprobe vxlan && modprobe dummy"))
		skip("this kernel has no vxlan");
	both(headroom);
}
