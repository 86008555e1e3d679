/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's conversion of virtio headers, with UDP segmentation on kernels without. */
#ifndef MYTUN_COMPAT_VNET_H
#define MYTUN_COMPAT_VNET_H

#include <linux/udp.h>
#include <linux/virtio_net.h>

/*
 * Of a super-packet whose header says nothing of a checksum the kernel looks for the headers,
 * from the network header on. Older ones do only where that is known, which the built-in
 * driver does not tell them.
 */
static inline void mytun_vnet_network(struct sk_buff *skb, int offset)
{
#ifndef MYTUN_HAVE_VNET_IF_NETWORK
	skb_set_network_header(skb, offset);
#endif
}

#ifdef MYTUN_HAVE_VNET_UDP_L4

#define mytun_vnet_to_skb(skb, hdr, le) virtio_net_hdr_to_skb(skb, hdr, le)
#define mytun_vnet_from_skb(skb, hdr, le, vlan_hlen) \
	virtio_net_hdr_from_skb(skb, hdr, le, true, vlan_hlen)

#else

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* The checksum as for any packet, and then what the kernel would check of a super-packet. */
static inline int mytun_vnet_to_skb(struct sk_buff *skb, const struct virtio_net_hdr *hdr,
				    bool le)
{
	u32 size = __virtio16_to_cpu(le, hdr->gso_size);
	struct virtio_net_hdr plain = *hdr;
	u32 payload;
	int err;

	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_UDP_L4)
		return virtio_net_hdr_to_skb(skb, hdr, le);
	if (!size || size == GSO_BY_FRAGS || !(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return -EINVAL;
	plain.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	err = virtio_net_hdr_to_skb(skb, &plain, le);
	if (err)
		return err;
	if (skb->csum_offset != offsetof(struct udphdr, check))
		return -EINVAL;
	/* The checksum is the end of the header, so that this is not negative. */
	payload = skb->len - skb_checksum_start_offset(skb) - sizeof(struct udphdr);
	if (payload > size * UDP_MAX_SEGMENTS)
		return -EINVAL;
	if (payload > size) {
		skb_shinfo(skb)->gso_size = size;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4 | SKB_GSO_DODGY;
		skb_shinfo(skb)->gso_segs = 0;
	}
	return 0;
}

static inline int mytun_vnet_from_skb(const struct sk_buff *skb, struct virtio_net_hdr *hdr,
				      bool le, int vlan_hlen)
{
	if (!skb_is_gso(skb) || !(skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4))
		return virtio_net_hdr_from_skb(skb, hdr, le, true, vlan_hlen);
	memset(hdr, 0, sizeof(*hdr));
	hdr->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	hdr->gso_size = __cpu_to_virtio16(le, skb_shinfo(skb)->gso_size);
	hdr->hdr_len = __cpu_to_virtio16(le, skb_headlen(skb));
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		hdr->csum_start = __cpu_to_virtio16(le, skb_checksum_start_offset(skb) +
								vlan_hlen);
		hdr->csum_offset = __cpu_to_virtio16(le, skb->csum_offset);
	}
	return 0;
}

#endif

#endif /* MYTUN_COMPAT_VNET_H */
