// SPDX-License-Identifier: GPL-2.0
/*
 * Unfinished packets that a program sends. The kernel's conversion of virtio headers looks
 * at single fields, the less the older it is; what cuts the packet later, or completes its
 * checksum on the way out, relies on more, and warns when it is not so.
 */
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/flow_dissector.h>

#include "internal.h"

/* What newer kernels let become of the longest packet, which count no segments of TCP
 * with less than 8 bytes. Far from what a u16 counts.
 */
#define MYTUN_SUPER_SEGMENTS DIV_ROUND_UP(MYTUN_PACKET_MAX, 8)
/* And the bytes of the headers before the transport header, which all of these have: 1 MiB.
 * IPv6 extension headers may be many KiB, and who cuts the packet has all of its pieces in
 * memory at once.
 */
#define MYTUN_SUPER_HEADERS (MYTUN_SUPER_SEGMENTS * 128)

static bool mytun_super_is(const struct flow_keys_basic *keys, __be16 network, u8 transport)
{
	return keys->basic.n_proto == network && keys->basic.ip_proto == transport;
}

static bool mytun_super_kind(const struct sk_buff *skb, const struct flow_keys_basic *keys)
{
	unsigned int kind = skb_shinfo(skb)->gso_type & ~(SKB_GSO_DODGY | SKB_GSO_TCP_ECN);

	switch (kind) {
	case SKB_GSO_TCPV4:
		return mytun_super_is(keys, htons(ETH_P_IP), IPPROTO_TCP) &&
		       skb->csum_offset == offsetof(struct tcphdr, check);
	case SKB_GSO_TCPV6:
		return mytun_super_is(keys, htons(ETH_P_IPV6), IPPROTO_TCP) &&
		       skb->csum_offset == offsetof(struct tcphdr, check);
	case SKB_GSO_UDP:
	case SKB_GSO_UDP_L4:
		return keys->basic.ip_proto == IPPROTO_UDP &&
		       skb->csum_offset == offsetof(struct udphdr, check);
	}
	return false;
}

/* Its checksum begins where its own headers say that the transport header is, which is of
 * the kind that it should be; it has no tunnel's headers and is no fragment; and it does
 * not stand for more packets than can be counted, or become many times as large.
 */
static bool mytun_super_sound(const struct sk_buff *skb)
{
	u32 segments = DIV_ROUND_UP(skb->len, skb_shinfo(skb)->gso_size);
	struct flow_keys_basic keys;

	if (segments > MYTUN_SUPER_SEGMENTS)
		return false;
	/* Only what is in one piece, where the headers are. With the packet itself some kernels
	 * take its length for 16 bits, which the longest have not.
	 */
	if (!skb_flow_dissect_flow_keys_basic(dev_net(skb->dev), NULL, &keys, skb->data,
					      skb->protocol, 0,
					      min_t(unsigned int, skb_headlen(skb), U16_MAX),
					      FLOW_DISSECTOR_F_STOP_AT_ENCAP))
		return false;
	if (keys.control.flags & (FLOW_DIS_IS_FRAGMENT | FLOW_DIS_ENCAPSULATION))
		return false;
	return segments * keys.control.thoff <= MYTUN_SUPER_HEADERS &&
	       keys.control.thoff == skb_checksum_start_offset(skb) &&
	       mytun_super_kind(skb, &keys);
}

/**
 * mytun_partial_sound - is an unfinished packet what its virtio header says?
 * @skb: a CHECKSUM_PARTIAL packet from mytun_vnet_to_skb(); its protocol is set, and data
 *       and network header are at the IP header
 */
bool mytun_partial_sound(const struct sk_buff *skb)
{
	/* In the Ethernet header, which nobody sees any more. */
	if (skb_checksum_start_offset(skb) < 0)
		return false;
	return !skb_is_gso(skb) || mytun_super_sound(skb);
}
