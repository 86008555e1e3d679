// SPDX-License-Identifier: GPL-2.0
/*
 * Without rings, on a file with IFF_NAPI: what write(2) brings waits in the socket's
 * write queue, and NAPI takes it up, through GRO: at once, or with ethtool -C rx-frames
 * when so many packets are there, or rx-usecs after the first of them. A queue that gets
 * rings gives this up: its NAPI instance serves the TX ring then, which needs no IFF_NAPI.
 *
 * Who writes checks, under the RCU read lock, that the queue is in service, and appends.
 * Who takes the queue out of service says so, waits a grace period, and takes up what
 * is there: nothing is left behind. A packet counts as received when it goes up, or as
 * dropped when the interface is not up any more, or too many wait when the queue leaves.
 */
#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "internal.h"

/* Packets that go up when their queue leaves: more than rx-frames can be. */
#define MYTUN_WRITEQ_LAST (4 * NAPI_POLL_WEIGHT)

static bool mytun_writeq_may_rise(struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;

	if (likely(READ_ONCE(dev->flags) & IFF_UP)) {
		dev_sw_netstats_rx_add(dev, mytun_skb_written(skb));
		return true;
	}
	mytun_rx_dropped_inc(dev);
	kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY);
	return false;
}

static int mytun_writeq_poll(struct napi_struct *napi, int budget)
{
	struct mytun_queue *q = container_of(napi, struct mytun_queue, napi);
	struct sk_buff_head *writeq = &q->sk.sk_write_queue;
	struct sk_buff_head batch;
	struct sk_buff *skb;
	int work = 0;

	/* Whoever takes it out of service takes up what is there. */
	if (unlikely(!mytun_in_service(q) || !rcu_access_pointer(q->md))) {
		napi_complete_done(napi, 0);
		return 0;
	}
	/* The lock once for all: a writer appends from another CPU meanwhile. */
	__skb_queue_head_init(&batch);
	spin_lock(&writeq->lock);
	while (work < budget && (skb = __skb_dequeue(writeq))) {
		__skb_queue_tail(&batch, skb);
		work++;
	}
	spin_unlock(&writeq->lock);

	while ((skb = __skb_dequeue(&batch))) {
		if (!mytun_writeq_may_rise(skb))
			continue;
		mytun_skb_before_gro(skb);
		napi_gro_receive(napi, skb);
	}
	if (work < budget)
		napi_complete_done(napi, work);
	return work;
}

static enum hrtimer_restart mytun_writeq_late(struct hrtimer *timer)
{
	struct mytun_queue *q = container_of(timer, struct mytun_queue, coalesce);

	napi_schedule(&q->napi);
	return HRTIMER_NORESTART;
}

void mytun_writeq_init(struct mytun_queue *q)
{
	mytun_hrtimer_setup(&q->coalesce, mytun_writeq_late);
}

/* There are @waiting packets. The first starts the clock for all that come before it ends. */
static void mytun_writeq_kick(struct mytun_dev *md, struct mytun_queue *q, unsigned int waiting)
{
	unsigned int usecs = READ_ONCE(md->rx_usecs);

	if (likely(!usecs || waiting >= READ_ONCE(md->rx_frames)))
		napi_schedule(&q->napi);
	else if (waiting == 1)
		hrtimer_start(&q->coalesce, ns_to_ktime(usecs * NSEC_PER_USEC), HRTIMER_MODE_REL);
}

/**
 * mytun_writeq_add - a written packet to the queue's NAPI instance
 * @md:  the interface that the packet was written to
 * @q:   the queue
 * @skb: the packet, ready for the stack; the queue's when this succeeds
 *
 * The caller holds the RCU read lock since before it looked at @q->by_napi; softirqs are off.
 *
 * Return: 0; -EBUSY the queue is out of service; -EBADFD it left.
 */
int mytun_writeq_add(struct mytun_dev *md, struct mytun_queue *q, struct sk_buff *skb)
{
	struct sk_buff_head *writeq = &q->sk.sk_write_queue;
	unsigned int waiting;

	if (rcu_access_pointer(q->md) != md)
		return -EBADFD;
	if (!mytun_in_service(q))
		return -EBUSY;
	spin_lock(&writeq->lock);
	__skb_queue_tail(writeq, skb);
	waiting = skb_queue_len(writeq);
	spin_unlock(&writeq->lock);
	mytun_writeq_kick(md, q, waiting);
	return 0;
}

/* The file is attached with IFF_NAPI. */
void mytun_writeq_start(struct mytun_dev *md, struct mytun_queue *q)
{
	ASSERT_RTNL();
	mytun_napi_start(md->dev, &q->napi, mytun_writeq_poll);
	WRITE_ONCE(q->by_napi, true);
}

/*
 * The queue is about to get its rings: silence the instance, so that another poll
 * function can take its place. What GRO held, which only gro_flush_timeout makes it do,
 * is lost.
 */
void mytun_writeq_stop(struct mytun_queue *q)
{
	ASSERT_RTNL();
	WRITE_ONCE(q->by_napi, false);
	mytun_napi_stop(&q->napi);
	synchronize_net();
	mytun_napi_timer_stop(&q->napi);
}

/*
 * Nobody adds any more, and who polls takes nothing: what is there goes up now. Many packets
 * are dropped instead: a program can let any number wait, and others wait for RTNL.
 */
void mytun_writeq_drain(struct mytun_queue *q)
{
	unsigned int left = MYTUN_WRITEQ_LAST;
	struct sk_buff *skb;

	hrtimer_cancel(&q->coalesce);
	while (left-- && (skb = skb_dequeue(&q->sk.sk_write_queue))) {
		local_bh_disable();
		if (mytun_writeq_may_rise(skb))
			netif_receive_skb(skb);
		local_bh_enable();
		cond_resched();
	}
	while ((skb = skb_dequeue(&q->sk.sk_write_queue))) {
		mytun_rx_dropped_inc(skb->dev);
		kfree_skb_reason(skb, SKB_DROP_REASON_FULL_RING);
		cond_resched();
	}
}
