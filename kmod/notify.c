// SPDX-License-Identifier: GPL-2.0
/* What the core does to an interface, and its files must know of. */
#include <linux/notifier.h>
#include <linux/slab.h>

#include "internal.h"

/* `ip link set txqueuelen`: the queues of packets that wait for read(2). */
static int mytun_readqs_resize(struct mytun_dev *md)
{
	unsigned int n = md->numqueues + md->numdisabled, i = 0;
	struct ptr_ring **rings;
	struct mytun_queue *q;
	int err;

	rings = kmalloc_array(n, sizeof(*rings), GFP_KERNEL);
	if (!rings)
		return -ENOMEM;
	list_for_each_entry(q, &md->members, member)
		rings[i++] = &q->readq;
	/* A queue of length 0 would be an interface that carries nothing. */
	err = mytun_ptr_rings_resize(rings, n, md->dev->tx_queue_len ?: 1, GFP_KERNEL,
				     mytun_readq_drop);
	kfree(rings);
	/* They may wait for more packets to be taken than there are now. */
	list_for_each_entry(q, &md->members, member)
		mytun_senders_go(q);
	return err;
}

/* Up again: who waits to write may. */
static void mytun_wake_writers(struct mytun_dev *md)
{
	struct mytun_queue *q;

	list_for_each_entry(q, &md->members, member)
		q->sk.sk_write_space(&q->sk);
}

static int mytun_event(struct notifier_block *nb, unsigned long event, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	if (dev->rtnl_link_ops != &mytun_link_ops)
		return NOTIFY_DONE;

	switch (event) {
	case NETDEV_CHANGE_TX_QUEUE_LEN:
		return notifier_from_errno(mytun_readqs_resize(netdev_priv(dev)));
	case NETDEV_UP:
		mytun_wake_writers(netdev_priv(dev));
		break;
	}
	return NOTIFY_DONE;
}

struct notifier_block mytun_notifier = {
	.notifier_call = mytun_event,
};
