// SPDX-License-Identifier: GPL-2.0
/*
 * Queues come to an interface and leave it. Enabled queues fill the first numqueues
 * entries of mytun_dev.queues without a hole, as the core wants it: when one leaves,
 * the last takes its place and its index.
 */
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/security.h>

#include "internal.h"

/* A detached or faulted queue says so, rather than that there is something to read. */
static void mytun_sigio(struct mytun_queue *q, __poll_t events)
{
	if (events & EPOLLHUP) {
		kill_fasync(&q->fasync, SIGIO, POLL_HUP);
		return;
	}
	if (events & EPOLLIN)
		kill_fasync(&q->fasync, SIGIO, POLL_IN);
	if (events & EPOLLOUT)
		kill_fasync(&q->fasync, SIGIO, POLL_OUT);
}

/* Wake everyone who waits on the file, and tell who asked to be told. */
void mytun_wake(struct mytun_queue *q, __poll_t events)
{
	wake_up_interruptible_poll(&q->socket.wq.wait, events);
	/* What the wake-up is about is published before we look who wants to know. Pairs
	 * with the barrier in mytun_ioc_eventfds().
	 */
	smp_mb();
	if (unlikely(READ_ONCE(q->fasync)))
		mytun_sigio(q, events);
	if (unlikely(rcu_access_pointer(q->rx_eventfd) || rcu_access_pointer(q->tx_eventfd)))
		mytun_eventfds_signal(q, events);
}

/* The interface of a file, kept from being freed until mytun_put(); or NULL. */
struct mytun_dev *mytun_get(struct mytun_queue *q)
{
	struct mytun_dev *md;

	rcu_read_lock();
	md = rcu_dereference(q->md);
	if (md)
		dev_hold(md->dev);
	rcu_read_unlock();
	return md;
}

void mytun_put(struct mytun_dev *md)
{
	dev_put(md->dev);
}

/* Room for one more enabled queue in the core's view. Return: 0 or -ENOMEM. */
static int mytun_grow(struct mytun_dev *md)
{
	unsigned int n = md->numqueues + 1;
	int err;

	/* The number of receive queues only grows: packets that a queue recorded
	 * its index on may still be under way when it leaves, and the core warns
	 * about an index that is out of range.
	 */
	if (n > md->rxqueues) {
		err = netif_set_real_num_rx_queues(md->dev, n);
		if (err)
			return err;
		md->rxqueues = n;
	}
	return netif_set_real_num_tx_queues(md->dev, n);
}

/* After mytun_grow(), which is what can fail. */
static void mytun_put_in_service(struct mytun_dev *md, struct mytun_queue *q)
{
	WRITE_ONCE(q->index, md->numqueues);
	rcu_assign_pointer(md->queues[q->index], q);
	/* Last: whom mytun_select_queue() may choose, the core must know. */
	WRITE_ONCE(md->numqueues, md->numqueues + 1);
}

/*
 * The last queue takes the place of @q as well as its own, and its flows with it. Its packets
 * come to it by either index until the caller takes the old one away.
 */
static void mytun_move_last(struct mytun_dev *md, struct mytun_queue *q)
{
	unsigned int last = md->numqueues - 1;
	struct mytun_queue *moved = rtnl_dereference(md->queues[last]);
	u16 hole = q->index;

	rcu_assign_pointer(md->queues[hole], moved);
	/* Nobody learns a flow of @q's after this, and none of the other's by that index yet. */
	synchronize_net();
	mytun_flows_forget(md->flows, hole);
	WRITE_ONCE(moved->index, hole);
	/* Nor by the old index after this. */
	synchronize_net();
	mytun_flows_rename(md->flows, last, hole);
}

/*
 * Nobody reaches @q through the interface when this returns, and its NAPI instance
 * takes nothing. The caller has RTNL and has cleared q->md, or set q->disabled.
 */
static void mytun_take_out_of_service(struct mytun_dev *md, struct mytun_queue *q)
{
	unsigned int last = md->numqueues - 1;
	bool moves = q->index != last;
	u16 hole = q->index;

	if (moves)
		mytun_move_last(md, q);
	else
		RCU_INIT_POINTER(md->queues[last], NULL);
	/* Pairs with the acquire in mytun_select_queue(): flows have their new number before. */
	smp_store_release(&md->numqueues, last);
	/* After this nobody chooses a queue, or learns a flow, by the old number, and who
	 * polls sees that there is nothing to do.
	 */
	synchronize_net();
	if (!moves && md->flows)
		mytun_flows_forget(md->flows, last);
	/* The core refuses 0. */
	netif_set_real_num_tx_queues(md->dev, max(last, 1U));
	if (moves) {
		/* Until here what was under way to the moved queue by its old index came to it.
		 * Who came so may have stopped what nobody wakes by that index any more.
		 */
		RCU_INIT_POINTER(md->queues[last], NULL);
		synchronize_net();
	}
	/* Those of the queue that left, or of the one that took its place. And by the old index:
	 * who comes next by that must not find them stopped, and what went back to a discipline,
	 * and is dropped, must not block it.
	 */
	netif_tx_wake_queue(netdev_get_tx_queue(md->dev, hole));
	netif_tx_wake_queue(netdev_get_tx_queue(md->dev, last));
	mytun_readq_purge(q);
	mytun_writeq_drain(q);
}

/**
 * mytun_attach - put a file on an interface
 * @md:      the interface
 * @q:       the file's queue, not attached
 * @napi:    what is written to it goes up by NAPI
 * @publish: let the file reach the interface at once; false while the interface is
 *           not yet registered
 *
 * Return: 0; -EBUSY a single-queue interface has its queue; -E2BIG it has
 * MYTUN_QUEUES_MAX; -ENOMEM; what the security module says.
 */
int mytun_attach(struct mytun_dev *md, struct mytun_queue *q, bool napi, bool publish)
{
	int err;

	ASSERT_RTNL();

	err = security_tun_dev_attach(&q->sk, md->security);
	if (err < 0)
		return err;
	if (!(md->flags & IFF_MULTI_QUEUE) && md->numqueues == 1)
		return -EBUSY;
	if (md->numqueues + md->numdisabled == MYTUN_QUEUES_MAX)
		return -E2BIG;
	if (ptr_ring_resize(&q->readq, md->dev->tx_queue_len ?: 1, GFP_KERNEL,
			    mytun_skb_free))
		return -ENOMEM;
	err = mytun_grow(md);
	if (err)
		return err;

	sock_hold(&q->sk);
	mytun_sndbuf_apply(q, md);
	spin_lock_bh(&md->members_lock);
	list_add_tail(&q->member, &md->members);
	spin_unlock_bh(&md->members_lock);
	if (napi)
		mytun_writeq_start(md, q);
	mytun_put_in_service(md, q);

	/* Last, when the queue is whole: others may find it from here on. */
	if (publish)
		rcu_assign_pointer(q->md, md);
	return 0;
}

/* Count what the rings of a leaving queue carried with the interface. */
static void mytun_leave_members(struct mytun_dev *md, struct mytun_queue *q)
{
	struct mytun_rings_mem *r = mytun_rings_get(q);
	struct mytun_totals rx, tx;

	spin_lock_bh(&md->members_lock);
	list_del_init(&q->member);
	if (r) {
		mytun_counters_read(&r->rx.counters, &rx);
		mytun_counters_read(&r->tx.counters, &tx);
		mytun_totals_add(&md->gone_rx, &rx);
		mytun_totals_add(&md->gone_tx, &tx);
	}
	spin_unlock_bh(&md->members_lock);
}

static bool mytun_has_napi(const struct mytun_queue *q)
{
	return q->by_napi || mytun_rings_get(q);
}

/* The first step for a queue that leaves. A grace period follows. */
static void mytun_leave_napi(struct mytun_queue *q)
{
	if (mytun_has_napi(q))
		mytun_napi_stop(&q->napi);
}

/* The last steps for a queue that nobody reaches any more, a grace period after the first. */
static void mytun_part(struct mytun_dev *md, struct mytun_queue *q)
{
	if (mytun_has_napi(q))
		mytun_napi_timer_stop(&q->napi);
	WRITE_ONCE(q->disabled, false);
	WRITE_ONCE(q->by_napi, false);
	mytun_inject_stop(q);
	/* Not whole: a doorbell that comes late may look. */
	WRITE_ONCE(q->mode.flags, 0);
	WRITE_ONCE(q->mode.inject, 0);
	mytun_rings_detached(q);
	mytun_leave_members(md, q);
	/* Who waits in write(2) for memory must not keep the interface waiting, either. */
	mytun_wake(q, EPOLLIN | EPOLLOUT | EPOLLHUP);
	sock_put(&q->sk);
}

/**
 * mytun_detach - take a file off its interface for good
 * @q: the file's queue; does nothing when it is not attached
 *
 * Deletes the interface with its last queue, unless it is persistent.
 */
void mytun_detach(struct mytun_queue *q)
{
	struct mytun_dev *md = rtnl_dereference(q->md);
	struct net_device *dev;

	ASSERT_RTNL();
	if (!md)
		return;
	dev = md->dev;

	RCU_INIT_POINTER(q->md, NULL);
	if (q->disabled)
		md->numdisabled--;
	else
		mytun_take_out_of_service(md, q);
	mytun_leave_napi(q);
	synchronize_net();
	mytun_part(md, q);

	if (md->numqueues + md->numdisabled == 0) {
		netif_carrier_off(dev);
		if (!(md->flags & IFF_PERSIST) && dev->reg_state == NETREG_REGISTERED) {
			unregister_netdevice(dev);
			return;
		}
	}
	if (mytun_rings_get(q))
		mytun_rings_left(md);
	netdev_state_change(dev);
}

/* IFF_DETACH_QUEUE: stays attached, carries nothing. */
int mytun_queue_disable(struct mytun_queue *q)
{
	struct mytun_dev *md = rtnl_dereference(q->md);

	ASSERT_RTNL();
	if (!md || !(md->flags & IFF_MULTI_QUEUE) || q->disabled)
		return -EINVAL;

	/* First: who sees it takes nothing, and does not learn flows under an index that is
	 * passing on. The NAPI instance is not disabled, which others could wait for.
	 */
	WRITE_ONCE(q->disabled, true);
	mytun_take_out_of_service(md, q);
	md->numdisabled++;
	netdev_state_change(md->dev);
	return 0;
}

/* IFF_ATTACH_QUEUE. */
int mytun_queue_enable(struct mytun_queue *q)
{
	struct mytun_dev *md = rtnl_dereference(q->md);
	int err;

	ASSERT_RTNL();
	if (!md || !q->disabled)
		return -EINVAL;
	err = security_tun_dev_attach_queue(md->security);
	if (err < 0)
		return err;

	err = mytun_grow(md);
	if (err)
		return err;

	md->numdisabled--;
	mytun_put_in_service(md, q);
	/* Pairs with the acquire in mytun_in_service(): who learns flows under its index has
	 * the new one.
	 */
	smp_store_release(&q->disabled, false);
	/* Records may have come while nobody took them, and the program believes that a
	 * doorbell was rung for them. Pairs with the full barriers of napi_schedule_prep() and
	 * mytun_inject_wake(), behind which who polls looks whether the queue is in service.
	 */
	smp_mb();
	if (mytun_rings_get(q))
		mytun_inject_kick(q);
	/* Senders find it already, and may wait for what made room when it could tell nobody. */
	mytun_senders_go(q);
	netdev_state_change(md->dev);
	return 0;
}

/**
 * mytun_detach_all - the interface is being deleted under its files
 * @md: the interface
 *
 * One grace period for all queues together; the files live on, answering EBADFD.
 */
void mytun_detach_all(struct mytun_dev *md)
{
	struct mytun_queue *q, *next;
	unsigned int i;

	ASSERT_RTNL();

	list_for_each_entry(q, &md->members, member) {
		RCU_INIT_POINTER(q->md, NULL);
		mytun_leave_napi(q);
	}
	for (i = 0; i < md->numqueues; i++)
		RCU_INIT_POINTER(md->queues[i], NULL);
	WRITE_ONCE(md->numqueues, 0);
	md->numdisabled = 0;

	synchronize_net();
	list_for_each_entry_safe(q, next, &md->members, member) {
		mytun_readq_purge(q);
		mytun_writeq_drain(q);
		mytun_part(md, q);
	}

	if (md->flags & IFF_PERSIST)
		module_put(THIS_MODULE);
}
