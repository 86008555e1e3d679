// SPDX-License-Identifier: GPL-2.0
/*
 * The hot path to the program: a packet that the stack transmits becomes a record, a
 * super-packet becomes as many as it has segments.
 *
 * Several CPUs send through one queue. Each reserves room under the lock, which is
 * all that the lock is for, and copies outside of it; a record that is still
 * being copied carries MYTUN_REC_BUSY, and the program stops before it.
 */
#include <linux/if_vlan.h>
#include <linux/poll.h>

#include "compat/vnet.h"
#include "internal.h"
#include "trace.h"

static void mytun_rx_drop(struct mytun_rings_mem *r, unsigned int packets)
{
	struct mytun_counters *c = &r->rx.counters;

	u64_stats_update_begin(&c->syncp);
	u64_stats_add(&c->drops, packets);
	u64_stats_update_end(&c->syncp);
	WRITE_ONCE(r->rx.prod_page->drops, u64_stats_read(&c->drops));
}

static struct mytun_rec *mytun_rx_rec(const struct mytun_ring_rx *rx, u32 pos)
{
	return (struct mytun_rec *)(rx->data + (pos & (rx->size - 1)));
}

/* The free bytes, looked at closely if @need are wanted; -EIO when the program lied. */
static __always_inline s64 mytun_rx_room(struct mytun_ring_rx *rx, u32 need)
{
	u32 room = rx->size - (rx->pos - rx->cons);
	u32 cons;

	if (likely(need <= room))
		return room;
	/* Pairs with the program's release: its reads of the records before this
	 * position are over.
	 */
	cons = smp_load_acquire(&rx->cons_page->pos);
	/* It may only have moved on, and not past us. */
	if (unlikely(cons - rx->cons > rx->pos - rx->cons || cons % MYTUN_REC_ALIGN))
		return -EIO;
	rx->cons = cons;
	return rx->size - (rx->pos - cons);
}

/*
 * Records for @count packets, each of @len bytes but the last of @last, which is not
 * longer; for as many of them as there is room. They are visible to the program,
 * busy, when this returns. Return: how many; from *@start on.
 */
static __always_inline unsigned int mytun_rx_reserve(struct mytun_queue *q,
						     struct mytun_rings_mem *r,
						     unsigned int count, u32 len, u32 last,
						     u32 *start)
{
	struct mytun_ring_rx *rx = &r->rx;
	u32 need = mytun_rx_need(rx, len);
	u32 need_last = mytun_rx_need(rx, last);
	u32 want = (count - 1) * need + need_last;
	unsigned int got = count, i;
	u32 pos, size;
	s64 room;

	spin_lock(&rx->lock);
	room = likely(!READ_ONCE(r->fault)) ? mytun_rx_room(rx, want) : 0;
	if (unlikely(room < want)) {
		got = room < 0 ? 0 : min_t(unsigned int, count - 1, (u32)room / need);
		mytun_rx_drop(r, count - got);
		trace_mytun_rx_drop(q, rx->pos, len);
		if (!got)
			goto unlock;
	}

	pos = rx->pos;
	*start = pos;
	for (i = 0; i < got; i++) {
		size = i + 1 < count ? need : need_last;
		WRITE_ONCE(mytun_rx_rec(rx, pos)->size, size | MYTUN_REC_BUSY);
		pos += size;
	}
	WRITE_ONCE(rx->pos, pos);
	/* Pairs with the program's acquire of the producer's position: the busy
	 * bits are there before the records are.
	 */
	smp_store_release(&rx->prod_page->pos, pos);

	u64_stats_update_begin(&rx->counters.syncp);
	u64_stats_add(&rx->counters.packets, got);
	u64_stats_add(&rx->counters.bytes, got < count ? got * len : (count - 1) * len + last);
	u64_stats_update_end(&rx->counters.syncp);
unlock:
	spin_unlock(&rx->lock);
	if (unlikely(room < 0)) {
		trace_mytun_rx_fault(q, rx->pos);
		mytun_rings_fault(q, r);
	}
	return got;
}

/* The header of an skb's records, without their size and length. */
static __always_inline struct mytun_rec mytun_rx_header(const struct mytun_rings_mem *r,
							const struct sk_buff *skb, u32 hash)
{
	return (struct mytun_rec){
		.off = sizeof(struct mytun_rec) + r->rx.headroom,
		.hash = hash,
		.proto = (__force u16)skb->protocol,
	};
}

/*
 * Everything of the header but the size, which is busy until the end. Field by field:
 * what the compiler knows of @head needs no memory then. Return: where the packet goes.
 */
static __always_inline u8 *mytun_rx_head(struct mytun_rec *rec, const struct mytun_rec *head,
					 u32 len)
{
	/* Not to be read again from there: the program can write it. */
	WRITE_ONCE(rec->len, len);
	WRITE_ONCE(rec->off, head->off);
	rec->flags = 0;
	rec->hash = head->hash;
	rec->proto = head->proto;
	rec->reserved = 0;
	rec->vnet_flags = head->vnet_flags;
	rec->gso_type = head->gso_type;
	rec->hdr_len = head->hdr_len;
	rec->gso_size = head->gso_size;
	rec->csum_start = head->csum_start;
	rec->csum_offset = head->csum_offset;
	rec->reserved2 = 0;
	return (u8 *)rec + head->off;
}

static void mytun_rx_commit(struct mytun_rec *rec, u32 size)
{
	/* Pairs with the program's acquire of rec->size. */
	smp_store_release(&rec->size, size);
}

static noinline void mytun_rx_wakeup(struct mytun_queue *q, struct mytun_ring_rx *rx, u32 end)
{
	spin_lock(&rx->lock);
	u64_stats_update_begin(&rx->counters.syncp);
	u64_stats_inc(&rx->counters.wakeups);
	u64_stats_update_end(&rx->counters.syncp);
	spin_unlock(&rx->lock);
	trace_mytun_rx_wakeup(q, end);
	mytun_wake(q, EPOLLIN | EPOLLRDNORM);
}

/* The records from @start to @end are complete: wake who waits for one of them. */
static __always_inline void mytun_rx_wake(struct mytun_queue *q, struct mytun_rings_mem *r,
					  u32 start, u32 end)
{
	if (unlikely(mytun_must_wake(q, r, r->rx.cons_page, end, start)))
		mytun_rx_wakeup(q, &r->rx, end);
}

/* One record for each segment; all of them are finished packets. */
static bool mytun_rx_cut(struct mytun_queue *q, struct mytun_rings_mem *r,
			 const struct sk_buff *skb, const struct mytun_rec *head)
{
	struct mytun_ring_rx *rx = &r->rx;
	u32 start, pos, len, need;
	struct mytun_rec *rec;
	struct mytun_cut cut;
	unsigned int got, i;

	mytun_cut_init(&cut, skb);
	got = mytun_rx_reserve(q, r, cut.segments, mytun_cut_len(&cut, 0),
			       mytun_cut_len(&cut, cut.segments - 1), &start);
	if (unlikely(!got))
		return false;

	pos = start;
	for (i = 0; i < got; i++) {
		len = mytun_cut_len(&cut, i);
		need = mytun_rx_need(rx, len);
		rec = mytun_rx_rec(rx, pos);
		mytun_cut_segment(&cut, i, mytun_rx_head(rec, head, len));
		mytun_rx_commit(rec, need);
		pos += need;
	}
	mytun_rx_wake(q, r, start, pos);
	return true;
}

/* One record. @finish: complete the checksum on the way. */
static __always_inline bool mytun_rx_one(struct mytun_queue *q, struct mytun_rings_mem *r,
					 const struct sk_buff *skb, const struct mytun_rec *head,
					 bool finish)
{
	struct mytun_rec *rec;
	u32 start, need;
	u8 *to;

	if (unlikely(!mytun_rx_reserve(q, r, 1, skb->len, skb->len, &start)))
		return false;
	need = mytun_rx_need(&r->rx, skb->len);
	rec = mytun_rx_rec(&r->rx, start);
	to = mytun_rx_head(rec, head, skb->len);
	if (finish)
		mytun_copy_and_finish(skb, to);
	else
		mytun_copy_packet(skb, to);
	mytun_rx_commit(rec, need);
	mytun_rx_wake(q, r, start, start + need);
	return true;
}

/**
 * mytun_rx_vnet - what an unfinished packet still needs
 * @head:      gets the virtio fields
 * @skb:       a packet that the program takes as it is, see mytun_takes()
 * @vlan_hlen: bytes of a VLAN tag that will stand in the packet, and does not yet
 *
 * Return: 0, or -EINVAL for a packet that has no virtio header.
 */
int mytun_rx_vnet(struct mytun_rec *head, const struct sk_buff *skb, int vlan_hlen)
{
	struct virtio_net_hdr vnet;
	int err;

	err = mytun_vnet_from_skb(skb, &vnet, virtio_legacy_is_little_endian(), vlan_hlen);
	if (err)
		return err;
	head->vnet_flags = vnet.flags;
	head->gso_type = vnet.gso_type;
	head->hdr_len = (__force u16)vnet.hdr_len;
	head->gso_size = (__force u16)vnet.gso_size;
	head->csum_start = (__force u16)vnet.csum_start;
	head->csum_offset = (__force u16)vnet.csum_offset;
	return 0;
}

/*
 * A super-packet, or a packet that the program takes as it is. Return: 0, -ENOBUFS when
 * nothing of it is in the ring, or -EINVAL for one that has no virtio header.
 */
static noinline int mytun_rx_super(struct mytun_queue *q, struct mytun_rings_mem *r,
				   const struct sk_buff *skb, u32 hash, netdev_features_t takes)
{
	struct mytun_rec head = mytun_rx_header(r, skb, hash);
	bool sent;

	if (!mytun_takes(takes, skb))
		sent = mytun_rx_cut(q, r, skb, &head);
	else if (mytun_rx_vnet(&head, skb, 0))
		return -EINVAL;
	else
		sent = mytun_rx_one(q, r, skb, &head, false);
	return sent ? 0 : -ENOBUFS;
}

/**
 * mytun_ring_rx - what the stack sends, into the RX ring
 * @q:   the queue
 * @r:   its rings
 * @md:  its interface; not by way of q->md, the queue may be leaving
 * @skb: a packet, or a super-packet that the program takes or that can be cut; a checksum
 *       that is unfinished begins and ends in it; consumed
 * @takes: see mytun_takes()
 *
 * Softirqs are off, which keeps @q and @r.
 *
 * Return: false when nothing of it was delivered. What was dropped is counted.
 */
bool mytun_ring_rx(struct mytun_queue *q, struct mytun_rings_mem *r, struct mytun_dev *md,
		   struct sk_buff *skb, netdev_features_t takes)
{
	bool partial = skb->ip_summed == CHECKSUM_PARTIAL;
	struct mytun_rec head;
	u32 hash = 0;
	int err;

	/* Before a tag comes between the headers. */
	if (r->flags & MYTUN_RINGS_F_HASH)
		hash = mytun_flow_hash(md, skb);

	if (unlikely(skb_vlan_tag_present(skb))) {
		/* The tag goes into the Ethernet header. Not all kernels look whether that is
		 * there: 5.10 and 6.12 take what lies behind the packet into it.
		 */
		if (!pskb_may_pull(skb, ETH_HLEN))
			goto drop;
		skb = __vlan_hwaccel_push_inside(skb);
		if (!skb) {
			mytun_tx_dropped_inc(md->dev);
			return false;
		}
	}
	/* A packet socket can send nothing at all. Programs are promised a byte. */
	if (unlikely(!skb->len))
		goto drop;

	/* skb_tx_timestamp() without the part that only a PHY has. */
	if (unlikely(skb_shinfo(skb)->tx_flags & (SKBTX_SW_TSTAMP | MYTUN_SKBTX_BPF)))
		skb_tstamp_tx(skb, NULL);
	if (skb_is_gso(skb) || (partial && mytun_takes(takes, skb))) {
		err = mytun_rx_super(q, r, skb, hash, takes);
		if (err == -EINVAL)
			goto drop;
	} else {
		head = mytun_rx_header(r, skb, hash);
		err = mytun_rx_one(q, r, skb, &head, partial) ? 0 : -ENOBUFS;
	}
	if (likely(!err)) {
		consume_skb(skb);
		return true;
	}
	skb_tx_error(skb);
	kfree_skb_reason(skb, SKB_DROP_REASON_FULL_RING);
	return false;

drop:
	mytun_tx_dropped_inc(md->dev);
	skb_tx_error(skb);
	kfree_skb_reason(skb, SKB_DROP_REASON_DEV_HDR);
	return false;
}
