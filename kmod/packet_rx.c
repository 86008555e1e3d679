// SPDX-License-Identifier: GPL-2.0
/* Without rings: packets wait in a queue, and read(2) takes one. */
#include <linux/if_vlan.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "compat/vnet.h"
#include "internal.h"

void mytun_skb_free(void *ptr)
{
	kfree_skb(ptr);
}

/* A packet that nobody will read any more. Its interface is still there. */
void mytun_readq_drop(void *ptr)
{
	struct sk_buff *skb = ptr;

	mytun_tx_dropped_inc(skb->dev);
	kfree_skb(skb);
}

void mytun_readq_purge(struct mytun_queue *q)
{
	struct sk_buff *skb;

	while ((skb = ptr_ring_consume_bh(&q->readq)))
		mytun_readq_drop(skb);
}

/**
 * mytun_packet_rx - one packet from the stack to whoever reads the file
 * @q:   the queue
 * @skb: the packet; consumed
 *
 * Softirqs are off, and the caller holds the RCU read lock.
 *
 * Return: false when the packet was dropped; the caller counts it.
 */
bool mytun_packet_rx(struct mytun_queue *q, struct sk_buff *skb)
{
	if (unlikely(skb_orphan_frags_rx(skb, GFP_ATOMIC))) {
		kfree_skb_reason(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT);
		return false;
	}
	skb_tx_timestamp(skb);

	/* It may wait here for ever: let go of the sender's memory and conntrack. */
	skb_orphan(skb);
	nf_reset_ct(skb);

	/* Which looks, without a mark, at what a consumer may be about to free. */
	if (data_race(ptr_ring_produce(&q->readq, skb))) {
		skb_tx_error(skb);
		kfree_skb_reason(skb, SKB_DROP_REASON_FULL_RING);
		return false;
	}
	mytun_wake(q, EPOLLIN | EPOLLRDNORM);
	return true;
}

/* As ptr_ring_empty_bh(), whose plain read of what a producer writes is a data race. */
bool mytun_readq_empty(struct mytun_queue *q)
{
	bool empty;

	spin_lock_bh(&q->readq.consumer_lock);
	empty = !__ptr_ring_peek(&q->readq);
	spin_unlock_bh(&q->readq.consumer_lock);
	return empty;
}

/* Why a read that found nothing must not wait; or 0. */
static int mytun_readq_why_not(const struct mytun_queue *q, bool noblock)
{
	if (mytun_rings_get(q))
		return -EBUSY;
	if (!rcu_access_pointer(q->md))
		return -EBADFD;
	if (noblock)
		return -EAGAIN;
	return signal_pending(current) ? -ERESTARTSYS : 0;
}

/*
 * Waits until there is a packet, and holds nothing meanwhile, so that the interface can go.
 * Return: 0, or why not.
 */
int mytun_readq_wait(struct mytun_queue *q, bool noblock)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err = 0;

	if (!mytun_readq_empty(q))
		return 0;
	add_wait_queue(&q->socket.wq.wait, &wait);
	while (mytun_readq_empty(q)) {
		err = mytun_readq_why_not(q, noblock);
		if (err)
			break;
		wait_woken(&wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
	}
	remove_wait_queue(&q->socket.wq.wait, &wait);
	return err;
}

/*
 * The packet with the headers that the file was set up for. A buffer that is too
 * short gets the beginning; only the headers must fit. Return: what the whole
 * would have taken, or an error.
 */
static ssize_t mytun_put_user(struct mytun_dev *md, struct sk_buff *skb, struct iov_iter *to)
{
	struct tun_pi pi = { .proto = skb->protocol };
	unsigned int flags = READ_ONCE(md->flags);
	int vnet_hdr_sz = flags & IFF_VNET_HDR ? READ_ONCE(md->vnet_hdr_sz) : 0;
	int vlan_hlen = skb_vlan_tag_present(skb) ? VLAN_HLEN : 0;
	ssize_t total = skb->len + vlan_hlen + vnet_hdr_sz;
	struct virtio_net_hdr vnet;
	int offset = 0;

	if (!(flags & IFF_NO_PI)) {
		if (iov_iter_count(to) < sizeof(pi))
			return -EINVAL;
		total += sizeof(pi);
		if (iov_iter_count(to) < total)
			pi.flags |= TUN_PKT_STRIP;
		if (copy_to_iter(&pi, sizeof(pi), to) != sizeof(pi))
			return -EFAULT;
	}

	if (vnet_hdr_sz) {
		if (iov_iter_count(to) < vnet_hdr_sz)
			return -EINVAL;
		if (mytun_vnet_from_skb(skb, &vnet, mytun_vnet_is_le(md), vlan_hlen))
			return -EINVAL;
		if (copy_to_iter(&vnet, sizeof(vnet), to) != sizeof(vnet))
			return -EFAULT;
		iov_iter_advance(to, vnet_hdr_sz - sizeof(vnet));
	}

	if (vlan_hlen) {
		struct {
			__be16 proto;
			__be16 tci;
		} tag = { skb->vlan_proto, htons(skb_vlan_tag_get(skb)) };

		offset = offsetof(struct vlan_ethhdr, h_vlan_proto);
		if (skb_copy_datagram_iter(skb, 0, to, min_t(size_t, offset, iov_iter_count(to))))
			return -EFAULT;
		if (copy_to_iter(&tag, min(sizeof(tag), iov_iter_count(to)), to) != sizeof(tag))
			goto done;
	}
	if (skb_copy_datagram_iter(skb, offset, to,
				   min_t(size_t, skb->len - offset, iov_iter_count(to))))
		return -EFAULT;
done:
	local_bh_disable(); /* softirqs count with the same */
	dev_sw_netstats_tx_add(md->dev, 1, skb->len + vlan_hlen);
	local_bh_enable();
	return total;
}

/* The next packet. Return: as read(2), and -EAGAIN when there is none. */
static ssize_t mytun_read_packet(struct mytun_queue *q, struct mytun_dev *md,
				 struct iov_iter *to)
{
	size_t len = iov_iter_count(to);
	struct sk_buff *skb;
	ssize_t ret;

	skb = ptr_ring_consume_bh(&q->readq);
	if (!skb)
		return -EAGAIN;
	mytun_readq_taken(q);
	ret = mytun_put_user(md, skb, to);
	if (likely(ret >= 0)) {
		consume_skb(skb);
		ret = min_t(ssize_t, ret, len);
	} else {
		mytun_tx_dropped_inc(md->dev);
		kfree_skb(skb);
	}
	return ret;
}

ssize_t mytun_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct mytun_queue *q = file->private_data;
	bool noblock = (file->f_flags & O_NONBLOCK) || (iocb->ki_flags & IOCB_NOWAIT);
	struct mytun_dev *md;
	ssize_t ret;

	if (!rcu_access_pointer(q->md))
		return -EBADFD;
	if (mytun_rings_get(q))
		return -EBUSY;
	if (!iov_iter_count(to))
		return 0;
	if (READ_ONCE(q->mode.flags) & MYTUN_MODE_F_RECORDS)
		return mytun_records_read(q, to, noblock);

	do {
		md = mytun_get(q);
		if (!md)
			return -EBADFD;
		ret = mytun_read_packet(q, md, to);
		mytun_put(md);
		if (ret != -EAGAIN)
			return ret;
		ret = mytun_readq_wait(q, noblock);
	} while (!ret);
	return ret;
}
