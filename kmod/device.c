// SPDX-License-Identifier: GPL-2.0
/* The interface: creation, the network device's operations, the link kind. */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/security.h>

#include "compat/gso.h"
#include "internal.h"

/* Limits of the built-in tun: the least that IPv4 allows, the most that its length
 * field holds.
 */
#define MYTUN_MIN_MTU 68
#define MYTUN_MAX_MTU 65535

/* A packet, or a super-packet that the queue can take. */
static bool mytun_deliver(struct mytun_dev *md, struct mytun_queue *q, struct sk_buff *skb,
			  netdev_features_t takes)
{
	struct mytun_rings_mem *r = mytun_rings_get(q);

	if (unlikely(READ_ONCE(md->filtering)) && !mytun_filter(md, q, skb, takes)) {
		mytun_tx_dropped_inc(md->dev);
		return false;
	}
	if (likely(r))
		return mytun_ring_rx(q, r, md, skb, takes);
	if (unlikely(!mytun_takes(takes, skb)) && skb_checksum_help(skb)) {
		mytun_tx_dropped_inc(md->dev);
		kfree_skb_reason(skb, SKB_DROP_REASON_SKB_CSUM);
		return false;
	}
	if (mytun_packet_rx(q, skb))
		return true;
	mytun_tx_dropped_inc(md->dev);
	return false;
}

/*
 * A super-packet that mytun_cut_init() cannot take apart, that is for a queue without
 * rings, or whose packets filters must see: the stack's own segmentation does it, called
 * from here and not by way of ndo_features_check, which would be asked about each small
 * packet, too.
 */
static bool mytun_deliver_segments(struct mytun_dev *md, struct mytun_queue *q,
				   struct sk_buff *skb, netdev_features_t takes)
{
	netdev_features_t features = takes & NETIF_F_HW_CSUM;
	struct sk_buff *segs, *seg, *next;
	bool sent = false;

	segs = skb_gso_segment(skb, features | NETIF_F_SG);
	if (IS_ERR_OR_NULL(segs)) {
		mytun_tx_dropped_inc(md->dev);
		kfree_skb_reason(skb, SKB_DROP_REASON_SKB_GSO_SEG);
		return false;
	}
	consume_skb(skb);
	skb_list_walk_safe(segs, seg, next) {
		skb_mark_not_on_list(seg);
		sent |= mytun_deliver(md, q, seg, takes);
	}
	return sent;
}

/* Whatever is not a packet or super-packet for a ring, as it is. The caller holds the RCU
 * read lock, for filters and for the queueing discipline that backpressure looks at.
 */
static netdev_tx_t mytun_xmit_rcu(struct mytun_dev *md, struct mytun_queue *q,
				  struct sk_buff *skb, netdev_features_t takes)
{
	bool sent;

	if (unlikely(!q)) {
		mytun_tx_dropped_inc(md->dev);
		kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY);
		return NET_XMIT_DROP;
	}
	if (skb->ip_summed == CHECKSUM_PARTIAL && !mytun_sum_in_packet(skb)) {
		mytun_tx_dropped_inc(md->dev);
		skb_tx_error(skb);
		kfree_skb_reason(skb, SKB_DROP_REASON_SKB_CSUM);
		return NET_XMIT_DROP;
	}
	if ((READ_ONCE(q->mode.flags) & MYTUN_MODE_F_BACKPRESSURE) &&
	    mytun_hold(md, q, skb, takes))
		return NETDEV_TX_BUSY;
	if (skb_is_gso(skb) && !mytun_takes(takes, skb) &&
	    (READ_ONCE(md->filtering) || !mytun_rings_get(q) || !mytun_can_cut(skb)))
		sent = mytun_deliver_segments(md, q, skb, takes);
	else
		sent = mytun_deliver(md, q, skb, takes);
	return sent ? NETDEV_TX_OK : NET_XMIT_DROP;
}

static noinline netdev_tx_t mytun_xmit_other(struct mytun_dev *md, struct mytun_queue *q,
					     struct sk_buff *skb, netdev_features_t takes)
{
	netdev_tx_t ret;

	rcu_read_lock();
	ret = mytun_xmit_rcu(md, q, skb, takes);
	rcu_read_unlock();
	return ret;
}

/* That softirqs are off keeps queue and rings as well as the RCU read lock would. */
static netdev_tx_t mytun_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct mytun_dev *md = netdev_priv(dev);
	netdev_features_t takes = READ_ONCE(md->set_features);
	struct mytun_rings_mem *r;
	struct mytun_queue *q;

	q = rcu_dereference_bh(md->queues[skb_get_queue_mapping(skb)]);
	r = likely(q) ? mytun_rings_get(q) : NULL;
	if (likely(r && !READ_ONCE(q->mode.flags) && !READ_ONCE(md->filtering) &&
		   (skb->ip_summed != CHECKSUM_PARTIAL || mytun_sum_in_packet(skb)) &&
		   (!skb_is_gso(skb) || mytun_takes(takes, skb) || mytun_can_cut(skb))))
		return mytun_ring_rx(q, r, md, skb, takes) ? NETDEV_TX_OK : NET_XMIT_DROP;
	return mytun_xmit_other(md, q, skb, takes);
}

/* As TUNSETSTEERINGEBPF says; -1: it is just gone. */
static int mytun_steer(const struct mytun_dev *md, struct sk_buff *skb, unsigned int n)
{
	const struct bpf_prog *prog;
	int queue = -1;

	rcu_read_lock();
	prog = rcu_dereference(md->steering);
	/* Sixteen bits of what the program says, as the built-in tun takes them. */
	if (prog)
		queue = (u16)bpf_prog_run_clear_cb(prog, skb) % n;
	rcu_read_unlock();
	return queue;
}

static u16 mytun_select_queue(struct net_device *dev, struct sk_buff *skb,
			      struct net_device *sb_dev)
{
	const struct mytun_dev *md = netdev_priv(dev);
	/* Pairs with the release in mytun_take_out_of_service(): who sees fewer queues sees no
	 * flow by the number of the one that moved.
	 */
	unsigned int n = smp_load_acquire(&md->numqueues);
	int queue;
	u32 hash;

	if (n <= 1 || !md->flows)
		return 0;
	if (unlikely(rcu_access_pointer(md->steering))) {
		queue = mytun_steer(md, skb, n);
		if (queue >= 0)
			return queue;
	}
	hash = mytun_flow_hash(md, skb);
	queue = mytun_flow_queue(md->flows, hash, n);
	if (queue >= 0)
		return queue;
	/* A flow that the program has not sent yet: as the administrator says. */
	if (unlikely(mytun_dev_has_xps(dev))) {
		queue = netdev_pick_tx(dev, skb, sb_dev);
		if (queue < n) /* not one that is only about to come */
			return queue;
	}
	return reciprocal_scale(hash, n);
}

static int mytun_dev_init(struct net_device *dev)
{
	struct mytun_dev *md = netdev_priv(dev);
	int err;

	dev->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!dev->tstats)
		return -ENOMEM;
	if (md->creator_flags & IFF_MULTI_QUEUE) {
		err = -ENOMEM;
		md->flows = mytun_flows_alloc();
		if (!md->flows)
			goto free_stats;
	}
	err = security_tun_dev_alloc_security(&md->security);
	if (err < 0)
		goto free_flows;

	dev->hw_features = NETIF_F_SG | NETIF_F_FRAGLIST | MYTUN_USER_FEATURES |
			   NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_STAG_TX;
	dev->features |= dev->hw_features;
	mytun_dev_set_lltx(dev);
	dev->vlan_features = dev->hw_features &
			     ~(NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_STAG_TX);

	md->flags |= md->creator_flags & MYTUN_FEATURES;
	err = mytun_attach(md, md->creator, md->creator_flags & IFF_NAPI, false);
	if (err < 0)
		goto free_security;
	return 0;

free_security:
	security_tun_dev_free_security(md->security);
	md->security = NULL;
free_flows:
	mytun_flows_free(md->flows);
	md->flows = NULL;
free_stats:
	free_percpu(dev->tstats);
	dev->tstats = NULL;
	return err;
}

static void mytun_dev_uninit(struct net_device *dev)
{
	mytun_detach_all(netdev_priv(dev));
}

/* After the last reference to a device that was registered. */
static void mytun_dev_free(struct net_device *dev)
{
	struct mytun_dev *md = netdev_priv(dev);

	security_tun_dev_free_security(md->security);
	mytun_filters_free(md);
	mytun_flows_free(md->flows);
	free_percpu(dev->tstats);
	dev->tstats = NULL;
}

/*
 * There is no ndo_stop, which would stop the queues: a sender that is past the core's
 * check of IFF_UP would find one without a qdisc stopped, and the core then blames the
 * driver in the log. mytun_xmit() takes packets at any time.
 */
static int mytun_dev_open(struct net_device *dev)
{
	netif_tx_start_all_queues(dev);
	return 0;
}

static netdev_features_t mytun_fix_features(struct net_device *dev,
					    netdev_features_t features)
{
	const struct mytun_dev *md = netdev_priv(dev);
	netdev_features_t serves = md->set_features;

	/* What a program with rings did not ask for is finished on the way to it. */
	if (md->ringed)
		serves |= MYTUN_USER_FEATURES;
	return features & (serves | ~MYTUN_USER_FEATURES);
}

/* A queue of @md got rings, under RTNL: let the stack send super-packets. */
void mytun_rings_came(struct mytun_dev *md)
{
	if (md->ringed++)
		return;
	md->dev->wanted_features |= MYTUN_USER_FEATURES;
	netdev_update_features(md->dev);
}

/* A queue with rings has left, under RTNL. */
void mytun_rings_left(struct mytun_dev *md)
{
	if (!--md->ringed)
		netdev_update_features(md->dev);
}

static void mytun_set_rx_headroom(struct net_device *dev, int headroom)
{
	struct mytun_dev *md = netdev_priv(dev);
	int max = min_t(int, SKB_MAX_HEAD(0), U16_MAX - 1);

	max -= (md->flags & IFF_TAP) ? ETH_HLEN + NET_IP_ALIGN : 1;
	WRITE_ONCE(md->align, clamp(headroom, NET_SKB_PAD, max));
}

/* Plain files count in the core's per-CPU statistics, rings for themselves. */
static void mytun_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct mytun_dev *md = netdev_priv(dev);
	struct mytun_totals rx, tx, one;
	struct mytun_rings_mem *r;
	struct mytun_queue *q;

	dev_get_tstats64(dev, stats);

	spin_lock_bh(&md->members_lock);
	rx = md->gone_rx;
	tx = md->gone_tx;
	list_for_each_entry(q, &md->members, member) {
		r = mytun_rings_get(q);
		if (!r)
			continue;
		mytun_counters_read(&r->rx.counters, &one);
		mytun_totals_add(&rx, &one);
		mytun_counters_read(&r->tx.counters, &one);
		mytun_totals_add(&tx, &one);
	}
	spin_unlock_bh(&md->members_lock);

	/* What the program receives, the stack transmitted, and the reverse. */
	stats->tx_packets += rx.packets;
	stats->tx_bytes += rx.bytes;
	stats->tx_dropped += rx.drops;
	stats->rx_packets += tx.packets;
	stats->rx_bytes += tx.bytes;
	stats->rx_dropped += tx.drops;
	stats->rx_frame_errors += atomic_long_read(&md->frame_errors);
}

int mytun_change_carrier(struct net_device *dev, bool carrier)
{
	const struct mytun_dev *md = netdev_priv(dev);

	if (!carrier) {
		netif_carrier_off(dev);
		return 0;
	}
	/* No program, no carrier. */
	if (!md->numqueues)
		return -EPERM;
	netif_carrier_on(dev);
	return 0;
}

static void mytun_set_rx_mode(struct net_device *dev)
{
	/* Every packet that the program sends is for us. */
}

#define MYTUN_DEV_OPS                                                                         \
	.ndo_init = mytun_dev_init, .ndo_uninit = mytun_dev_uninit,                           \
	.ndo_open = mytun_dev_open, .ndo_start_xmit = mytun_xmit,                             \
	.ndo_select_queue = mytun_select_queue,                                               \
	.ndo_fix_features = mytun_fix_features, .ndo_set_rx_headroom = mytun_set_rx_headroom, \
	.ndo_get_stats64 = mytun_get_stats64, .ndo_change_carrier = mytun_change_carrier

static const struct net_device_ops mytun_tun_ops = {
	MYTUN_DEV_OPS,
};

static const struct net_device_ops mytun_tap_ops = {
	MYTUN_DEV_OPS,
	.ndo_set_rx_mode = mytun_set_rx_mode,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_features_check = passthru_features_check,
};

static void mytun_setup(struct net_device *dev)
{
	struct mytun_dev *md = netdev_priv(dev);

	md->dev = dev;
	md->owner = INVALID_UID;
	md->group = INVALID_GID;
	md->vnet_hdr_sz = sizeof(struct virtio_net_hdr);
	md->align = NET_SKB_PAD;
	md->rx_usecs = MYTUN_RX_USECS;
	get_random_bytes(&md->hash_seed, sizeof(md->hash_seed));
	spin_lock_init(&md->members_lock);
	INIT_LIST_HEAD(&md->members);
	mytun_link_ksettings_init(md);

	dev->ethtool_ops = &mytun_ethtool_ops;
	dev->rtnl_link_ops = &mytun_link_ops;
	dev->needs_free_netdev = true;
	dev->priv_destructor = mytun_dev_free;
	dev->min_mtu = MYTUN_MIN_MTU;
	/* Of a TUN interface; TAP begins with Ethernet's length. */
	dev->tx_queue_len = MYTUN_READQ_LEN;
}

static void mytun_setup_type(struct net_device *dev, unsigned int type)
{
	if (type == IFF_TUN) {
		dev->netdev_ops = &mytun_tun_ops;
		dev->hard_header_len = 0;
		dev->addr_len = 0;
		dev->mtu = ETH_DATA_LEN;
		dev->type = ARPHRD_NONE;
		dev->flags = IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST;
	} else {
		ether_setup(dev);
		dev->netdev_ops = &mytun_tap_ops;
		dev->priv_flags &= ~IFF_TX_SKB_SHARING;
		dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
		eth_hw_addr_random(dev);
	}
	dev->min_mtu = MYTUN_MIN_MTU;
	dev->max_mtu = MYTUN_MAX_MTU - dev->hard_header_len;

	/* The rings and the read queue are the queue: another one in front of
	 * them costs each packet, and never fills while those drop. A qdisc that
	 * the administrator adds works as on a NIC, with this length.
	 */
	dev->priv_flags |= IFF_NO_QUEUE;
	/* A console on a program's rings would hang with the program, and its hard
	 * interrupts would need stronger locks.
	 */
	dev->priv_flags |= IFF_DISABLE_NETPOLL;
}

static int mytun_validate(struct nlattr *tb[], struct nlattr *data[],
			  struct netlink_ext_ack *extack)
{
	NL_SET_ERR_MSG(extack, "interfaces of this kind are made by opening /dev/net/mytun");
	return -EOPNOTSUPP;
}

struct rtnl_link_ops mytun_link_ops = {
	.kind = MYTUN_NAME,
	.priv_size = sizeof(struct mytun_dev),
	.setup = mytun_setup,
	.validate = mytun_validate,
	.get_size = mytun_link_size,
	.fill_info = mytun_link_fill,
};

/* The sysfs files by which iproute2 knows a tun device. */

unsigned int mytun_iff_flags(const struct mytun_dev *md)
{
	return md->flags & (MYTUN_FEATURES | IFF_PERSIST | IFF_TUN | IFF_TAP);
}

static ssize_t tun_flags_show(struct device *d, struct device_attribute *attr, char *buf)
{
	const struct mytun_dev *md = netdev_priv(to_net_dev(d));

	return sysfs_emit(buf, "0x%x\n", mytun_iff_flags(md));
}
static DEVICE_ATTR_RO(tun_flags);

static ssize_t owner_show(struct device *d, struct device_attribute *attr, char *buf)
{
	const struct mytun_dev *md = netdev_priv(to_net_dev(d));

	if (!uid_valid(md->owner))
		return sysfs_emit(buf, "-1\n");
	return sysfs_emit(buf, "%u\n", from_kuid_munged(current_user_ns(), md->owner));
}
static DEVICE_ATTR_RO(owner);

static ssize_t group_show(struct device *d, struct device_attribute *attr, char *buf)
{
	const struct mytun_dev *md = netdev_priv(to_net_dev(d));

	if (!gid_valid(md->group))
		return sysfs_emit(buf, "-1\n");
	return sysfs_emit(buf, "%u\n", from_kgid_munged(current_user_ns(), md->group));
}
static DEVICE_ATTR_RO(group);

static struct attribute *mytun_attrs[] = {
	&dev_attr_tun_flags.attr,
	&dev_attr_owner.attr,
	&dev_attr_group.attr,
	NULL,
};

static const struct attribute_group mytun_attr_group = {
	.attrs = mytun_attrs,
};

/*
 * Who may attach to an interface that exists: the administrator of its network
 * namespace, or whom TUNSETOWNER and TUNSETGROUP name, all that are set. An
 * interface without owner and group is the administrator's alone.
 */
static bool mytun_may_attach(const struct mytun_dev *md)
{
	const struct cred *cred = current_cred();
	bool owned = uid_valid(md->owner);
	bool grouped = gid_valid(md->group);

	if (ns_capable(dev_net(md->dev)->user_ns, CAP_NET_ADMIN))
		return true;
	if (!owned && !grouped)
		return false;
	return (!owned || uid_eq(cred->euid, md->owner)) &&
	       (!grouped || in_egroup_p(md->group));
}

/* The carrier that an interface has with its first queue. */
static void mytun_first_carrier(struct net_device *dev, const struct ifreq *ifr)
{
	if (ifr->ifr_flags & IFF_NO_CARRIER)
		netif_carrier_off(dev);
	else
		netif_carrier_on(dev);
	/* A persistent device may have been left stopped. */
	if (netif_running(dev))
		netif_tx_wake_all_queues(dev);
}

static int mytun_attach_existing(struct mytun_queue *q, struct net_device *dev,
				 struct ifreq *ifr)
{
	const struct net_device_ops *ops = NULL;
	struct mytun_dev *md = netdev_priv(dev);
	int err;

	if (ifr->ifr_flags & IFF_TUN_EXCL)
		return -EBUSY;
	if (ifr->ifr_flags & IFF_TUN)
		ops = &mytun_tun_ops;
	else if (ifr->ifr_flags & IFF_TAP)
		ops = &mytun_tap_ops;
	if (!ops || dev->netdev_ops != ops)
		return -EINVAL;
	if (!(ifr->ifr_flags & IFF_MULTI_QUEUE) != !(md->flags & IFF_MULTI_QUEUE))
		return -EINVAL;
	if (!mytun_may_attach(md))
		return -EPERM;
	err = security_tun_dev_open(md->security);
	if (err < 0)
		return err;

	q->nofilter = ifr->ifr_flags & IFF_NOFILTER;
	err = mytun_attach(md, q, ifr->ifr_flags & IFF_NAPI, true);
	if (err < 0)
		return err;

	/* The first queue decides on headers and carrier, the others follow. */
	if (md->numqueues + md->numdisabled == 1) {
		md->flags = (md->flags & ~MYTUN_FEATURES) |
			    (ifr->ifr_flags & MYTUN_FEATURES);
		mytun_first_carrier(dev, ifr);
	}
	netdev_state_change(dev);
	return 0;
}

static int mytun_create(struct mytun_queue *q, struct net *net, struct ifreq *ifr,
			struct net_device **created)
{
	unsigned int queues = ifr->ifr_flags & IFF_MULTI_QUEUE ? MYTUN_QUEUES_MAX : 1;
	struct net_device *dev;
	struct mytun_dev *md;
	const char *name;
	unsigned int type;
	int err;

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	err = security_tun_dev_create();
	if (err < 0)
		return err;

	if (ifr->ifr_flags & IFF_TUN) {
		type = IFF_TUN;
		name = "tun%d";
	} else if (ifr->ifr_flags & IFF_TAP) {
		type = IFF_TAP;
		name = "tap%d";
	} else {
		return -EINVAL;
	}
	if (*ifr->ifr_name)
		name = ifr->ifr_name;

	dev = alloc_netdev_mqs(sizeof(struct mytun_dev), name, NET_NAME_UNKNOWN,
			       mytun_setup, queues, queues);
	if (!dev)
		return -ENOMEM;
	dev_net_set(dev, net);
	dev->ifindex = q->ifindex;
	dev->sysfs_groups[0] = &mytun_attr_group;
	mytun_setup_type(dev, type);

	md = netdev_priv(dev);
	md->flags = type;
	md->sndbuf = q->sk.sk_sndbuf;
	md->creator = q;
	md->creator_flags = ifr->ifr_flags;

	err = register_netdevice(dev);
	if (err < 0) {
		free_netdev(dev);
		return err;
	}
	md->creator = NULL;

	/* Not before the device can stand being found by this way. */
	rcu_assign_pointer(q->md, md);
	mytun_first_carrier(dev, ifr);
	*created = dev;
	return 0;
}

/**
 * mytun_set_iff - TUNSETIFF: make an interface, or attach to one that exists
 * @q:   the file's queue
 * @ifr: name and flags as in netdevice(7); gets the interface's name
 *
 * Return: 0; -EINVAL wrong kind, or the file had rings;
 * -EBUSY taken, or IFF_TUN_EXCL and it exists; -EPERM; -E2BIG; -ENOMEM.
 */
int mytun_set_iff(struct mytun_queue *q, struct ifreq *ifr)
{
	struct net *net = sock_net(&q->sk);
	struct net_device *dev;
	int err;

	ASSERT_RTNL();

	/* Rings die with their first interface. */
	if (mytun_rings_get(q))
		return -EINVAL;
	/* Frags-mode NAPI is for the tests of the built-in driver. */
	if (ifr->ifr_flags & IFF_NAPI_FRAGS)
		return -EINVAL;

	dev = __dev_get_by_name(net, ifr->ifr_name);
	err = dev ? mytun_attach_existing(q, dev, ifr) : mytun_create(q, net, ifr, &dev);
	if (err < 0)
		return err;

	strscpy(ifr->ifr_name, dev->name, IFNAMSIZ);
	return 0;
}

/**
 * mytun_set_offload - TUNSETOFFLOAD: which unfinished packets the program takes
 * @md:       the interface
 * @offloads: TUN_F_*
 *
 * Return: 0, or -EINVAL for bits that are not known, so that a program can probe.
 */
int mytun_set_offload(struct mytun_dev *md, unsigned long offloads)
{
	netdev_features_t features = 0;

	if (offloads & TUN_F_CSUM) {
		features |= NETIF_F_HW_CSUM;
		if (offloads & (TUN_F_TSO4 | TUN_F_TSO6)) {
			if (offloads & TUN_F_TSO_ECN)
				features |= NETIF_F_TSO_ECN;
			if (offloads & TUN_F_TSO4)
				features |= NETIF_F_TSO;
			if (offloads & TUN_F_TSO6)
				features |= NETIF_F_TSO6;
			offloads &= ~(TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
		}
		/* UFO is gone from the kernel; old programs still ask. */
		offloads &= ~(TUN_F_CSUM | TUN_F_UFO);
		/* The stack knows only both together. */
		if ((offloads & TUN_F_USO4) && (offloads & TUN_F_USO6)) {
			features |= NETIF_F_GSO_UDP_L4;
			offloads &= ~(TUN_F_USO4 | TUN_F_USO6);
		}
	}
	if (offloads)
		return -EINVAL;

	WRITE_ONCE(md->set_features, features);
	md->dev->wanted_features &= ~MYTUN_USER_FEATURES;
	md->dev->wanted_features |= md->ringed ? MYTUN_USER_FEATURES : features;
	netdev_update_features(md->dev);
	return 0;
}
