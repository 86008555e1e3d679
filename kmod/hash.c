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
#include <linux/hash.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <net/ip.h>

#include "internal.h"

/* Two multiplications mix enough to spread flows over queues and sets; the seed keeps others
 * from knowing which meet.
 */
static u32 mytun_hash_mix(u64 ends, u32 ports, u64 seed)
{
	u64 h = (ends ^ seed) * GOLDEN_RATIO_64;

	h = ((h ^ h >> 32) + ports) * GOLDEN_RATIO_64;
	return h >> 32;
}

/* Sum and difference are the same from both sides, and together tell which two they were. */
static u32 mytun_hash_ports(const __be16 *ports, u8 proto)
{
	u32 a = (__force u16)ports[0], b = (__force u16)ports[1];

	return (a + b) << 16 ^ (a ^ b) ^ proto;
}

static bool mytun_has_ports(u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* @len: bytes from @iph on that are in one piece. Return: false when it is not so simple. */
static bool mytun_hash_ipv4(const struct iphdr *iph, int len, u64 seed, u32 *hash)
{
	const __be16 *ports = (const __be16 *)(iph + 1);
	u32 a, b;

	if (len < (int)(sizeof(*iph) + 4) || iph->version != 4 || iph->ihl != 5 ||
	    !mytun_has_ports(iph->protocol) || ip_is_fragment(iph))
		return false;
	a = (__force u32)iph->saddr;
	b = (__force u32)iph->daddr;
	*hash = mytun_hash_mix((u64)(a + b) << 32 | (a ^ b),
			       mytun_hash_ports(ports, iph->protocol), seed);
	return true;
}

static u64 mytun_hash_addr(const struct in6_addr *addr)
{
	u64 half[2];

	memcpy(half, addr, sizeof(half));
	return half[0] * GOLDEN_RATIO_64 + half[1];
}

static bool mytun_hash_ipv6(const struct ipv6hdr *ip6h, int len, u64 seed, u32 *hash)
{
	const __be16 *ports = (const __be16 *)(ip6h + 1);
	u64 a, b;

	if (len < (int)(sizeof(*ip6h) + 4) || ip6h->version != 6 ||
	    !mytun_has_ports(ip6h->nexthdr))
		return false;
	a = mytun_hash_addr(&ip6h->saddr);
	b = mytun_hash_addr(&ip6h->daddr);
	*hash = mytun_hash_mix((a + b) * GOLDEN_RATIO_64 ^ (a ^ b),
			       mytun_hash_ports(ports, ip6h->nexthdr), seed);
	return true;
}

/**
 * mytun_flow_hash - the hash of a packet's flow
 * @skb: a packet; its protocol and network header are set
 */
u32 mytun_flow_hash(const struct sk_buff *skb)
{
	static u64 seed __read_mostly;
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
