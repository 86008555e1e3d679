// SPDX-License-Identifier: GPL-2.0
/*
 * The hash of a flow, the same for both of its directions: the key of the flow table, and
 * what a record says of its packet.
 *
 * Every packet of an interface with several queues needs it, so TCP and UDP of plain IPv4
 * and IPv6 do not take the way through the flow dissector, which costs as much as the rest
 * of a small packet's way into the ring. Everything else does: fragments, tunnels, VLANs,
 * other protocols.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <net/ip.h>

#include "internal.h"

/* The upper and the lower end of a flow come in the same order from both sides. */
static u32 mytun_hash_ends(u32 a, u32 b, u16 port_a, u16 port_b, u8 proto, u32 seed)
{
	if (a > b || (a == b && port_a > port_b)) {
		swap(a, b);
		swap(port_a, port_b);
	}
	return jhash_3words(a, b, (u32)port_a << 16 | port_b, seed + proto);
}

static bool mytun_has_ports(u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* @len: bytes from @iph on that are in one piece. Return: false when it is not so simple. */
static bool mytun_hash_ipv4(const struct iphdr *iph, int len, u32 seed, u32 *hash)
{
	const __be16 *ports = (const __be16 *)(iph + 1);

	if (len < (int)(sizeof(*iph) + 4) || iph->version != 4 || iph->ihl != 5 ||
	    !mytun_has_ports(iph->protocol) || ip_is_fragment(iph))
		return false;
	*hash = mytun_hash_ends((__force u32)iph->saddr, (__force u32)iph->daddr,
				(__force u16)ports[0], (__force u16)ports[1], iph->protocol,
				seed);
	return true;
}

static bool mytun_hash_ipv6(const struct ipv6hdr *ip6h, int len, u32 seed, u32 *hash)
{
	const __be16 *ports = (const __be16 *)(ip6h + 1);
	u32 a, b;

	if (len < (int)(sizeof(*ip6h) + 4) || ip6h->version != 6 ||
	    !mytun_has_ports(ip6h->nexthdr))
		return false;
	a = jhash2((__force const u32 *)ip6h->saddr.s6_addr32, 4, seed);
	b = jhash2((__force const u32 *)ip6h->daddr.s6_addr32, 4, seed);
	*hash = mytun_hash_ends(a, b, (__force u16)ports[0], (__force u16)ports[1],
				ip6h->nexthdr, seed);
	return true;
}

/**
 * mytun_flow_hash - the hash of a packet's flow
 * @skb: a packet; its protocol and network header are set
 */
u32 mytun_flow_hash(const struct sk_buff *skb)
{
	static u32 seed __read_mostly;
	int len = skb_headlen(skb) - skb_network_offset(skb);
	u32 hash;

	net_get_random_once(&seed, sizeof(seed));
	switch (skb->protocol) {
	case htons(ETH_P_IP):
		if (mytun_hash_ipv4(ip_hdr(skb), len, seed, &hash))
			return hash;
		break;
	case htons(ETH_P_IPV6):
		if (mytun_hash_ipv6(ipv6_hdr(skb), len, seed, &hash))
			return hash;
		break;
	}
	return __skb_get_hash_symmetric(skb);
}
