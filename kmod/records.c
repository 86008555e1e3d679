// SPDX-License-Identifier: GPL-2.0
/*
 * MYTUN_MODE_F_RECORDS: without rings, read(2) and write(2) carry many packets, each as
 * a record.
 *
 * A call keeps to the mode in which it began. What it is given it reads once, into memory
 * of the kernel, before it looks at it.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "internal.h"

/* Records that are consumed before their packets go up the stack together. */
#define MYTUN_RECORDS_BATCH 64

/*
 * Receiving. A packet stays at the head of the queue until its record is the program's:
 * one that does not fit, or whose reader has no page for it, is the next reader's.
 * Readers that copy the same packet at the same time are told apart when they take it.
 */

/* The packet at the head, with a reference; or NULL. */
static struct sk_buff *mytun_readq_peek(struct mytun_queue *q)
{
	struct sk_buff *skb;

	spin_lock_bh(&q->readq.consumer_lock);
	skb = __ptr_ring_peek(&q->readq);
	if (skb)
		skb_get(skb);
	spin_unlock_bh(&q->readq.consumer_lock);
	return skb;
}

/*
 * Takes @skb off the head. Return: false when it is there no more. With the reference
 * that the caller has, no other packet can have come to the same address.
 */
static bool mytun_readq_take(struct mytun_queue *q, struct sk_buff *skb)
{
	bool mine;

	spin_lock_bh(&q->readq.consumer_lock);
	mine = __ptr_ring_peek(&q->readq) == skb;
	if (mine)
		__ptr_ring_consume(&q->readq);
	spin_unlock_bh(&q->readq.consumer_lock);

	if (mine) {
		mytun_readq_taken(q);
		consume_skb(skb); /* the queue's reference, not the last */
	}
	return mine;
}

/* As the record of a ring without room. Return: false when it cannot be a record. */
static bool mytun_record_head(const struct sk_buff *skb, struct mytun_rec *head)
{
	bool tag = skb_vlan_tag_present(skb);
	int vlan_hlen = tag ? VLAN_HLEN : 0;

	/* A packet socket can send nothing at all, or an Ethernet header's beginning. */
	if (!skb->len || (tag && skb->len < ETH_HLEN))
		return false;
	*head = (struct mytun_rec){
		.size = ALIGN(sizeof(*head) + skb->len + vlan_hlen, MYTUN_REC_ALIGN),
		.len = skb->len + vlan_hlen,
		.off = sizeof(*head),
		.proto = (__force u16)(tag ? skb->vlan_proto : skb->protocol),
	};
	if (!skb_is_gso(skb) && skb->ip_summed != CHECKSUM_PARTIAL)
		return true;
	return !mytun_rx_vnet(head, skb, vlan_hlen);
}

/* The packet with its VLAN tag where it belongs. Return: false on a fault. */
static bool mytun_record_packet(const struct sk_buff *skb, struct iov_iter *to)
{
	struct {
		__be16 proto;
		__be16 tci;
	} tag = { skb->vlan_proto, htons(skb_vlan_tag_get(skb)) };
	int macs = 2 * ETH_ALEN;

	if (!skb_vlan_tag_present(skb))
		return !skb_copy_datagram_iter(skb, 0, to, skb->len);
	return !skb_copy_datagram_iter(skb, 0, to, macs) &&
	       copy_to_iter(&tag, sizeof(tag), to) == sizeof(tag) &&
	       !skb_copy_datagram_iter(skb, macs, to, skb->len - macs);
}

/* Return: false on a fault. */
static bool mytun_record_copy(const struct sk_buff *skb, const struct mytun_rec *head,
			      struct iov_iter *to)
{
	size_t pad = head->size - head->off - head->len;

	return copy_to_iter(head, sizeof(*head), to) == sizeof(*head) &&
	       mytun_record_packet(skb, to) && iov_iter_zero(pad, to) == pad;
}

/*
 * One packet. Return: bytes of its record; 0 when it could be none, or became another
 * reader's; -EAGAIN none is there; -EMSGSIZE, -EFAULT.
 */
static ssize_t mytun_record_read(struct mytun_queue *q, struct mytun_dev *md,
				 struct iov_iter *to)
{
	size_t room = iov_iter_count(to);
	struct mytun_rec head;
	struct sk_buff *skb;
	ssize_t ret = 0;

	skb = mytun_readq_peek(q);
	if (!skb)
		return -EAGAIN;
	if (!mytun_record_head(skb, &head)) {
		if (mytun_readq_take(q, skb))
			mytun_tx_dropped_inc(md->dev);
		kfree_skb(skb);
		return 0;
	}

	if (head.size > room)
		ret = -EMSGSIZE;
	else if (!mytun_record_copy(skb, &head, to))
		ret = -EFAULT;
	else if (mytun_readq_take(q, skb))
		ret = head.size;
	consume_skb(skb);

	if (ret <= 0) {
		iov_iter_revert(to, room - iov_iter_count(to));
		return ret;
	}
	local_bh_disable(); /* softirqs count with the same */
	dev_sw_netstats_tx_add(md->dev, 1, head.len);
	local_bh_enable();
	return ret;
}

/* As many as fit and are there. Return: their bytes, or an error when there are none. */
static ssize_t mytun_records_fill(struct mytun_queue *q, struct mytun_dev *md,
				  struct iov_iter *to)
{
	ssize_t filled = 0, ret;

	do {
		/* Who has left, or is on another by now, keeps it no longer than that. */
		if (rcu_access_pointer(q->md) != md) {
			ret = -EBADFD;
			break;
		}
		ret = mytun_record_read(q, md, to);
		if (ret > 0)
			filled += ret;
		cond_resched();
	} while (ret >= 0 && iov_iter_count(to) && !fatal_signal_pending(current));
	return filled ?: ret;
}

/**
 * mytun_records_read - read(2) with MYTUN_MODE_F_RECORDS
 * @q:       the queue
 * @to:      room for at least a byte
 * @noblock: do not wait for a packet
 *
 * Return: bytes of the records; -EMSGSIZE not even the first fits, -EFAULT it could not
 * be written, and it stays the first; -EAGAIN there is none; -EBADFD, -EBUSY detached or
 * with rings since; what a signal makes of it.
 */
ssize_t mytun_records_read(struct mytun_queue *q, struct iov_iter *to, bool noblock)
{
	struct mytun_dev *md;
	ssize_t ret;

	do {
		ret = mytun_readq_wait(q, noblock);
		if (ret)
			return ret;
		md = mytun_get(q);
		if (!md)
			return -EBADFD;
		ret = mytun_records_fill(q, md, to);
		mytun_put(md);
	} while (ret == -EAGAIN); /* another reader was faster */
	return ret;
}

/* Transmitting. */

/**
 * struct mytun_batch - packets of one write(2) on their way up
 * @q:       the queue
 * @md:      its interface
 * @skbs:    to go up together
 * @records: consumed since the last went up, with those that carried nothing; see
 *           mytun_tx_work()
 */
struct mytun_batch {
	struct mytun_queue *q;
	struct mytun_dev *md;
	struct list_head skbs;
	unsigned int records;
};

static void mytun_batch_drop(struct mytun_batch *b)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, &b->skbs, list) {
		skb_list_del_init(skb);
		mytun_rx_dropped_inc(b->md->dev);
		kfree_skb(skb);
	}
}

/* What must be done with each packet before the stack sees any. Softirqs are off. */
static void mytun_batch_prepare(const struct mytun_batch *b)
{
	struct mytun_queue *q = b->q;
	struct mytun_dev *md = b->md;
	struct sk_buff *skb;
	bool learn;
	u16 index;

	/* Its index may be another's by now, or of another interface. */
	if (!mytun_serves(q, md))
		return;
	learn = md->flows && READ_ONCE(md->numqueues) > 1;
	index = READ_ONCE(q->index);
	list_for_each_entry(skb, &b->skbs, list) {
		skb_record_rx_queue(skb, index);
		/* The answer to the first may leave at once. */
		if (learn)
			mytun_flow_learn(md->flows, mytun_flow_hash(md, skb), index);
	}
}

/* To the queue's NAPI instance, on a file with IFF_NAPI. */
static void mytun_batch_queue(struct mytun_batch *b)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, &b->skbs, list) {
		skb_list_del_init(skb);
		if (mytun_writeq_add(b->md, b->q, skb)) {
			mytun_rx_dropped_inc(b->md->dev);
			kfree_skb(skb);
		}
	}
}

static void mytun_batch_receive(struct mytun_batch *b)
{
	struct sk_buff *skb;

	list_for_each_entry(skb, &b->skbs, list)
		dev_sw_netstats_rx_add(b->md->dev, mytun_skb_written(skb));
	netif_receive_skb_list(&b->skbs);
	INIT_LIST_HEAD(&b->skbs);
}

static void mytun_batch_flush(struct mytun_batch *b)
{
	b->records = 0;
	if (list_empty(&b->skbs))
		return;

	rcu_read_lock();
	if (READ_ONCE(b->md->dev->flags) & IFF_UP) {
		local_bh_disable();
		mytun_batch_prepare(b);
		if (READ_ONCE(b->q->by_napi))
			mytun_batch_queue(b);
		else
			mytun_batch_receive(b);
		local_bh_enable();
	} else {
		mytun_batch_drop(b);
	}
	rcu_read_unlock();
}

/* Memory for a packet. Return: an skb or an ERR_PTR, see mytun_packet_skb(). */
static struct sk_buff *mytun_batch_skb(struct mytun_batch *b, u32 len,
				       enum mytun_patience patience)
{
	enum mytun_patience first = max(patience, MYTUN_WAIT_FOR_PAGES);
	size_t align = READ_ONCE(b->md->align);
	struct sk_buff *skb;

	if (b->md->flags & IFF_TAP)
		align += NET_IP_ALIGN;
	skb = mytun_packet_skb(b->q, b->md, align, len, 0, first);
	if (skb != ERR_PTR(-EAGAIN) || patience == first)
		return skb;

	/* What is in the batch has the memory: it must go before we wait for that. */
	mytun_batch_flush(b);
	return mytun_packet_skb(b->q, b->md, align, len, 0, patience);
}

/* What the stack must know of a packet. Return: false when it would not take it. */
static bool mytun_batch_headers(const struct mytun_dev *md, struct sk_buff *skb,
				const struct mytun_rec *head)
{
	if ((head->vnet_flags | head->gso_type) && !mytun_tx_vnet(skb, head, md->flags & IFF_TAP))
		return false;
	if (md->flags & IFF_TAP) {
		skb->protocol = eth_type_trans(skb, md->dev);
	} else {
		skb->dev = md->dev;
		skb->protocol = mytun_tx_proto(skb, head->proto);
		skb_reset_mac_header(skb);
	}
	skb_reset_network_header(skb);
	if (skb->ip_summed == CHECKSUM_PARTIAL && !mytun_partial_sound(skb))
		return false;
	return skb->protocol;
}

/*
 * The packet of a record, from where it lies. Return: 0, also when the stack would not
 * take it and it is dropped; an error, and the record is not consumed.
 */
static int mytun_batch_packet(struct mytun_batch *b, const struct mytun_rec *head,
			      struct iov_iter *from, enum mytun_patience patience)
{
	u32 least = b->md->flags & IFF_TAP ? ETH_HLEN : 1;
	struct sk_buff *skb = NULL;
	int err;

	if (head->len < least || head->len > MYTUN_PACKET_MAX)
		goto drop;
	skb = mytun_batch_skb(b, head->len, patience);
	if (IS_ERR(skb)) {
		err = PTR_ERR(skb);
		if (err != -ENOBUFS && err != -ENOMEM)
			return err;
		skb = NULL;
		goto drop;
	}
	if (skb_copy_datagram_from_iter(skb, 0, from, head->len)) {
		kfree_skb(skb);
		return -EFAULT;
	}
	if (!mytun_batch_headers(b->md, skb, head))
		goto drop;
	list_add_tail(&skb->list, &b->skbs);
	b->records += mytun_tx_work(head);
	return 0;

drop:
	b->records++;
	mytun_rx_dropped_inc(b->md->dev);
	kfree_skb(skb);
	return 0;
}

/* One record. Return: its bytes, or an error, and it is not consumed. */
static ssize_t mytun_record_write(struct mytun_batch *b, struct iov_iter *from,
				  enum mytun_patience patience)
{
	size_t avail = iov_iter_count(from);
	struct mytun_rec head;
	int err;

	if (avail < sizeof(head))
		return -EINVAL;
	if (!copy_from_iter_full(&head, sizeof(head), from))
		return -EFAULT;
	if (head.size < sizeof(head) || head.size > avail || head.size % MYTUN_REC_ALIGN)
		return -EINVAL;

	if (!head.flags) {
		if (head.off < sizeof(head) || head.off > head.size ||
		    head.len > head.size - head.off)
			return -EINVAL;
		iov_iter_advance(from, head.off - sizeof(head));
		err = mytun_batch_packet(b, &head, from, patience);
		if (err)
			return err;
	} else {
		b->records++;
		if (head.flags != MYTUN_REC_F_SKIP)
			mytun_rx_dropped_inc(b->md->dev);
	}
	iov_iter_advance(from, head.size - (avail - iov_iter_count(from)));
	return head.size;
}

/**
 * mytun_records_write - write(2) with MYTUN_MODE_F_RECORDS
 * @q:        the queue
 * @md:       its interface
 * @from:     the records
 * @patience: how long to wait for memory
 *
 * Return: bytes of the records that were consumed, sent or dropped; when there are none,
 * -EINVAL the first lies, -EFAULT it could not be read; -EAGAIN there is no memory now;
 * -EBADFD the queue has left the interface; -ERESTARTSYS.
 */
ssize_t mytun_records_write(struct mytun_queue *q, struct mytun_dev *md,
			    struct iov_iter *from, enum mytun_patience patience)
{
	struct mytun_batch b = { .q = q, .md = md, .skbs = LIST_HEAD_INIT(b.skbs) };
	ssize_t taken = 0, ret = 0;

	while (iov_iter_count(from) && !fatal_signal_pending(current)) {
		/* Also records without a packet keep the interface. */
		if (rcu_access_pointer(q->md) != md) {
			ret = -EBADFD;
			break;
		}
		ret = mytun_record_write(&b, from, patience);
		if (ret < 0)
			break;
		taken += ret;
		if (b.records >= MYTUN_RECORDS_BATCH) {
			mytun_batch_flush(&b);
			cond_resched();
		}
	}
	mytun_batch_flush(&b);
	return taken ?: ret;
}
