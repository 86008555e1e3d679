// SPDX-License-Identifier: GPL-2.0
/*
 * A super-packet of the stack, up to 64 KiB of one TCP or UDP flow, is cut straight into
 * records: finished packets of the size of the MTU, each with its own headers and
 * checksums, without an skb for each. What comes out is, byte for byte, what the
 * stack's own segmentation would have sent.
 *
 * Not by net/tso.h, which knows neither checksums nor CWR: all it would save here is the
 * walk over the fragments, which is that of copy.c.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>

#include "internal.h"

/* What can be cut, each alone. */
#define MYTUN_CUT_TYPES (SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP_L4)
/* What may come with it. The stack has checked the headers of those from outside. */
#define MYTUN_CUT_EXTRAS (SKB_GSO_TCP_ECN | SKB_GSO_DODGY)

/* Is it IPv4 or IPv6, as @type wants it, with nothing before the transport header? */
static bool mytun_cut_ip_ok(const struct sk_buff *skb, unsigned int type, u8 proto)
{
	unsigned int transport = skb_transport_offset(skb) - skb_network_offset(skb);
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	const struct iphdr *iph = ip_hdr(skb);

	switch (iph->version) {
	case 4:
		return type != SKB_GSO_TCPV6 && transport == iph->ihl * 4 &&
		       iph->protocol == proto && !ip_is_fragment(iph);
	case 6:
		return type != SKB_GSO_TCPV4 && transport == sizeof(*ip6h) &&
		       ip6h->nexthdr == proto;
	}
	return false;
}

/**
 * mytun_can_cut - is this super-packet one that mytun_cut_init() can take apart?
 * @skb: a GSO packet
 *
 * Not those in tunnels, with IPv6 extension headers, with fixed IP identifiers, or
 * chained by GRO: the stack's own segmentation does these.
 */
bool mytun_can_cut(const struct sk_buff *skb)
{
	unsigned int type = skb_shinfo(skb)->gso_type & ~MYTUN_CUT_EXTRAS;
	unsigned int mss = skb_shinfo(skb)->gso_size;
	int transport = skb_transport_offset(skb);
	int network = skb_network_offset(skb);
	unsigned int headers;
	u8 proto;

	if (!is_power_of_2(type) || !(type & MYTUN_CUT_TYPES))
		return false;
	if (skb->encapsulation || !mytun_can_read(skb) ||
	    skb->ip_summed != CHECKSUM_PARTIAL ||
	    skb_checksum_start_offset(skb) != transport)
		return false;

	proto = type == SKB_GSO_UDP_L4 ? IPPROTO_UDP : IPPROTO_TCP;
	headers = proto == IPPROTO_UDP ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	if (network < 0 || transport < network + (int)sizeof(struct iphdr) ||
	    transport + headers > skb_headlen(skb) || !mytun_cut_ip_ok(skb, type, proto))
		return false;

	if (proto == IPPROTO_TCP) {
		if (tcp_hdrlen(skb) < headers)
			return false;
		headers = tcp_hdrlen(skb);
	}
	headers += transport;
	/* More than one segment, and no more than the length fields can say. */
	return headers <= skb_headlen(skb) && headers <= MYTUN_CUT_HEAD - VLAN_HLEN &&
	       skb->len - headers > mss && skb->len <= MYTUN_PACKET_MAX;
}

/**
 * mytun_cut_init - look at a super-packet
 * @cut: gets what mytun_cut_segment() needs
 * @skb: a GSO packet that mytun_can_cut() accepts
 */
void mytun_cut_init(struct mytun_cut *cut, const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);

	cut->tcp = !(skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4);
	cut->ipv6 = ip_hdr(skb)->version == 6;
	cut->network = skb_network_offset(skb);
	cut->transport = skb_transport_offset(skb);
	cut->headers = cut->transport +
		       (cut->tcp ? tcp_hdrlen(skb) : sizeof(struct udphdr));
	cut->mss = skb_shinfo(skb)->gso_size;
	cut->payload = skb->len - cut->headers;
	cut->segments = DIV_ROUND_UP(cut->payload, cut->mss);

	mytun_reader_init(&cut->reader, skb, cut->headers);
	memcpy(cut->head, skb->data, cut->headers);
	cut->id = cut->ipv6 ? 0 : ntohs(ip_hdr(skb)->id);
	if (cut->tcp) {
		cut->seq = ntohl(th->seq);
		cut->fin = th->fin;
		cut->psh = th->psh;
	}
}

static void mytun_cut_ip(struct mytun_cut *cut, unsigned int i, unsigned int transport_len)
{
	struct ipv6hdr *ip6h = (struct ipv6hdr *)(cut->head + cut->network);
	struct iphdr *iph = (struct iphdr *)(cut->head + cut->network);

	if (cut->ipv6) {
		ip6h->payload_len = htons(transport_len);
		return;
	}
	iph->id = htons(cut->id + i);
	iph->tot_len = htons(cut->transport - cut->network + transport_len);
	ip_send_check(iph);
}

/* @sum: of what the transport header and the payload hold. */
static __sum16 mytun_cut_sum(const struct mytun_cut *cut, unsigned int len, u8 proto,
			     __wsum sum)
{
	const void *ip = cut->head + cut->network;
	const struct ipv6hdr *ip6h = ip;
	const struct iphdr *iph = ip;

	if (cut->ipv6)
		return csum_ipv6_magic(&ip6h->saddr, &ip6h->daddr, len, proto, sum);
	return csum_tcpudp_magic(iph->saddr, iph->daddr, len, proto, sum);
}

static void mytun_cut_tcp(struct mytun_cut *cut, unsigned int i, unsigned int len, __wsum sum)
{
	struct tcphdr *th = (struct tcphdr *)(cut->head + cut->transport);
	bool last = i + 1 == cut->segments;

	th->seq = htonl(cut->seq + i * cut->mss);
	/* The window was reduced once; the end and the push come with the last. */
	if (i)
		th->cwr = 0;
	th->fin = last && cut->fin;
	th->psh = last && cut->psh;
	th->check = 0;
	sum = csum_partial(th, cut->headers - cut->transport, sum);
	th->check = mytun_cut_sum(cut, len, IPPROTO_TCP, sum);
}

static void mytun_cut_udp(struct mytun_cut *cut, unsigned int len, __wsum sum)
{
	struct udphdr *uh = (struct udphdr *)(cut->head + cut->transport);

	uh->len = htons(len);
	uh->check = 0;
	sum = csum_partial(uh, sizeof(*uh), sum);
	uh->check = mytun_cut_sum(cut, len, IPPROTO_UDP, sum) ?: CSUM_MANGLED_0;
}

/**
 * mytun_cut_segment - write one finished packet
 * @cut: from mytun_cut_init()
 * @i:   which, counted from 0; in order
 * @to:  mytun_cut_len() bytes, written and not read: the program sees them already
 */
void mytun_cut_segment(struct mytun_cut *cut, unsigned int i, u8 *to)
{
	unsigned int payload = mytun_cut_len(cut, i) - cut->headers;
	unsigned int len = cut->headers - cut->transport + payload;
	__wsum sum;

	sum = mytun_read_and_sum(&cut->reader, to + cut->headers, payload);
	mytun_cut_ip(cut, i, len);
	if (cut->tcp)
		mytun_cut_tcp(cut, i, len, sum);
	else
		mytun_cut_udp(cut, len, sum);
	/* With a bound that the compiler sees. */
	memcpy(to, cut->head, min_t(unsigned int, cut->headers, MYTUN_CUT_HEAD));
}
