// SPDX-License-Identifier: GPL-2.0
/* Without rings: write(2) sends one packet up the stack, on the caller's time. */
#include <linux/etherdevice.h>
#include <linux/uio.h>

#include "compat/vnet.h"
#include "internal.h"

/* The headers that a plain file was set up for come first; the packet is left. */
static int mytun_get_headers(struct mytun_dev *md, struct iov_iter *from, struct tun_pi *pi,
			     struct virtio_net_hdr *vnet, u32 *hdr_len)
{
	unsigned int flags = READ_ONCE(md->flags);
	bool le = mytun_vnet_is_le(md);
	int vnet_hdr_sz;
	u32 csum_end;

	*hdr_len = 0;
	if (!(flags & IFF_NO_PI)) {
		if (iov_iter_count(from) < sizeof(*pi))
			return -EINVAL;
		if (!copy_from_iter_full(pi, sizeof(*pi), from))
			return -EFAULT;
	}
	if (!(flags & IFF_VNET_HDR))
		return 0;

	vnet_hdr_sz = READ_ONCE(md->vnet_hdr_sz);
	if (iov_iter_count(from) < vnet_hdr_sz)
		return -EINVAL;
	if (!copy_from_iter_full(vnet, sizeof(*vnet), from))
		return -EFAULT;
	iov_iter_advance(from, vnet_hdr_sz - sizeof(*vnet));

	*hdr_len = __virtio16_to_cpu(le, vnet->hdr_len);
	if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		/* In u32, so that two lying u16 do not wrap. */
		csum_end = (u32)__virtio16_to_cpu(le, vnet->csum_start) +
			   __virtio16_to_cpu(le, vnet->csum_offset) + 2;
		*hdr_len = max(*hdr_len, csum_end);
	}
	if (*hdr_len > iov_iter_count(from))
		return -EINVAL;
	return 0;
}

/* How long the caller of write(2) waits for memory. */
static enum mytun_patience mytun_patience_of(const struct kiocb *iocb)
{
	if (iocb->ki_flags & IOCB_NOWAIT)
		return MYTUN_WAIT_FOR_NOTHING;
	return iocb->ki_filp->f_flags & O_NONBLOCK ? MYTUN_WAIT_FOR_PAGES : MYTUN_WAIT;
}

/* As sock_alloc_send_pskb() for who waits for nothing, not even for the allocator. */
static struct sk_buff *mytun_skb_nowait(struct sock *sk, size_t header_len, size_t data_len,
					int *err)
{
	struct sk_buff *skb = NULL;

	*err = -EAGAIN;
	if (sk_wmem_alloc_get(sk) < READ_ONCE(sk->sk_sndbuf))
		skb = alloc_skb_with_frags(header_len, data_len, PAGE_ALLOC_COSTLY_ORDER,
					   err, GFP_NOWAIT | __GFP_NOWARN);
	if (skb)
		skb_set_owner_w(skb, sk);
	else if (*err != -EMSGSIZE)
		*err = -EAGAIN; /* for want of memory too: who may wait shall try again */
	return skb;
}

/* Who was refused is told by mytun_write_space() when there is room. */
static void mytun_ask_for_space(struct mytun_queue *q)
{
	set_bit(SOCKWQ_ASYNC_NOSPACE, &q->socket.flags);
	/* The memory may have come back in between: look again. Pairs with the
	 * test-and-clear there.
	 */
	smp_mb__after_atomic();
}

/*
 * The wait for room in the send buffer is our own. The core's is woken only where the file
 * wants SIGIO, and would go on holding an interface that the file has left, when the file
 * has another one before it looks.
 */
static bool mytun_space_or_gone(struct mytun_queue *q, const struct mytun_dev *md)
{
	mytun_ask_for_space(q);
	return rcu_access_pointer(q->md) != md ||
	       sk_wmem_alloc_get(&q->sk) < READ_ONCE(q->sk.sk_sndbuf);
}

/**
 * mytun_packet_skb - memory for a packet that was written
 * @q:        the queue, whose send buffer it counts against
 * @md:       the interface that it was written to
 * @align:    headroom
 * @len:      bytes of the packet
 * @linear:   how much of that must not be in pages
 * @patience: how long to wait
 *
 * Return: the skb, or an ERR_PTR: -EAGAIN would have to wait; -EBADFD the queue left the
 * interface meanwhile; -EMSGSIZE more than an skb holds; -ENOBUFS; -ERESTARTSYS.
 */
struct sk_buff *mytun_packet_skb(struct mytun_queue *q, const struct mytun_dev *md, size_t align,
				 size_t len, size_t linear, enum mytun_patience patience)
{
	struct sk_buff *skb;
	int err;

	if (align + len < PAGE_SIZE || !linear)
		linear = min_t(size_t, len, SKB_MAX_HEAD(align));
	linear = min_t(size_t, linear, SKB_MAX_HEAD(align));

	for (;;) {
		if (rcu_access_pointer(q->md) != md)
			return ERR_PTR(-EBADFD);
		if (patience == MYTUN_WAIT_FOR_NOTHING)
			skb = mytun_skb_nowait(&q->sk, align + linear, len - linear, &err);
		else
			skb = sock_alloc_send_pskb(&q->sk, align + linear, len - linear, 1,
						   &err, PAGE_ALLOC_COSTLY_ORDER);
		if (skb)
			break;
		if (err != -EAGAIN)
			return ERR_PTR(err);
		if (patience != MYTUN_WAIT) {
			mytun_ask_for_space(q);
			q->sk.sk_write_space(&q->sk);
			return ERR_PTR(err);
		}
		err = wait_event_interruptible(q->socket.wq.wait, mytun_space_or_gone(q, md));
		if (err)
			return ERR_PTR(err);
	}
	/* Before the virtio header is looked at: what parses a packet may ask its interface. */
	skb->dev = md->dev;
	skb_reserve(skb, align);
	skb_put(skb, linear);
	skb->data_len = len - linear;
	skb->len += len - linear;
	return skb;
}

/* What the stack needs to know of a packet. Return: 0 or -EINVAL. */
static int mytun_packet_proto(struct mytun_dev *md, struct sk_buff *skb,
			      const struct tun_pi *pi)
{
	if (md->flags & IFF_TAP) {
		if (!pskb_may_pull(skb, ETH_HLEN))
			return -EINVAL;
		skb->protocol = eth_type_trans(skb, md->dev);
		return 0;
	}

	skb_reset_mac_header(skb);
	skb->dev = md->dev;
	skb->protocol = pi->proto;
	if (md->flags & IFF_NO_PI) {
		if (!pskb_may_pull(skb, 1))
			return -EINVAL;
		switch (skb->data[0] >> 4) {
		case 4:
			skb->protocol = htons(ETH_P_IP);
			break;
		case 6:
			skb->protocol = htons(ETH_P_IPV6);
			break;
		default:
			return -EINVAL;
		}
	}
	return 0;
}

/*
 * The packet goes up, now or by NAPI; softirqs are off, and the RCU read lock is held.
 * Return: 0, or what mytun_writeq_add() says; the packet is still the caller's then.
 */
static int mytun_packet_deliver(struct mytun_queue *q, struct mytun_dev *md,
				struct sk_buff *skb)
{
	if (READ_ONCE(q->by_napi))
		return mytun_writeq_add(md, q, skb);
	dev_sw_netstats_rx_add(md->dev, mytun_skb_written(skb));
	netif_receive_skb(skb);
	return 0;
}

static ssize_t mytun_get_user(struct mytun_queue *q, struct mytun_dev *md,
			      struct iov_iter *from, enum mytun_patience patience)
{
	size_t total = iov_iter_count(from), len, align;
	struct virtio_net_hdr vnet = {};
	struct tun_pi pi = {};
	struct sk_buff *skb;
	u32 hdr_len;
	int err;

	err = mytun_get_headers(md, from, &pi, &vnet, &hdr_len);
	if (err)
		return err;
	len = iov_iter_count(from);
	align = READ_ONCE(md->align);
	if (md->flags & IFF_TAP) {
		align += NET_IP_ALIGN;
		if (len < ETH_HLEN || (hdr_len && hdr_len < ETH_HLEN))
			return -EINVAL;
	}

	skb = mytun_packet_skb(q, md, align, len, hdr_len, patience);
	if (IS_ERR(skb)) {
		err = PTR_ERR(skb);
		if (err != -EAGAIN)
			mytun_rx_dropped_inc(md->dev);
		return err;
	}
	if (skb_copy_datagram_from_iter(skb, 0, from, len)) {
		err = -EFAULT;
		goto drop;
	}
	mytun_vnet_network(skb, md->flags & IFF_TAP ? ETH_HLEN : 0);
	if (mytun_vnet_to_skb(skb, &vnet, mytun_vnet_is_le(md))) {
		atomic_long_inc(&md->frame_errors);
		kfree_skb(skb);
		return -EINVAL;
	}
	err = mytun_packet_proto(md, skb, &pi);
	if (err)
		goto drop;
	skb_reset_network_header(skb);
	skb_probe_transport_header(skb);
	if (skb->ip_summed == CHECKSUM_PARTIAL && !mytun_partial_sound(skb)) {
		atomic_long_inc(&md->frame_errors);
		kfree_skb(skb);
		return -EINVAL;
	}

	rcu_read_lock();
	if (!(READ_ONCE(md->dev->flags) & IFF_UP)) {
		rcu_read_unlock();
		err = -EIO;
		goto drop;
	}
	/* Only while the queue is in service: its index may be another's by now, or of another
	 * interface, since this function may have slept.
	 */
	if (mytun_serves(q, md)) {
		u16 index = READ_ONCE(q->index);

		skb_record_rx_queue(skb, index);
		/* Before the stack sees the packet: the answer may leave at once. */
		if (md->flows && READ_ONCE(md->numqueues) > 1)
			mytun_flow_learn(md->flows, mytun_flow_hash(md, skb), index);
	}
	local_bh_disable();
	err = mytun_packet_deliver(q, md, skb);
	local_bh_enable();
	rcu_read_unlock();
	if (err)
		goto drop;
	return total;

drop:
	mytun_rx_dropped_inc(md->dev);
	kfree_skb(skb);
	return err;
}

ssize_t mytun_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct mytun_queue *q = file->private_data;
	enum mytun_patience patience = mytun_patience_of(iocb);
	struct mytun_dev *md;
	ssize_t ret;

	md = mytun_get(q);
	if (!md)
		return -EBADFD;
	if (mytun_rings_get(q))
		ret = -EBUSY;
	else if (READ_ONCE(q->mode.flags) & MYTUN_MODE_F_RECORDS)
		ret = mytun_records_write(q, md, from, patience);
	else
		ret = mytun_get_user(q, md, from, patience);
	mytun_put(md);
	return ret;
}
