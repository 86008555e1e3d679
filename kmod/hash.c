// SPDX-License-Identifier: GPL-2.0
/*
 * The hash of a flow, the same for both of its directions: the key of the flow table, and
 * what a record says of its packet.
 *
 * Every packet of an interface with several queues needs it, so TCP and UDP of plain IPv4
 * and IPv6 do not take the way through the flow dissector, which costs as much as the rest
 * of a small packet's way into the ring. Everything else does.
 */
#include <linux/hash.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <net/flow_dissector.h>
#include <net/ip.h>

#include "internal.h"

/* Two multiplications mix enough to spread flows over queues and sets. Who sees enough hashes
 * could find the seed, so each interface has its own: it tells nothing of the others.
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

static u32 mytun_hash_ipv4(__be32 saddr, __be32 daddr, const __be16 *ports, u8 proto, u64 seed)
{
	u32 a = (__force u32)saddr, b = (__force u32)daddr;

	return mytun_hash_mix((u64)(a + b) << 32 | (a ^ b), mytun_hash_ports(ports, proto),
			      seed);
}

static u64 mytun_hash_addr(const struct in6_addr *addr)
{
	u64 half[2];

	memcpy(half, addr, sizeof(half));
	return half[0] * GOLDEN_RATIO_64 + half[1];
}

static u32 mytun_hash_ipv6(const struct in6_addr *saddr, const struct in6_addr *daddr,
			   const __be16 *ports, u8 proto, u64 seed)
{
	u64 a = mytun_hash_addr(saddr), b = mytun_hash_addr(daddr);

	return mytun_hash_mix((a + b) * GOLDEN_RATIO_64 ^ (a ^ b),
			      mytun_hash_ports(ports, proto), seed);
}

/* With VLAN tags, options, extension headers: one side of a flow may have what the other has
 * not, so its hash must be the same as that of a plain packet.
 */
static noinline u32 mytun_hash_dissected(struct sk_buff *skb, u64 seed)
{
	struct flow_keys keys;
	u8 proto;

	if (!skb_flow_dissect_flow_keys(skb, &keys, 0))
		return __skb_get_hash_symmetric(skb);
	proto = keys.basic.ip_proto;
	if (mytun_has_ports(proto) && keys.ports.ports) {
		switch (keys.control.addr_type) {
		case FLOW_DISSECTOR_KEY_IPV4_ADDRS:
			return mytun_hash_ipv4(keys.addrs.v4addrs.src, keys.addrs.v4addrs.dst,
					       &keys.ports.src, proto, seed);
		case FLOW_DISSECTOR_KEY_IPV6_ADDRS:
			return mytun_hash_ipv6(&keys.addrs.v6addrs.src,
					       &keys.addrs.v6addrs.dst, &keys.ports.src, proto,
					       seed);
		}
	}
	return __skb_get_hash_symmetric(skb);
}

/* More tags than that nobody needs. */
#define MYTUN_TAGS_MAX 4

/* What is behind the tags of a frame, which begins at @skb's data; 0: no such thing. */
static __be16 mytun_behind_tags(const struct sk_buff *skb, int *at)
{
	const struct vlan_hdr *tag;
	__be16 proto = skb->protocol;
	struct vlan_hdr buf;
	int tags;

	*at = ETH_HLEN;
	for (tags = 0; eth_type_vlan(proto); tags++) {
		tag = skb_header_pointer(skb, *at, sizeof(buf), &buf);
		if (!tag || tags == MYTUN_TAGS_MAX)
			return 0;
		proto = tag->h_vlan_encapsulated_proto;
		*at += sizeof(*tag);
	}
	return proto;
}

/*
 * The same as without tags. The stack may have the network header at the first of them, or behind
 * those that it put in itself, and packet sockets elsewhere. On the way up, where the Ethernet
 * header is gone, it is at the first.
 */
static noinline u32 mytun_hash_tagged(const struct mytun_dev *md, struct sk_buff *skb)
{
	__u16 network = skb->network_header;
	__be16 tag = skb->protocol, inner;
	u32 hash;
	bool up = skb_mac_header_was_set(skb) && skb_mac_header(skb) < skb->data;
	int at;

	inner = up ? 0 : mytun_behind_tags(skb, &at);
	if (!inner)
		return mytun_hash_dissected(skb, md->hash_seed);
	skb->protocol = inner;
	skb_set_network_header(skb, at);
	hash = mytun_flow_hash(md, skb);
	skb->network_header = network;
	skb->protocol = tag;
	return hash;
}

/**
 * mytun_flow_hash - the hash of a packet's flow
 * @md:  the interface
 * @skb: a packet of the caller's alone; its protocol and network header are set
 */
u32 mytun_flow_hash(const struct mytun_dev *md, struct sk_buff *skb)
{
	int len = skb_headlen(skb) - skb_network_offset(skb);
	const struct ipv6hdr *ip6h;
	const struct iphdr *iph;
	u64 seed = md->hash_seed;

	switch (skb->protocol) {
	case htons(ETH_P_IP):
		iph = ip_hdr(skb);
		if (len < (int)(sizeof(*iph) + 4) || iph->version != 4 || iph->ihl != 5 ||
		    !mytun_has_ports(iph->protocol) || ip_is_fragment(iph))
			break;
		return mytun_hash_ipv4(iph->saddr, iph->daddr, (const __be16 *)(iph + 1),
				       iph->protocol, seed);
	case htons(ETH_P_IPV6):
		ip6h = ipv6_hdr(skb);
		if (len < (int)(sizeof(*ip6h) + 4) || ip6h->version != 6 ||
		    !mytun_has_ports(ip6h->nexthdr))
			break;
		return mytun_hash_ipv6(&ip6h->saddr, &ip6h->daddr, (const __be16 *)(ip6h + 1),
				       ip6h->nexthdr, seed);
	case htons(ETH_P_8021Q):
	case htons(ETH_P_8021AD):
		return mytun_hash_tagged(md, skb);
	}
	return mytun_hash_dissected(skb, seed);
}
