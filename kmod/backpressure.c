// SPDX-License-Identifier: GPL-2.0
/*
 * MYTUN_MODE_F_BACKPRESSURE: what finds no room waits in the queueing discipline, where
 * its sender feels it, instead of being dropped here.
 *
 * A transmit queue is stopped when the packet that is about to be sent leaves too little
 * room for the next, and the packet goes back to the discipline if it does not fit
 * itself. So a queue that is woken for nothing loses nothing: it is stopped anew. Who
 * stops it looks once more afterwards; who makes room looks whether it is stopped, or is
 * told at which position to ring a doorbell. Everything that changes what there is room
 * for (rings, modes, the table of queues, txqueuelen) wakes it, too, after a grace period
 * for those who still go by what was before.
 *
 * Only a discipline can hold packets. Without one (noqueue, and what bypasses it) they are
 * dropped as ever: the core takes a stopped queue for the driver's fault then.
 */
#include <linux/if_vlan.h>
#include <net/sch_generic.h>

#include "internal.h"
#include "trace.h"

/* A super-packet of 64 KiB in records with their headers, and with room to spare; of small
 * rings, a quarter.
 */
#define MYTUN_HOLD_LOW (2U << 16)
/* The longest TCP header, and a tag of a VLAN. */
#define MYTUN_HOLD_HEADERS (60 + VLAN_HLEN)

/* Is there a discipline that takes the packet back? The caller holds the RCU read lock. */
static bool mytun_can_hold(const struct netdev_queue *txq)
{
	const struct Qdisc *qdisc = rcu_dereference(txq->qdisc);

	return qdisc && qdisc->enqueue;
}

/* The most bytes of records that a packet takes; all of the ring if that is less. */
static u32 mytun_hold_need(const struct mytun_ring_rx *rx, const struct sk_buff *skb,
			   netdev_features_t takes)
{
	u64 each, need;

	if (!skb_is_gso(skb) || mytun_takes(takes, skb)) {
		need = mytun_rx_need(rx, skb->len + VLAN_HLEN);
	} else {
		/* Each piece has all that stands before the transport header: IPv6 extension
		 * headers too, of which there may be many.
		 */
		each = rx->room + max(skb_transport_offset(skb), 0) + MYTUN_HOLD_HEADERS +
		       MYTUN_REC_ALIGN;
		need = skb->len + each * DIV_ROUND_UP(skb->len, skb_shinfo(skb)->gso_size);
	}
	return min_t(u64, need, rx->size);
}

/* Free bytes of a ring that is filled up to @pos. When the program lies, enough: it must be
 * found out, not waited for.
 */
static u32 mytun_hold_room(const struct mytun_rings_mem *r, u32 pos)
{
	const struct mytun_ring_rx *rx = &r->rx;
	u32 used;

	used = pos - smp_load_acquire(&rx->cons_page->pos);
	if (unlikely(READ_ONCE(r->fault) || used > rx->size))
		return U32_MAX;
	return rx->size - used;
}

static bool mytun_ring_hold(struct mytun_queue *q, struct mytun_rings_mem *r,
			    struct netdev_queue *txq, u32 need)
{
	struct mytun_ring_rx *rx = &r->rx;
	u32 low = min(rx->size / 4, MYTUN_HOLD_LOW);
	u32 pos = READ_ONCE(rx->pos);
	u32 goal;

	if (likely(mytun_hold_room(r, pos) >= need + low))
		return false;

	goal = max(need, rx->size / 2);
	netif_tx_stop_queue(txq);
	/* Whoever sees this and rings finds the queue stopped. */
	smp_store_release(&rx->prod_page->event, pos - rx->size + goal - 1);
	atomic64_inc(&rx->holds);
	trace_mytun_rx_hold(q, pos);

	/* Pairs with the program's full barrier between its position and its look at
	 * the event field, and with that of mytun_senders_go().
	 */
	smp_mb();
	/* By the same position as the event: senders that no queue holds may have gone on, and
	 * the program be beyond an event for which there is less room now than was asked for.
	 */
	if (mytun_hold_room(r, pos) >= goal)
		netif_tx_wake_queue(txq);
	return mytun_hold_room(r, READ_ONCE(rx->pos)) < need;
}

/* What a packet becomes on its way to read(2). */
static unsigned int mytun_readq_need(const struct sk_buff *skb, netdev_features_t takes)
{
	if (!skb_is_gso(skb) || mytun_takes(takes, skb))
		return 1;
	return DIV_ROUND_UP(skb->len, skb_shinfo(skb)->gso_size);
}

/* Room for @n packets; for all that there can be, if that is less: consumers free their
 * places a batch at a time, and leave the last of an empty queue occupied until then. In
 * which order is theirs to say, and so is whether they mark that as a race.
 */
static bool mytun_readq_has(struct mytun_queue *q, unsigned int n)
{
	struct ptr_ring *ring = &q->readq;
	int at, left;

	spin_lock(&ring->producer_lock);
	at = ring->producer;
	left = min_t(int, n, ring->size - ring->batch + 1);
	for (; left && !data_race(READ_ONCE(ring->queue[at])); left--)
		at = at + 1 < ring->size ? at + 1 : 0;
	spin_unlock(&ring->producer_lock);
	return !left;
}

static bool mytun_readq_hold(struct mytun_queue *q, struct netdev_queue *txq, unsigned int n)
{
	if (likely(mytun_readq_has(q, n)))
		return false;

	atomic_set(&q->taken, 0);
	/* In this order: who takes @held back wakes the queue afterwards. */
	netif_tx_stop_queue(txq);
	smp_mb__after_atomic();
	WRITE_ONCE(q->held, true);
	/* Pairs with the barrier in mytun_readq_taken(). */
	smp_mb();
	if (!mytun_readq_has(q, n))
		return true;
	WRITE_ONCE(q->held, false);
	netif_tx_wake_queue(txq);
	return false;
}

/**
 * mytun_hold - must this packet wait?
 * @md:  the interface
 * @q:   the queue that would get it, with MYTUN_MODE_F_BACKPRESSURE
 * @skb: the packet, as the core gave it; not changed
 * @takes: see mytun_takes()
 *
 * Softirqs are off, and the caller holds the RCU read lock. On a single transmit queue
 * a discipline sends one packet after the other, so that what was found to fit still does
 * when the packet's turn has come.
 *
 * Return: true, and NETDEV_TX_BUSY is the answer to the core.
 */
bool mytun_hold(struct mytun_dev *md, struct mytun_queue *q, const struct sk_buff *skb,
		netdev_features_t takes)
{
	struct netdev_queue *txq = netdev_get_tx_queue(md->dev, skb_get_queue_mapping(skb));
	struct mytun_rings_mem *r = mytun_rings_get(q);

	if (!mytun_can_hold(txq))
		return false;
	if (likely(r))
		return mytun_ring_hold(q, r, txq, mytun_hold_need(&r->rx, skb, takes));
	return mytun_readq_hold(q, txq, mytun_readq_need(skb, takes));
}

/**
 * mytun_senders_go - there may be room again, or other rules
 * @q: a queue; nothing happens when it is not in service
 *
 * Does not sleep.
 */
void mytun_senders_go(struct mytun_queue *q)
{
	struct mytun_dev *md;

	rcu_read_lock();
	md = rcu_dereference(q->md);
	if (md && !READ_ONCE(q->disabled)) {
		WRITE_ONCE(q->held, false);
		netif_tx_wake_queue(netdev_get_tx_queue(md->dev, READ_ONCE(q->index)));
	}
	rcu_read_unlock();
}

/* A packet has been taken out of the read queue: wake at half, as good as that is known. */
void mytun_readq_taken(struct mytun_queue *q)
{
	/* Pairs with the barrier in mytun_readq_hold(): it sees the room, or we that it
	 * waits.
	 */
	smp_mb();
	if (likely(!READ_ONCE(q->held)))
		return;
	if (atomic_inc_return(&q->taken) >= READ_ONCE(q->readq.size) / 2 ||
	    mytun_readq_empty(q))
		mytun_senders_go(q);
}

/**
 * mytun_backpressure_wanted - give an interface that was never up a discipline
 * @dev: the interface
 *
 * Those that were keep what they have, until somebody deletes it with tc(8).
 */
void mytun_backpressure_wanted(struct net_device *dev)
{
	ASSERT_RTNL();
	dev->priv_flags &= ~IFF_NO_QUEUE;
}
