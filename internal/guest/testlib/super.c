// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "super.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"
#include "iface.h"
#include "packet.h"

static unsigned int below(unsigned int n)
{
	return random() % n;
}

static void random_bytes(void *to, size_t len)
{
	uint8_t *p = to;

	while (len--)
		*p++ = random();
}

/* The sum that the stack leaves in the checksum's place, which its device completes. */
static uint16_t pseudo_sum(const void *addrs, size_t addrs_len, uint32_t len)
{
	const uint16_t *p = addrs;
	uint64_t acc = htons(IPPROTO_TCP) + htonl(len);

	for (size_t i = 0; i < addrs_len / 2; i++)
		acc += p[i];
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return acc;
}

static uint8_t *add_ethernet(uint8_t *p, struct super_kind kind, struct super *s)
{
	uint16_t ip = kind.ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;

	s->proto = ip;
	if (!kind.tap)
		return p;
	memcpy(p, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
	p += 12;
	for (unsigned int i = 0; i < kind.vlans; i++) {
		/* The outer one of two is a service tag. */
		uint16_t tag[2] = { htons(i + 1 < kind.vlans ? 0x88a8 : ETHERTYPE_VLAN),
				    htons(100 + i) };

		if (!i)
			s->proto = ntohs(tag[0]);
		memcpy(p, tag, sizeof(tag));
		p += sizeof(tag);
	}
	*(uint16_t *)p = htons(ip);
	return p + 2;
}

static uint8_t *add_ipv4(uint8_t *p, unsigned int options, unsigned int rest)
{
	struct iphdr *ip = (struct iphdr *)p;

	ip->version = 4;
	ip->ihl = 5 + options;
	ip->tos = random();
	ip->tot_len = htons(ip->ihl * 4 + rest);
	ip->id = random();
	ip->frag_off = htons(below(2) ? IP_DF : 0);
	ip->ttl = 1 + below(255);
	ip->protocol = IPPROTO_TCP;
	inet_pton(AF_INET, HERE4, &ip->saddr);
	inet_pton(AF_INET, THERE4, &ip->daddr);
	memset(ip + 1, IPOPT_NOP, options * 4);
	return p + ip->ihl * 4;
}

static uint8_t *add_ipv6(uint8_t *p, struct super_kind kind, unsigned int rest)
{
	struct ip6_hdr *ip6 = (struct ip6_hdr *)p;

	ip6->ip6_flow = htonl(6u << 28 | below(1 << 28));
	ip6->ip6_plen = htons(rest + kind.extensions * 24);
	ip6->ip6_nxt = IPPROTO_TCP;
	ip6->ip6_hlim = 1 + below(255);
	inet_pton(AF_INET6, HERE6, &ip6->ip6_src);
	inet_pton(AF_INET6, THERE6, &ip6->ip6_dst);
	p += sizeof(*ip6);
	if (kind.extensions)
		ip6->ip6_nxt = IPPROTO_DSTOPTS;
	for (unsigned int left = kind.extensions; left; left--, p += 24) {
		/* Destination options: padding. */
		memset(p, 0, 24);
		p[0] = left > 1 ? IPPROTO_DSTOPTS : IPPROTO_TCP;
		p[1] = 24 / 8 - 1;
		p[2] = 1;
		p[3] = 24 - 4;
	}
	return p;
}

static void fill_tcp(struct tcphdr *th, unsigned int options)
{
	th->source = random();
	th->dest = random();
	th->seq = random() ^ random() << 16;
	th->ack_seq = random();
	th->doff = 5 + options;
	th->window = random();
	th->psh = random();
	th->fin = !below(4);
	th->ack = 1;
	th->urg = !below(8);
	th->urg_ptr = random();
	th->ece = random();
	th->cwr = !below(3);
	memset(th + 1, 1 /* no operation */, options * 4);
}

static void build(struct super *s, struct super_kind kind, unsigned int ip_options,
		  unsigned int tcp_options, unsigned int mss, unsigned int payload)
{
	unsigned int l4 = (5 + tcp_options) * 4;
	uint8_t *ip, *p = s->bytes;
	struct tcphdr *th;

	memset(s, 0, offsetof(struct super, bytes) + 512);
	ip = add_ethernet(p, kind, s);
	s->network = ip - s->bytes;
	p = kind.ipv6 ? add_ipv6(ip, kind, l4 + payload) : add_ipv4(ip, ip_options, l4 + payload);
	s->headers = p + l4 - s->bytes;
	s->len = s->headers + payload;
	s->mss = mss;
	s->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	s->vnet.hdr_len = s->headers;
	s->vnet.gso_size = mss;
	s->vnet.csum_start = p - s->bytes;
	th = (struct tcphdr *)p;
	fill_tcp(th, tcp_options);
	if (kind.ipv6)
		th->check = pseudo_sum(ip + 8, 32, l4 + payload);
	else
		th->check = pseudo_sum(ip + 12, 8, l4 + payload);
	s->vnet.gso_type = kind.ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	if (th->cwr)
		s->vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	s->vnet.csum_offset = offsetof(struct tcphdr, check);
	random_bytes(s->bytes + s->headers, payload);
}

void super_new(struct super *s, struct super_kind kind, unsigned int mss, unsigned int segments,
	       unsigned int last)
{
	build(s, kind, 0, 3, mss, (segments - 1) * mss + last);
}

void super_random(struct super *s, struct super_kind kind, unsigned int segments)
{
	/* Kernels raise a smaller one. */
	unsigned int mss = below(2) ? 48 + below(400) : 48 + below(9000);
	unsigned int most, ip_options = below(3) ? 0 : below(11);

	/* What the IP header's length field can say. */
	most = 65535 - 60 - 60 - kind.extensions * 24;
	if (most > mss * segments)
		most = mss * segments;
	build(s, kind, ip_options, below(11), mss, mss + 1 + below(most - mss));
	/* How much of it lies in one piece: all, or little more than the headers. */
	if (s->len < 30000 && below(2))
		s->vnet.hdr_len = s->len - below(s->len - s->headers);
}

static void finish_ip(uint8_t *ip, unsigned int i, size_t len)
{
	struct iphdr *ip4 = (struct iphdr *)ip;

	if (ip[0] >> 4 == 6) {
		((struct ip6_hdr *)ip)->ip6_plen = htons(len - sizeof(struct ip6_hdr));
		return;
	}
	ip4->tot_len = htons(len);
	ip4->id = htons(ntohs(ip4->id) + i);
	ip4->check = 0;
	ip4->check = packet_fold(packet_sum(0, ip, ip4->ihl * 4));
}

uint32_t super_cut(const struct super *s, unsigned int i, uint8_t *packet)
{
	uint32_t from = s->headers + i * s->mss, transport = s->vnet.csum_start, len, sum;
	bool last = from + s->mss >= s->len, ipv6 = s->bytes[s->network] >> 4 == 6;
	struct tcphdr *th = (struct tcphdr *)(packet + transport);
	uint8_t *ip = packet + s->network;

	if (from >= s->len)
		return 0;
	len = last ? s->len - from : s->mss;
	memcpy(packet, s->bytes, s->headers);
	memcpy(packet + s->headers, s->bytes + from, len);
	len += s->headers;
	th->seq = htonl(ntohl(th->seq) + i * s->mss);
	th->cwr = !i && th->cwr;
	th->fin = last && th->fin;
	th->psh = last && th->psh;
	finish_ip(ip, i, len - s->network);
	th->check = 0;
	sum = packet_sum(IPPROTO_TCP + len - transport, ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8);
	th->check = packet_fold(packet_sum(sum, th, len - transport));
	return len;
}

void super_record(struct ring *r, const struct super *s)
{
	struct mytun_rec *rec = ring_tx_packet(r, s->bytes, s->len);

	rec->vnet_flags = s->vnet.flags;
	rec->gso_type = s->vnet.gso_type;
	rec->hdr_len = s->vnet.hdr_len;
	rec->gso_size = s->vnet.gso_size;
	rec->csum_start = s->vnet.csum_start;
	rec->csum_offset = s->vnet.csum_offset;
}

int super_socket(const char *ifname)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = iface_index(ifname) };
	int fd = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
	int on = 1, size = 4 << 20;

	must(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)));
	must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)));
	must(bind(fd, (struct sockaddr *)&to, sizeof(to)));
	return fd;
}

void super_send(int fd, const char *ifname, const struct super *s)
{
	/* Not by netlink, which takes the lock that changes of the interface need. */
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(s->proto),
				  .sll_ifindex = if_nametoindex(ifname) };
	struct iovec iov[] = { { (void *)&s->vnet, sizeof(s->vnet) },
			       { (void *)s->bytes, s->len } };
	struct msghdr msg = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 2
	};

	/* A packet that the interface drops is ENOBUFS here. */
	if (sendmsg(fd, &msg, 0) < 0 && errno != ENOBUFS)
		fail("sendmsg: %s", strerrorname(errno));
}
