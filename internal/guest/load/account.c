// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "account.h"

#include <linux/ethtool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "iface.h"

static uint64_t *sum_of(struct account *a, const char *name)
{
	const struct {
		const char *end;
		uint64_t *sum;
	} sums[] = {
		{ "_packets", *name == 'r' ? &a->rx_packets : &a->tx_packets },
		{ "_bytes", *name == 'r' ? &a->rx_bytes : &a->tx_bytes },
		{ "_drops", *name == 'r' ? &a->rx_drops : &a->tx_drops },
		{ "_holds", &a->rx_holds },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
		const char *end = strrchr(name, '_');

		if (*name != 'q' && end && !strcmp(end, sums[i].end))
			return sums[i].sum;
	}
	return NULL;
}

struct account account_queues(const char *ifname)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} set = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1 << ETH_SS_STATS } };
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;
	struct account a = {};

	must(iface_ethtool_cmd(ifname, &set));
	names = calloc(1, sizeof(*names) + (size_t)set.count * ETH_GSTRING_LEN);
	values = calloc(1, sizeof(*values) + set.count * sizeof(values->data[0]));
	expect(names && values);
	*names = (struct ethtool_gstrings){ ETHTOOL_GSTRINGS, ETH_SS_STATS, set.count };
	must(iface_ethtool_cmd(ifname, names));
	*values = (struct ethtool_stats){ ETHTOOL_GSTATS, set.count };
	must(iface_ethtool_cmd(ifname, values));
	for (uint32_t i = 0; i < values->n_stats; i++) {
		uint64_t *sum = sum_of(&a, (char *)names->data + (size_t)i * ETH_GSTRING_LEN);

		if (sum)
			*sum += values->data[i];
	}
	free(names);
	free(values);
	return a;
}

uint64_t account_published_rx(const struct ring *rings, int queues)
{
	uint64_t drops = 0;

	for (int i = 0; i < queues; i++)
		drops += rings[i].rx_prod->drops;
	return drops;
}

void account_discipline(const char *ifname, uint64_t *passed, uint64_t *dropped)
{
	unsigned long long pkt, drop;
	char command[64], text[4096];
	const char *at;
	FILE *f;

	snprintf(command, sizeof(command), "bash -c 'tc -s qdisc show dev %s'", ifname);
	f = popen(command, "r");
	expect(f != NULL);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	pclose(f);
	at = strstr(text, "Sent ");
	if (!at || sscanf(at, "Sent %*u bytes %llu pkt (dropped %llu,", &pkt, &drop) != 2)
		fail("tc says: %s", text);
	*passed = pkt;
	*dropped = drop;
}

void account_agrees(const char *ifname)
{
	struct account a = account_queues(ifname);
	struct rtnl_link_stats64 s = iface_stats(ifname);

	expect_eq(s.tx_packets, a.rx_packets);
	expect_eq(s.tx_bytes, a.rx_bytes);
	expect_eq(s.tx_dropped, a.rx_drops);
	expect_eq(s.rx_packets, a.tx_packets);
	expect_eq(s.rx_bytes, a.tx_bytes);
	expect_eq(s.rx_dropped, a.tx_drops);
}
