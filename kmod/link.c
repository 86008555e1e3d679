// SPDX-License-Identifier: GPL-2.0
/* What `ip -details link` and other users of rtnetlink learn: the built-in tun's words. */
#include <linux/if_link.h>
#include <net/netlink.h>

#include "internal.h"

size_t mytun_link_size(const struct net_device *dev)
{
	return nla_total_size(sizeof(u32)) + /* IFLA_TUN_OWNER */
	       nla_total_size(sizeof(u32)) + /* IFLA_TUN_GROUP */
	       nla_total_size(sizeof(u8)) + /* IFLA_TUN_TYPE */
	       nla_total_size(sizeof(u8)) + /* IFLA_TUN_PI */
	       nla_total_size(sizeof(u8)) + /* IFLA_TUN_VNET_HDR */
	       nla_total_size(sizeof(u8)) + /* IFLA_TUN_PERSIST */
	       nla_total_size(sizeof(u8)) + /* IFLA_TUN_MULTI_QUEUE */
	       nla_total_size(sizeof(u32)) + /* IFLA_TUN_NUM_QUEUES */
	       nla_total_size(sizeof(u32)); /* IFLA_TUN_NUM_DISABLED_QUEUES */
}

static int mytun_link_fill_ids(struct sk_buff *skb, const struct mytun_dev *md)
{
	if (uid_valid(md->owner) &&
	    nla_put_u32(skb, IFLA_TUN_OWNER, from_kuid_munged(current_user_ns(), md->owner)))
		return -EMSGSIZE;
	if (gid_valid(md->group) &&
	    nla_put_u32(skb, IFLA_TUN_GROUP, from_kgid_munged(current_user_ns(), md->group)))
		return -EMSGSIZE;
	return 0;
}

int mytun_link_fill(struct sk_buff *skb, const struct net_device *dev)
{
	const struct mytun_dev *md = netdev_priv(dev);
	unsigned int flags = mytun_iff_flags(md);

	if (nla_put_u8(skb, IFLA_TUN_TYPE, flags & (IFF_TUN | IFF_TAP)) ||
	    mytun_link_fill_ids(skb, md) ||
	    nla_put_u8(skb, IFLA_TUN_PI, !(flags & IFF_NO_PI)) ||
	    nla_put_u8(skb, IFLA_TUN_VNET_HDR, !!(flags & IFF_VNET_HDR)) ||
	    nla_put_u8(skb, IFLA_TUN_PERSIST, !!(flags & IFF_PERSIST)) ||
	    nla_put_u8(skb, IFLA_TUN_MULTI_QUEUE, !!(flags & IFF_MULTI_QUEUE)))
		return -EMSGSIZE;
	if (!(flags & IFF_MULTI_QUEUE))
		return 0;
	if (nla_put_u32(skb, IFLA_TUN_NUM_QUEUES, md->numqueues) ||
	    nla_put_u32(skb, IFLA_TUN_NUM_DISABLED_QUEUES, md->numdisabled))
		return -EMSGSIZE;
	return 0;
}
