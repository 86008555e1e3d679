// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "segment.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"

struct conn conn_here(int family)
{
	bool v4 = family == AF_INET;

	return (struct conn){
		.family = family,
		.from = v4 ? THERE4 : THERE6,
		.to = v4 ? HERE4 : HERE6,
		.sport = PORT_THERE,
		.dport = PORT_HERE,
		.seq = 1000,
	};
}

/* The sum over what TCP and UDP borrow from the IP header. */
static uint32_t pseudo(const uint8_t *l3, uint8_t proto, size_t len)
{
	if (l3[0] >> 4 == 4)
		return packet_sum(proto + len, l3 + 12, 8);
	return packet_sum(proto + len, l3 + 8, 32);
}

static size_t l3_len(const uint8_t *l3)
{
	return l3[0] >> 4 == 4 ? 20 : 40;
}

static uint8_t l3_proto(const uint8_t *l3)
{
	return l3[0] >> 4 == 4 ? l3[9] : l3[6];
}

void segment(struct packet *p, struct conn *c, uint8_t flags, const void *payload, size_t len)
{
	size_t l3 = c->family == AF_INET ? 20 : 40;
	struct tcphdr *tcp = (struct tcphdr *)(p->bytes + l3);

	p->len = l3 + sizeof(*tcp) + len;
	memset(p->bytes, 0, p->len - len);
	if (c->family == AF_INET) {
		struct iphdr *ip = (struct iphdr *)p->bytes;

		ip->version = 4;
		ip->ihl = 5;
		ip->tot_len = htons(p->len);
		ip->frag_off = htons(0x4000); /* DF: the id means nothing */
		ip->ttl = 64;
		ip->protocol = IPPROTO_TCP;
		inet_pton(AF_INET, c->from, &ip->saddr);
		inet_pton(AF_INET, c->to, &ip->daddr);
		ip->check = packet_fold(packet_sum(0, ip, sizeof(*ip)));
	} else {
		struct ip6_hdr *ip6 = (struct ip6_hdr *)p->bytes;

		ip6->ip6_vfc = 0x60;
		ip6->ip6_plen = htons(p->len - l3);
		ip6->ip6_nxt = IPPROTO_TCP;
		ip6->ip6_hlim = 64;
		inet_pton(AF_INET6, c->from, &ip6->ip6_src);
		inet_pton(AF_INET6, c->to, &ip6->ip6_dst);
	}
	tcp->th_sport = htons(c->sport);
	tcp->th_dport = htons(c->dport);
	tcp->th_seq = htonl(c->seq);
	tcp->th_ack = htonl(c->ack);
	tcp->th_off = 5;
	tcp->th_flags = flags;
	tcp->th_win = htons(60000);
	memcpy(tcp + 1, payload, len);
	tcp->th_sum = packet_fold(packet_sum(
		pseudo(p->bytes, IPPROTO_TCP, sizeof(*tcp) + len), tcp, sizeof(*tcp) + len));
	c->seq += len + !!(flags & (TH_SYN | TH_FIN));
}

bool checksums_right(const void *packet, size_t len)
{
	const uint8_t *l3 = packet;
	size_t n = l3_len(l3);
	size_t says;

	if (l3[0] >> 4 == 4)
		says = ntohs(((struct iphdr *)l3)->tot_len);
	else
		says = sizeof(struct ip6_hdr) + ntohs(((struct ip6_hdr *)l3)->ip6_plen);

	if (says != len || len < n + 8)
		return false;
	if (n == 20 && packet_fold(packet_sum(0, l3, 20)))
		return false;
	return !packet_fold(packet_sum(pseudo(l3, l3_proto(l3), len - n), l3 + n, len - n));
}

struct mytun_rec *super_frame(struct ring *r, const struct packet *p, uint8_t gso_type,
			      uint16_t gso_size)
{
	struct mytun_rec *rec = ring_tx_packet(r, p->bytes, p->len);
	uint8_t *l3 = rec_packet(rec);
	bool tcp = l3_proto(l3) == IPPROTO_TCP;
	uint16_t sum;

	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->gso_type = gso_type;
	rec->gso_size = gso_size;
	rec->csum_start = l3_len(l3);
	rec->csum_offset = tcp ? 16 : 6;
	rec->hdr_len = rec->csum_start + (tcp ? 20 : 8);
	/* The sum so far stands where the whole will be. */
	sum = ~packet_fold(pseudo(l3, l3_proto(l3), rec->len - rec->csum_start));
	memcpy(l3 + rec->csum_start + rec->csum_offset, &sum, 2);
	return rec;
}

/* The kernel's answer to a SYN. */
static void expect_syn_ack(struct conn *c, struct ring *r)
{
	struct tcphdr *tcp;

	for (;;) {
		struct mytun_rec *rec = ring_rx_wait(r);
		uint8_t *l3 = rec_packet(rec);

		tcp = (struct tcphdr *)(l3 + l3_len(l3));
		if (l3_proto(l3) == IPPROTO_TCP && tcp->th_dport == htons(c->sport))
			break;
		ring_rx_done(r);
	}
	expect_eq(tcp->th_flags & (TH_SYN | TH_ACK | TH_RST), TH_SYN | TH_ACK);
	expect_eq(ntohl(tcp->th_ack), c->seq);
	c->ack = ntohl(tcp->th_seq) + 1;
	ring_rx_done(r);
}

int tcp_connect_here(struct conn *c, struct ring *r)
{
	int listener = must(socket(c->family, SOCK_STREAM | SOCK_CLOEXEC, 0)), size = 4 << 20;
	struct sockaddr_in6 any = { .sin6_family = c->family, .sin6_port = htons(c->dport) };
	struct packet p;

	setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	must(bind(listener, (struct sockaddr *)&any,
		  c->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(any)));
	must(listen(listener, 1));
	segment(&p, c, TH_SYN, "", 0);
	ring_tx_packet(r, p.bytes, p.len);
	ring_tx_flush(r);
	expect_syn_ack(c, r);
	segment(&p, c, TH_ACK, "", 0);
	ring_tx_packet(r, p.bytes, p.len);
	ring_tx_flush(r);
	return must(accept(listener, NULL, NULL));
}
