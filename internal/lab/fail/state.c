// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "state.h"

#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <mytun.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"

static struct state *collected;

static void put(struct state *s, const char *name, long long value)
{
	if (s->n == ARRAY_SIZE(s->fields))
		fail("too many fields");
	snprintf(s->fields[s->n].name, sizeof(s->fields[0].name), "%s", name);
	s->fields[s->n++].value = value;
}

static void put_detail(int type, const void *data, size_t len)
{
	long long value = 0;
	char name[24];

	memcpy(&value, data, len < sizeof(value) ? len : sizeof(value));
	snprintf(name, sizeof(name), "link attribute %d", type);
	put(collected, name, value);
}

static void put_ints(struct state *s, const struct tun *t)
{
	static const struct {
		const char *name;
		unsigned long cmd;
	} ints[] = {
		{ "sndbuf", TUNGETSNDBUF },
		{ "vnet_hdr_sz", TUNGETVNETHDRSZ },
		{ "vnet_le", TUNGETVNETLE },
	};
	int value;

	for (size_t i = 0; i < ARRAY_SIZE(ints); i++) {
		must(ioctl(t->fd, ints[i].cmd, &value));
		put(s, ints[i].name, value);
	}
}

static void put_own(struct state *s, const struct tun *t)
{
	struct mytun_mode mode;
	struct mytun_info info;

	must(ioctl(t->fd, MYTUN_IOC_GET_MODE, &mode));
	put(s, "mode flags", mode.flags);
	put(s, "inject", mode.inject);
	must(ioctl(t->fd, MYTUN_IOC_INFO, &info));
	put(s, "queue", (int)info.queue);
	put(s, "ifindex", info.ifindex);
}

static void put_ifreqs(struct state *s, const struct tun *t)
{
	struct ifreq ifr = {};
	int sk = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	must(ioctl(t->fd, TUNGETIFF, &ifr));
	put(s, "TUNGETIFF", (unsigned short)ifr.ifr_flags);
	must(ioctl(sk, SIOCGIFMTU, &ifr));
	put(s, "mtu", ifr.ifr_mtu);
	must(ioctl(sk, SIOCGIFTXQLEN, &ifr));
	put(s, "txqueuelen", ifr.ifr_qlen);
	must(ioctl(t->fd, SIOCGIFHWADDR, &ifr));
	put(s, "type", ifr.ifr_hwaddr.sa_family);
	for (int i = 0; i < 6; i++)
		put(s, "address", (uint8_t)ifr.ifr_hwaddr.sa_data[i]);
	close(sk);
}

static void put_ethtool(struct state *s, const struct tun *t)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ethtool_coalesce co = { .cmd = ETHTOOL_GCOALESCE };
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block blocks[4];
	} features = { .head = { .cmd = ETHTOOL_GFEATURES, .size = 4 } };
	struct ethtool_cmd link = { .cmd = ETHTOOL_GSET };

	must(iface_ethtool_cmd(t->name, &ch));
	put(s, "channels", ch.combined_count);
	must(iface_ethtool_cmd(t->name, &co));
	put(s, "rx-frames", co.rx_max_coalesced_frames);
	put(s, "rx-usecs", co.rx_coalesce_usecs);
	must(iface_ethtool_cmd(t->name, &features));
	for (unsigned int i = 0; i < features.head.size; i++)
		put(s, "features", features.blocks[i].active);
	must(iface_ethtool_cmd(t->name, &link));
	put(s, "speed", ethtool_cmd_speed(&link));
}

static void put_filter(struct state *s, const struct tun *t)
{
	struct sock_fprog p = {};

	must(ioctl(t->fd, TUNGETFILTER, &p));
	put(s, "filter length", p.len);
	put(s, "filter", (uintptr_t)p.filter);
}

struct state state_of(const struct tun *t)
{
	struct state s = {};

	put_ints(&s, t);
	put_own(&s, t);
	put_ifreqs(&s, t);
	put_ethtool(&s, t);
	if (t->tap)
		put_filter(&s, t);
	collected = &s;
	iface_details(t->name, put_detail);
	return s;
}

bool state_same(const struct state *a, const struct state *b)
{
	return !memcmp(a, b, sizeof(*a));
}

void state_expect(const struct state *is, const struct state *wanted, const char *when)
{
	for (int i = 0; i < wanted->n; i++)
		if (strcmp(is->fields[i].name, wanted->fields[i].name) ||
		    is->fields[i].value != wanted->fields[i].value)
			fail("%s: %s is %#llx, not %s %#llx", when, is->fields[i].name,
			     is->fields[i].value, wanted->fields[i].name, wanted->fields[i].value);
	expect_eq(is->n, wanted->n);
}
