// SPDX-License-Identifier: GPL-2.0
/* TUNSETLINK: an interface that says it is of another type, for tools that parse it. */
#include <linux/ieee802154.h>
#include <linux/if_arp.h>
#include <linux/in6.h>
#include <linux/rtnetlink.h>
#include <uapi/linux/if_fc.h>
#include <uapi/linux/if_fddi.h>
#include <uapi/linux/if_hippi.h>

#include "internal.h"

/* Of kinds of networks whose headers are not in every kernel. */
#define MYTUN_AX25_ALEN	 7
#define MYTUN_ROSE_ALEN	 5
#define MYTUN_LTALK_ALEN 1
/* Of net/6lowpan.h, which wants more than it gives. */
#define MYTUN_EUI64_ALEN 8

/* Bytes of a hardware address on a link of this type; the built-in tun's table. */
static unsigned char mytun_addr_len(unsigned short type)
{
	switch (type) {
	case ARPHRD_TUNNEL6:
	case ARPHRD_IP6GRE:
		return sizeof(struct in6_addr);
	case ARPHRD_TUNNEL:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
		return sizeof(struct in_addr);
	case ARPHRD_ETHER:
		return ETH_ALEN;
	case ARPHRD_IEEE802154:
	case ARPHRD_IEEE802154_MONITOR:
		return IEEE802154_EXTENDED_ADDR_LEN;
	case ARPHRD_6LOWPAN:
		return MYTUN_EUI64_ALEN;
	case ARPHRD_FDDI:
		return FDDI_K_ALEN;
	case ARPHRD_HIPPI:
		return HIPPI_ALEN;
	case ARPHRD_IEEE802:
		return FC_ALEN;
	case ARPHRD_ROSE:
		return MYTUN_ROSE_ALEN;
	case ARPHRD_NETROM:
		return MYTUN_AX25_ALEN;
	case ARPHRD_LOCALTLK:
		return MYTUN_LTALK_ALEN;
	}
	/* Among them ARPHRD_NONE, ARPHRD_PPP and ARPHRD_PHONET_PIPE. */
	return 0;
}

/**
 * mytun_set_link_type - TUNSETLINK
 * @md:   the interface
 * @type: ARPHRD_*
 *
 * Return: 0; -EBUSY the interface is up; or why somebody in the kernel refused.
 */
int mytun_set_link_type(struct mytun_dev *md, unsigned long type)
{
	struct net_device *dev = md->dev;
	int err;

	ASSERT_RTNL();
	if (dev->flags & IFF_UP)
		return -EBUSY;
	err = notifier_to_errno(call_netdevice_notifiers(NETDEV_PRE_TYPE_CHANGE, dev));
	if (err)
		return err;
	dev->type = type;
	dev->addr_len = mytun_addr_len(dev->type);
	call_netdevice_notifiers(NETDEV_POST_TYPE_CHANGE, dev);
	return 0;
}
