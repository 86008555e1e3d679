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

/* The memory that the skb of a written frame takes, which grows by steps with its headroom. */
static unsigned int truesize(const struct tun *t, size_t len)
{
	uint8_t frame[2000] = { 2, [12] = 0x88, [13] = 0xb5 };
	unsigned int size;
	const char *line;

	close(must(open(TRACING "trace", O_WRONLY | O_TRUNC)));
	must(write_file(TRACING "events/net/netif_receive_skb_entry/enable", "1"));
	expect_eq(must(write(t->fd, frame, len)), len);
	must(write_file(TRACING "events/net/netif_receive_skb_entry/enable", "0"));
	for (line = read_file(TRACING "trace"); (line = strstr(line, "dev=wide ")); line++)
		if (sscanf(strstr(line, "truesize="), "truesize=%u", &size) == 1)
			return size;
	fail("no trace of a frame");
}

static void headroom(void)
{
	struct tun t = tun_open("wide", IFF_TAP);
	unsigned int before[100], grown = 0;

	iface_up_bare(t.name);
	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		before[i] = truesize(&t, 60 + 8 * i);
		say("%zu bytes: %u", 60 + 8 * i, before[i]);
	}
	/* A port of a bridge has the headroom that any other port wants. */
	must(write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"));
	must(write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0"));
	run("ip link add under type dummy && ip link set under up && "
	    "ip link add far type vxlan id 7 remote fd00::1 dev under dstport 4789 && "
	    "ip link add bridge type bridge && ip link set wide master bridge && "
	    "ip link set far master bridge");
	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		unsigned int now = truesize(&t, 60 + 8 * i);

		say("%zu bytes on the bridge: %u", 60 + 8 * i, now);
		grown += now > before[i];
	}
	expect(grown > 0);
}

TEST(headroom_is_given_as_on_tun)
{
	if (!runs("modprobe vxlan && modprobe dummy"))
		skip("this kernel has no vxlan");
	both(headroom);
}
