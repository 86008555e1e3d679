// SPDX-License-Identifier: GPL-2.0
/* What ethtool shows: the driver, and per queue what the interface's totals hide. */
#include <linux/ethtool.h>

#include "internal.h"

/* Driver, in the program's words: rx is what the program receives. */
static const char *const mytun_queue_stats[] = {
	"rx_q%u_packets",
	"rx_q%u_bytes",
	"rx_q%u_drops",
	"rx_q%u_wakeups",
	"rx_q%u_holds",
	"rx_q%u_doorbells",
	"tx_q%u_packets",
	"tx_q%u_bytes",
	"tx_q%u_drops",
	"tx_q%u_wakeups",
	"tx_q%u_doorbells",
	"q%u_faulted",
};

static void mytun_get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	const struct mytun_dev *md = netdev_priv(dev);

	strscpy(info->driver, MYTUN_NAME, sizeof(info->driver));
	strscpy(info->bus_info, md->flags & IFF_TUN ? "tun" : "tap", sizeof(info->bus_info));
}

static int mytun_get_sset_count(struct net_device *dev, int set)
{
	const struct mytun_dev *md = netdev_priv(dev);

	/* The core warns of a count of 0, and anybody may ask. */
	if (set != ETH_SS_STATS || !md->numqueues)
		return -EOPNOTSUPP;
	return md->numqueues * ARRAY_SIZE(mytun_queue_stats);
}

static void mytun_get_strings(struct net_device *dev, u32 set, u8 *data)
{
	const struct mytun_dev *md = netdev_priv(dev);
	unsigned int i, j;

	if (set != ETH_SS_STATS)
		return;
	for (i = 0; i < md->numqueues; i++) {
		for (j = 0; j < ARRAY_SIZE(mytun_queue_stats); j++) {
			snprintf(data, ETH_GSTRING_LEN, mytun_queue_stats[j], i);
			data += ETH_GSTRING_LEN;
		}
	}
}

static u64 *mytun_put_totals(u64 *data, const struct mytun_counters *counters)
{
	struct mytun_totals t;

	mytun_counters_read(counters, &t);
	*data++ = t.packets;
	*data++ = t.bytes;
	*data++ = t.drops;
	*data++ = t.wakeups;
	return data;
}

static void mytun_get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats,
				    u64 *data)
{
	const struct mytun_dev *md = netdev_priv(dev);
	struct mytun_rings_mem *r;
	unsigned int i;

	/* A queue without rings shows zeros; the array comes zeroed. */
	for (i = 0; i < md->numqueues; i++) {
		u64 *next = data + ARRAY_SIZE(mytun_queue_stats);

		r = mytun_rings_get(rtnl_dereference(md->queues[i]));
		if (r) {
			data = mytun_put_totals(data, &r->rx.counters);
			*data++ = atomic64_read(&r->rx.holds);
			*data++ = atomic64_read(&r->rx.doorbells);
			data = mytun_put_totals(data, &r->tx.counters);
			*data++ = atomic64_read(&r->tx.doorbells);
			*data++ = READ_ONCE(r->fault);
		}
		data = next;
	}
}

/* The rings of the first queue, in bytes, in the program's words; 0 when it has none. */
static void mytun_get_ringparam(MYTUN_RINGPARAM_ARGS)
{
	const struct mytun_dev *md = netdev_priv(dev);
	const struct mytun_queue *q = rtnl_dereference(md->queues[0]);
	const struct mytun_rings_mem *r = q ? mytun_rings_get(q) : NULL;

	p->rx_max_pending = MYTUN_RING_SIZE_MAX;
	p->tx_max_pending = MYTUN_RING_SIZE_MAX;
	if (r) {
		p->rx_pending = r->geometry.rx_size;
		p->tx_pending = r->geometry.tx_size;
	}
}

static void mytun_get_channels(struct net_device *dev, struct ethtool_channels *channels)
{
	const struct mytun_dev *md = netdev_priv(dev);

	channels->max_combined = md->flags & IFF_MULTI_QUEUE ? MYTUN_QUEUES_MAX : 1;
	channels->combined_count = md->numqueues;
}

/* There is no wire: what the built-in tun says, until somebody says otherwise. */
void mytun_link_ksettings_init(struct mytun_dev *md)
{
	struct ethtool_link_ksettings *cmd = &md->link_ksettings;

	ethtool_link_ksettings_zero_link_mode(cmd, supported);
	ethtool_link_ksettings_zero_link_mode(cmd, advertising);
	cmd->base.speed = SPEED_10000;
	cmd->base.duplex = DUPLEX_FULL;
	cmd->base.port = PORT_TP;
	cmd->base.phy_address = 0;
	cmd->base.autoneg = AUTONEG_DISABLE;
}

static int mytun_get_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *cmd)
{
	const struct mytun_dev *md = netdev_priv(dev);

	*cmd = md->link_ksettings;
	return 0;
}

static int mytun_set_link_ksettings(struct net_device *dev,
				    const struct ethtool_link_ksettings *cmd)
{
	struct mytun_dev *md = netdev_priv(dev);

	md->link_ksettings = *cmd;
	return 0;
}

/*
 * What is written to files with IFF_NAPI goes up when there are rx-frames packets, or
 * rx-usecs after the first; see packet_napi.c. On the built-in tun rx-frames is for vhost
 * alone, which says when more will come.
 */
static int mytun_get_coalesce(struct net_device *dev,
			      struct ethtool_coalesce *ec MYTUN_COALESCE_REST)
{
	const struct mytun_dev *md = netdev_priv(dev);

	ec->rx_max_coalesced_frames = md->rx_frames;
	ec->rx_coalesce_usecs = md->rx_usecs;
	return 0;
}

static int mytun_set_coalesce(struct net_device *dev,
			      struct ethtool_coalesce *ec MYTUN_COALESCE_REST)
{
	struct mytun_dev *md = netdev_priv(dev);

	WRITE_ONCE(md->rx_frames,
		   min_t(u32, ec->rx_max_coalesced_frames, NAPI_POLL_WEIGHT));
	WRITE_ONCE(md->rx_usecs, min_t(u32, ec->rx_coalesce_usecs, MYTUN_RX_USECS_MAX));
	return 0;
}

const struct ethtool_ops mytun_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_RX_MAX_FRAMES |
				     ETHTOOL_COALESCE_RX_USECS,
	.get_coalesce = mytun_get_coalesce,
	.set_coalesce = mytun_set_coalesce,
	.get_drvinfo = mytun_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_ts_info = ethtool_op_get_ts_info,
	.get_link_ksettings = mytun_get_link_ksettings,
	.set_link_ksettings = mytun_set_link_ksettings,
	.get_ringparam = mytun_get_ringparam,
	.get_channels = mytun_get_channels,
	.get_sset_count = mytun_get_sset_count,
	.get_strings = mytun_get_strings,
	.get_ethtool_stats = mytun_get_ethtool_stats,
};
