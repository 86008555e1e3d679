// SPDX-License-Identifier: GPL-2.0
/*
 * The hot path to the stack: the queue's NAPI instance consumes the TX ring as a
 * NIC's driver consumes its descriptors. The ring is the only queue on the way. On whose
 * time that happens is told in inject.c.
 *
 * A record's header is copied out of the ring before it is looked at, and so is the
 * packet: whatever the program writes meanwhile changes nothing that was checked.
 */
#include <linux/etherdevice.h>
#include <linux/poll.h>
#include <linux/skbuff.h>

#include "compat/vnet.h"
#include "internal.h"
#include "trace.h"

/* Headroom that the stack expects of a receiving driver, and an aligned IP header. */
#define MYTUN_SKB_PAD (NET_SKB_PAD + NET_IP_ALIGN)
/* Larger packets are spread over single pages, which are there when others are not. */
#define MYTUN_LINEAR_MAX SKB_WITH_OVERHEAD(PAGE_SIZE - MYTUN_SKB_PAD)
/* Of those, this much is linear: the headers. */
#define MYTUN_LINEAR_HEAD 256

/* What came of a record. */
enum mytun_verdict {
	MYTUN_SENT,
	MYTUN_SKIPPED,
	MYTUN_DROPPED,
	MYTUN_BROKEN
};

static struct sk_buff *mytun_tx_skb_large(struct net_device *dev, const u8 *data, u32 len)
{
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(MYTUN_SKB_PAD + MYTUN_LINEAR_HEAD,
				   len - MYTUN_LINEAR_HEAD, 0, &err, GFP_ATOMIC);
	if (!skb)
		return NULL;
	skb_reserve(skb, MYTUN_SKB_PAD);
	skb_put(skb, MYTUN_LINEAR_HEAD);
	skb->data_len = len - MYTUN_LINEAR_HEAD;
	skb->len += skb->data_len;
	skb->dev = dev;
	if (skb_store_bits(skb, 0, data, len)) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

/*
 * A fragment of just the size that the packet needs, rather than napi_alloc_skb(), which
 * takes a quarter of a page for the smallest packet.
 */
static struct sk_buff *mytun_tx_skb(struct mytun_queue *q, struct mytun_ring_tx *tx,
				    const u8 *data, u32 len)
{
	struct sk_buff *skb;
	unsigned int size;
	void *head;

	if (unlikely(len > MYTUN_LINEAR_MAX))
		return mytun_tx_skb_large(q->napi.dev, data, len);

	size = SKB_DATA_ALIGN(MYTUN_SKB_PAD + len) +
	       SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	head = mytun_frag_alloc(&tx->frags, size);
	if (unlikely(!head))
		return NULL;
	skb = napi_build_skb(head, size);
	if (unlikely(!skb)) {
		skb_free_frag(head);
		return NULL;
	}
	skb_reserve(skb, MYTUN_SKB_PAD);
	skb_put_data(skb, data, len);
	skb->dev = q->napi.dev;
	return skb;
}

/* Protocol of a packet without an Ethernet header; 0 when it has none that we know. */
__be16 mytun_tx_proto(const struct sk_buff *skb, u16 proto)
{
	if (proto)
		return (__force __be16)proto;
	switch (skb->data[0] >> 4) {
	case 4:
		return htons(ETH_P_IP);
	case 6:
		return htons(ETH_P_IPV6);
	}
	return 0;
}

/**
 * mytun_tx_vnet - what the virtio fields of a record say of its packet
 * @skb:  the packet, its data at the frame's first byte
 * @head: the record, with virtio fields that are not all 0
 * @tap:  the frame has an Ethernet header
 *
 * Not the whole truth yet: mytun_partial_sound() wants to see the packet once its protocol
 * is known.
 *
 * Return: false when they lie.
 */
bool mytun_tx_vnet(struct sk_buff *skb, const struct mytun_rec *head, bool tap)
{
	bool valid = (head->vnet_flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM |
					  VIRTIO_NET_HDR_F_DATA_VALID)) ==
		     VIRTIO_NET_HDR_F_DATA_VALID;
	struct virtio_net_hdr vnet;

	/* A finished packet that a cipher has verified is what a VPN sends most. */
	if (likely(valid && !head->gso_type))
		goto valid;
	vnet = mytun_rec_to_vnet(head);
	mytun_vnet_network(skb, tap ? ETH_HLEN : 0);
	if (mytun_vnet_to_skb(skb, &vnet, virtio_legacy_is_little_endian()))
		return false;
	/* Who cuts it would have to sum it anew. */
	if (skb_is_gso(skb) && skb->ip_summed != CHECKSUM_PARTIAL)
		return false;
	if (!valid)
		return true;
valid:
	/* The outermost checksum, which is all of csum_level 0. */
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	return true;
}

static enum mytun_verdict mytun_tx_packet(struct mytun_queue *q, struct mytun_dev *md,
					  struct mytun_ring_tx *tx,
					  const struct mytun_rec *head, const u8 *data)
{
	bool tap = md->flags & IFF_TAP;
	struct sk_buff *skb;
	u16 index;

	if (unlikely(head->len < (tap ? ETH_HLEN : 1) || head->len > MYTUN_PACKET_MAX))
		return MYTUN_DROPPED;
	skb = mytun_tx_skb(q, tx, data, head->len);
	if (unlikely(!skb))
		return MYTUN_DROPPED;

	if ((head->vnet_flags | head->gso_type) && unlikely(!mytun_tx_vnet(skb, head, tap)))
		goto drop;

	if (tap) {
		skb->protocol = eth_type_trans(skb, md->dev);
	} else {
		skb->protocol = mytun_tx_proto(skb, head->proto);
		if (unlikely(!skb->protocol))
			goto drop;
		skb_reset_mac_header(skb);
	}
	skb_reset_network_header(skb);
	if (unlikely(skb->ip_summed == CHECKSUM_PARTIAL && !mytun_partial_sound(skb)))
		goto drop;
	index = READ_ONCE(q->index);
	skb_record_rx_queue(skb, index);

	/* Before the stack sees the packet: the answer may leave at once. */
	if (md->flows && READ_ONCE(md->numqueues) > 1)
		mytun_flow_learn(md->flows, mytun_flow_hash(md, skb), index);

	if (unlikely(q->mode.inject == MYTUN_INJECT_DIRECT))
		netif_receive_skb(skb);
	else
		napi_gro_receive(&q->napi, skb);
	return MYTUN_SENT;

drop:
	kfree_skb(skb);
	return MYTUN_DROPPED;
}

/* The record at @pos; @avail bytes are said to be there. */
static enum mytun_verdict mytun_tx_record(struct mytun_queue *q, struct mytun_dev *md,
					  struct mytun_ring_tx *tx, u32 pos, u32 avail,
					  struct mytun_rec *head)
{
	const u8 *rec = tx->data + (pos & (tx->size - 1));

	/* The one look at the header. barrier(): the compiler must not look again. */
	memcpy(head, rec, sizeof(*head));
	barrier();

	if (unlikely(avail < sizeof(*head) || head->size < sizeof(*head) ||
		     head->size > avail || head->size % MYTUN_REC_ALIGN))
		return MYTUN_BROKEN;
	if (unlikely(head->flags))
		return head->flags == MYTUN_REC_F_SKIP ? MYTUN_SKIPPED : MYTUN_DROPPED;
	if (unlikely(head->off < sizeof(*head) || head->off > head->size ||
		     head->len > head->size - head->off))
		return MYTUN_DROPPED;
	if (unlikely(!(READ_ONCE(md->dev->flags) & IFF_UP)))
		return MYTUN_DROPPED;
	return mytun_tx_packet(q, md, tx, head, rec + head->off);
}

/* Give the consumed bytes back, and wake who waits for them. */
static void mytun_tx_publish(struct mytun_queue *q, struct mytun_rings_mem *r, u32 pos)
{
	struct mytun_ring_tx *tx = &r->tx;
	u32 old = tx->pos;

	WRITE_ONCE(tx->pos, pos);
	/* Pairs with the program's acquire: the copies out of the ring are made. */
	smp_store_release(&tx->cons_page->pos, pos);

	if (!mytun_must_wake(q, r, tx->prod_page, pos, old))
		return;
	u64_stats_update_begin(&tx->counters.syncp);
	u64_stats_inc(&tx->counters.wakeups);
	u64_stats_update_end(&tx->counters.syncp);
	trace_mytun_tx_wakeup(q, pos);
	mytun_wake(q, EPOLLOUT | EPOLLWRNORM);
}

/* Records for @budget, see mytun_tx_work(). Return: what they are worth, @budget when there may
 * be more, or -EIO when the program lied.
 */
static int mytun_tx_consume(struct mytun_queue *q, struct mytun_dev *md,
			    struct mytun_rings_mem *r, int budget)
{
	struct mytun_ring_tx *tx = &r->tx;
	u64 packets = 0, bytes = 0, drops = 0;
	struct mytun_rec head;
	u32 pos = tx->pos;
	u32 avail;
	int work = 0;

	/* Pairs with the program's release: the records up to there are written. */
	avail = smp_load_acquire(&tx->prod_page->pos) - pos;
	if (unlikely(avail > tx->size || avail % MYTUN_REC_ALIGN))
		return -EIO;

	while (work < budget && avail) {
		switch (mytun_tx_record(q, md, tx, pos, avail, &head)) {
		case MYTUN_SENT:
			packets++;
			bytes += head.len;
			work += mytun_tx_work(&head);
			break;
		case MYTUN_SKIPPED:
			work++;
			break;
		case MYTUN_DROPPED:
			drops++;
			work++;
			trace_mytun_tx_drop(q, pos, head.len);
			break;
		case MYTUN_BROKEN:
			work = -EIO;
			goto out;
		}
		pos += head.size;
		avail -= head.size;
	}
out:
	u64_stats_update_begin(&tx->counters.syncp);
	u64_stats_add(&tx->counters.packets, packets);
	u64_stats_add(&tx->counters.bytes, bytes);
	u64_stats_add(&tx->counters.drops, drops);
	u64_stats_update_end(&tx->counters.syncp);
	if (unlikely(drops))
		WRITE_ONCE(tx->cons_page->drops, u64_stats_read(&tx->counters.drops));
	if (pos != tx->pos)
		mytun_tx_publish(q, r, pos);
	return min(work, budget);
}

/* Nothing is consumed this time, and NAPI comes again when GRO is empty. */
static int mytun_tx_gro_flush(struct mytun_queue *q)
{
	/* A busy poller completes when it stops, and polls once more then. */
	if (test_bit(NAPI_STATE_IN_BUSY_POLL, &q->napi.state))
		return 0;
	q->gro_flush = false;
	/* Having worked for nothing, it waits for no timeout, */
	q->napi.defer_hard_irqs_count = 0; /* and none is deferred. */
	napi_complete_done(&q->napi, 0);
	napi_schedule(&q->napi);
	return 0;
}

/**
 * mytun_ring_tx_poll - take packets of a TX ring up the stack
 * @napi:   the queue's, which has rings; the caller has its SCHED bit, and softirqs are off
 * @budget: the most records, see mytun_tx_work(); not 0, there is no netpoll
 *
 * Return: @budget, and the caller still has the instance; or less, and it is given back.
 */
int mytun_ring_tx_poll(struct napi_struct *napi, int budget)
{
	struct mytun_queue *q = container_of(napi, struct mytun_queue, napi);
	struct mytun_rings_mem *r = mytun_rings_get(q);
	struct mytun_dev *md = netdev_priv(napi->dev);
	struct mytun_ring_tx *tx;
	int work;

	if (unlikely(READ_ONCE(r->fault) || !mytun_in_service(q) ||
		     !rcu_access_pointer(q->md))) {
		napi_complete_done(napi, 0);
		return 0;
	}
	if (unlikely(q->gro_flush))
		return mytun_tx_gro_flush(q);
	tx = &r->tx;

	work = mytun_tx_consume(q, md, r, budget);
	if (unlikely(work < 0)) {
		trace_mytun_tx_fault(q, tx->pos);
		mytun_rings_fault(q, r);
		napi_complete_done(napi, 0);
		return 0;
	}
	if (work == budget)
		return budget;

	/* About to sleep: say at which position a doorbell is wanted, then look once
	 * more.
	 */
	WRITE_ONCE(tx->cons_page->event, tx->pos);
	/* Pairs with the program's full barrier between its position and its look at
	 * the event field.
	 */
	smp_mb();
	if (READ_ONCE(tx->prod_page->pos) != tx->pos)
		return budget;
	napi_complete_done(napi, work);
	return work;
}

/**
 * mytun_doorbell - MYTUN_IOC_DOORBELL
 * @q:     a queue
 * @which: MYTUN_DOORBELL_*
 *
 * For the TX ring: unless a thread takes them, the packets go up the stack before this
 * returns, as far as softirq's limits, or those of inject.c, allow.
 *
 * Return: 0; -EINVAL no rings, or no such doorbell; -EBADFD detached; -EIO faulted; -ENETDOWN.
 */
int mytun_doorbell(struct mytun_queue *q, unsigned long which)
{
	struct mytun_rings_mem *r = mytun_rings_get(q);
	struct mytun_dev *md;
	bool up = false;

	if (!r || which > MYTUN_DOORBELL_RX)
		return -EINVAL;
	atomic64_inc(which == MYTUN_DOORBELL_TX ? &r->tx.doorbells : &r->rx.doorbells);

	rcu_read_lock();
	md = rcu_dereference(q->md);
	if (md) {
		up = READ_ONCE(md->dev->flags) & IFF_UP;
		if (which == MYTUN_DOORBELL_TX)
			trace_mytun_doorbell(q, READ_ONCE(r->tx.pos));
	}
	rcu_read_unlock();
	if (!md)
		return -EBADFD;

	if (which == MYTUN_DOORBELL_TX)
		mytun_inject_doorbell(q);
	else
		mytun_senders_go(q);

	if (unlikely(READ_ONCE(r->fault)))
		return -EIO;
	return up || which == MYTUN_DOORBELL_RX ? 0 : -ENETDOWN;
}
