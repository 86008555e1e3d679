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

/* @linear: how much must not be in pages. Waits for memory of the socket's limit. */
static struct sk_buff *mytun_packet_skb(struct mytun_queue *q, size_t align, size_t len,
					size_t linear, bool noblock)
{
	struct sk_buff *skb;
	int err;

	if (align + len < PAGE_SIZE || !linear)
		linear = min_t(size_t, len, SKB_MAX_HEAD(align));
	linear = min_t(size_t, linear, SKB_MAX_HEAD(align));

	skb = sock_alloc_send_pskb(&q->sk, align + linear, len - linear, noblock, &err,
				   PAGE_ALLOC_COSTLY_ORDER);
	if (!skb)
		return ERR_PTR(err);
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

static ssize_t mytun_get_user(struct mytun_queue *q, struct mytun_dev *md,
			      struct iov_iter *from, bool noblock)
{
	size_t total = iov_iter_count(from), len, align;
	struct virtio_net_hdr vnet = {};
	struct tun_pi pi = {};
	struct sk_buff *skb;
	u32 hdr_len;
	u16 index;
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

	skb = mytun_packet_skb(q, align, len, hdr_len, noblock);
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

	rcu_read_lock();
	if (!(READ_ONCE(md->dev->flags) & IFF_UP)) {
		rcu_read_unlock();
		err = -EIO;
		goto drop;
	}
	index = READ_ONCE(q->index);
	skb_record_rx_queue(skb, index);
	/* Before the stack sees the packet: the answer may leave at once. Only while
	 * the queue is in service: its index may be another's by now, since this
	 * function may have slept.
	 */
	if (md->flows && READ_ONCE(md->numqueues) > 1 && !READ_ONCE(q->disabled) &&
	    rcu_access_pointer(q->md) == md)
		mytun_flow_learn(md->flows, __skb_get_hash_symmetric(skb), index);
	local_bh_disable();
	dev_sw_netstats_rx_add(md->dev, len);
	netif_receive_skb(skb);
	local_bh_enable();
	rcu_read_unlock();
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
	bool noblock = (file->f_flags & O_NONBLOCK) || (iocb->ki_flags & IOCB_NOWAIT);
	struct mytun_dev *md;
	ssize_t ret;

	md = mytun_get(q);
	if (!md)
		return -EBADFD;
	if (mytun_rings_get(q))
		ret = -EBUSY;
	else
		ret = mytun_get_user(q, md, from, noblock);
	/* It waited for memory, and the interface went. */
	if (ret == -EPIPE)
		ret = -EBADFD;
	mytun_put(md);
	return ret;
}
