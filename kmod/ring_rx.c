// SPDX-License-Identifier: GPL-2.0
/*
 * The hot path to the program: a packet that the stack transmits becomes a record.
 *
 * Several CPUs send through one queue. Each reserves room under the lock, which is
 * all that the lock is for, and copies outside of it; a record that is still
 * being copied carries MYTUN_REC_BUSY, and the program stops before it.
 */
#include <linux/if_vlan.h>
#include <linux/poll.h>
#include <linux/virtio_net.h>

#include "internal.h"
#include "trace.h"

/*
 * Room for @need bytes, or NULL when the ring is full or faulted. The record is
 * visible to the program, busy, when this returns.
 */
static struct mytun_rec *mytun_rx_reserve(struct mytun_queue *q, struct mytun_rings_mem *r,
					  u32 need, u32 bytes, u32 *start)
{
	struct mytun_ring_rx *rx = &r->rx;
	struct mytun_rec *rec;
	bool fault = false;
	u32 cons;

	spin_lock(&rx->lock);
	if (unlikely(READ_ONCE(r->fault)))
		goto drop;
	if (unlikely(need > rx->size - (rx->pos - rx->cons))) {
		/* Pairs with the program's release: its reads of the records
		 * before this position are over.
		 */
		cons = smp_load_acquire(&rx->cons_page->pos);
		/* It may only have moved on, and not past us. */
		if (unlikely(cons - rx->cons > rx->pos - rx->cons ||
			     cons % MYTUN_REC_ALIGN)) {
			fault = true;
			goto drop;
		}
		rx->cons = cons;
		if (unlikely(need > rx->size - (rx->pos - cons)))
			goto drop;
	}

	*start = rx->pos;
	rec = (struct mytun_rec *)(rx->data + (rx->pos & (rx->size - 1)));
	WRITE_ONCE(rec->size, need | MYTUN_REC_BUSY);
	WRITE_ONCE(rx->pos, rx->pos + need);
	/* Pairs with the program's acquire of the producer's position: the busy
	 * bit is there before the record is.
	 */
	smp_store_release(&rx->prod_page->pos, rx->pos);

	u64_stats_update_begin(&rx->counters.syncp);
	u64_stats_inc(&rx->counters.packets);
	u64_stats_add(&rx->counters.bytes, bytes);
	u64_stats_update_end(&rx->counters.syncp);
	spin_unlock(&rx->lock);
	return rec;

drop:
	u64_stats_update_begin(&rx->counters.syncp);
	u64_stats_inc(&rx->counters.drops);
	u64_stats_update_end(&rx->counters.syncp);
	WRITE_ONCE(rx->prod_page->drops, u64_stats_read(&rx->counters.drops));
	trace_mytun_rx_drop(q, rx->pos, bytes);
	spin_unlock(&rx->lock);
	if (fault) {
		trace_mytun_rx_fault(q, rx->pos);
		mytun_rings_fault(q, r);
	}
	return NULL;
}

/* The record from @start to @end is complete: hand it over, wake who waits for it. */
static void mytun_rx_commit(struct mytun_queue *q, struct mytun_rings_mem *r,
			    struct mytun_rec *rec, u32 start, u32 end)
{
	struct mytun_ring_rx *rx = &r->rx;

	/* Pairs with the program's acquire of rec->size. */
	smp_store_release(&rec->size, end - start);

	if (!mytun_must_wake(q, r, rx->cons_page, end, start))
		return;

	spin_lock(&rx->lock);
	u64_stats_update_begin(&rx->counters.syncp);
	u64_stats_inc(&rx->counters.wakeups);
	u64_stats_update_end(&rx->counters.syncp);
	spin_unlock(&rx->lock);
	trace_mytun_rx_wakeup(q, end);
	mytun_wake(q, EPOLLIN | EPOLLRDNORM);
}

/* Only when the program asked for unfinished packets with TUNSETOFFLOAD. */
static int mytun_rx_vnet(struct mytun_rec *rec, const struct sk_buff *skb)
{
	struct virtio_net_hdr vnet;
	int err;

	err = virtio_net_hdr_from_skb(skb, &vnet, virtio_legacy_is_little_endian(), true, 0);
	if (err)
		return err;
	rec->vnet_flags = vnet.flags;
	rec->gso_type = vnet.gso_type;
	rec->hdr_len = (__force u16)vnet.hdr_len;
	rec->gso_size = (__force u16)vnet.gso_size;
	rec->csum_start = (__force u16)vnet.csum_start;
	rec->csum_offset = (__force u16)vnet.csum_offset;
	return 0;
}

/**
 * mytun_ring_rx - one packet from the stack into the RX ring
 * @q:   the queue
 * @r:   its rings
 * @skb: the packet; consumed
 *
 * Softirqs are off, and the caller holds the RCU read lock.
 *
 * Return: false when the packet was dropped, and counted.
 */
bool mytun_ring_rx(struct mytun_queue *q, struct mytun_rings_mem *r, struct sk_buff *skb)
{
	/* Not by way of q->md: the queue may be leaving. */
	struct net_device *dev = skb->dev;
	struct mytun_rec head = {};
	struct mytun_rec *rec;
	u32 start, need, len;

	if (unlikely(skb_vlan_tag_present(skb))) {
		skb = __vlan_hwaccel_push_inside(skb);
		if (!skb) {
			mytun_tx_dropped_inc(dev);
			return false;
		}
	}

	len = skb->len;
	/* A packet socket can send nothing at all. Programs are promised a byte. */
	if (unlikely(!len))
		goto drop;
	head.len = len;
	head.off = sizeof(head) + r->rx.headroom;
	head.proto = (__force u16)skb->protocol;
	if (r->flags & MYTUN_RINGS_F_HASH)
		head.hash = __skb_get_hash_symmetric(skb);
	if (unlikely(skb_is_gso(skb) || skb->ip_summed == CHECKSUM_PARTIAL) &&
	    mytun_rx_vnet(&head, skb))
		goto drop;

	need = ALIGN(r->rx.room + len, MYTUN_REC_ALIGN);
	rec = mytun_rx_reserve(q, r, need, len, &start);
	if (unlikely(!rec))
		goto free;

	/* Everything of the header but the size, which is busy until the end. */
	memcpy((u8 *)rec + sizeof(rec->size), (u8 *)&head + sizeof(head.size),
	       sizeof(head) - sizeof(head.size));
	skb_tx_timestamp(skb);
	if (likely(!skb_is_nonlinear(skb)))
		memcpy((u8 *)rec + head.off, skb->data, len);
	else if (unlikely(skb_copy_bits(skb, 0, (u8 *)rec + head.off, len)))
		/* Cannot be, for memory that the CPU can read; never hand out
		 * what was there before.
		 */
		memset((u8 *)rec + head.off, 0, len);
	mytun_rx_commit(q, r, rec, start, start + need);

	consume_skb(skb);
	return true;

drop:
	mytun_tx_dropped_inc(dev);
free:
	skb_tx_error(skb);
	kfree_skb_reason(skb, SKB_DROP_REASON_FULL_RING);
	return false;
}
