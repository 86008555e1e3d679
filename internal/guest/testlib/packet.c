// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "packet.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"

uint32_t packet_sum(uint32_t acc, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		acc += p[i] << 8 | p[i + 1];
	if (len & 1)
		acc += p[len - 1] << 8;
	/* Often enough that 32 bits hold it. */
	return (acc & 0xffff) + (acc >> 16);
}

uint16_t packet_fold(uint32_t acc)
{
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return htons(~acc);
}

static void finish_udp(struct udphdr *u, const void *addrs, size_t addrs_len)
{
	uint16_t len = ntohs(u->len);

	u->check = 0;
	u->check = packet_fold(packet_sum(packet_sum(IPPROTO_UDP + len, addrs, addrs_len), u, len));
	if (!u->check)
		u->check = 0xffff;
}

void packet_finish(struct packet *p, bool tap)
{
	uint8_t *l3 = p->bytes + (tap ? ETH : 0);

	if (l3[0] >> 4 == 4) {
		struct iphdr *ip = (struct iphdr *)l3;

		ip->check = 0;
		ip->check = packet_fold(packet_sum(0, ip, sizeof(*ip)));
		finish_udp((struct udphdr *)(ip + 1), &ip->saddr, 8);
	} else {
		struct ip6_hdr *ip6 = (struct ip6_hdr *)l3;

		finish_udp((struct udphdr *)(ip6 + 1), &ip6->ip6_src, 32);
	}
}

void packet_inbound(struct packet *p, const struct tun *t, int family, const void *payload,
		    size_t len)
{
	size_t headers = family == AF_INET ? UDP4 : UDP6;
	struct ether_header *eth = (struct ether_header *)p->bytes;
	uint8_t *l3 = p->bytes + (t->tap ? ETH : 0);
	struct udphdr *u = (struct udphdr *)(l3 + headers) - 1;

	p->len = l3 - p->bytes + headers + len;
	memset(p->bytes, 0, p->len - len);
	if (t->tap) {
		iface_mac(t->name, eth->ether_dhost);
		memcpy(eth->ether_shost, "\x02\0\0\0\0\x02", 6);
		eth->ether_type = htons(family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	}
	if (family == AF_INET) {
		struct iphdr *ip = (struct iphdr *)l3;

		ip->version = 4;
		ip->ihl = 5;
		ip->tot_len = htons(headers + len);
		ip->ttl = 64;
		ip->protocol = IPPROTO_UDP;
		inet_pton(AF_INET, THERE4, &ip->saddr);
		inet_pton(AF_INET, HERE4, &ip->daddr);
	} else {
		struct ip6_hdr *ip6 = (struct ip6_hdr *)l3;

		ip6->ip6_vfc = 0x60;
		ip6->ip6_plen = htons(sizeof(*u) + len);
		ip6->ip6_nxt = IPPROTO_UDP;
		ip6->ip6_hlim = 64;
		inet_pton(AF_INET6, THERE6, &ip6->ip6_src);
		inet_pton(AF_INET6, HERE6, &ip6->ip6_dst);
	}
	u->source = htons(PORT_THERE);
	u->dest = htons(PORT_HERE);
	u->len = htons(sizeof(*u) + len);
	memcpy(u + 1, payload, len);
	packet_finish(p, t->tap);
}

static socklen_t address(struct sockaddr_storage *ss, int family, const char *v4, const char *v6,
			 uint16_t port)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = family;
	sin->sin_port = htons(port); /* in both at the same place */
	if (family == AF_INET) {
		inet_pton(family, v4, &sin->sin_addr);
		return sizeof(*sin);
	}
	inet_pton(family, v6, &sin6->sin6_addr);
	return sizeof(*sin6);
}

/* As far as this process may. */
static void big_buffers(int fd)
{
	int size = 4 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

int udp_here(int family)
{
	int fd = must(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	struct sockaddr_storage ss;
	socklen_t len;

	big_buffers(fd);
	len = address(&ss, family, HERE4, HERE6, PORT_HERE);
	must(bind(fd, (struct sockaddr *)&ss, len));
	len = address(&ss, family, THERE4, THERE6, PORT_THERE);
	must(connect(fd, (struct sockaddr *)&ss, len));
	return fd;
}

void udp_send(int fd, const void *payload, size_t len)
{
	/* A full ring shows as ENOBUFS; the drop is the test's business. */
	if (send(fd, payload, len, 0) < 0 && errno != ENOBUFS)
		fail("send: %s", strerrorname(errno));
}

void udp_expect(int fd, const void *payload, size_t len)
{
	static __thread uint8_t got[65536];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n;

	if (must(poll(&p, 1, 5000)) == 0)
		fail("a datagram of %zu bytes did not arrive", len);
	n = must(recv(fd, got, sizeof(got), 0));
	if (n != len || memcmp(got, payload, len))
		fail("a datagram of %zu bytes arrived as one of %zu, or changed", len, n);
}

void udp_expect_none(int fd)
{
	uint8_t byte;

	expect_errno(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

int raw_socket(const char *ifname)
{
	struct sockaddr_ll ll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = iface_index(ifname),
	};
	int fd = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));

	big_buffers(fd);
	must(bind(fd, (struct sockaddr *)&ll, sizeof(ll)));
	return fd;
}

void raw_send(int fd, uint16_t proto, const void *bytes, size_t len)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET };
	socklen_t n = sizeof(ll);

	must(getsockname(fd, (struct sockaddr *)&ll, &n));
	ll.sll_protocol = htons(proto);
	if (sendto(fd, bytes, len, 0, (struct sockaddr *)&ll, sizeof(ll)) < 0 && errno != ENOBUFS)
		fail("sending %zu raw bytes: %s", len, strerrorname(errno));
}

size_t raw_capture(int fd, void *bytes, size_t len, uint16_t *proto)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_ll ll;
	socklen_t n;
	size_t got;

	do {
		if (must(poll(&p, 1, 5000)) == 0)
			fail("nothing was captured");
		n = sizeof(ll);
		got = must(recvfrom(fd, bytes, len, 0, (struct sockaddr *)&ll, &n));
	} while (ll.sll_pkttype != PACKET_OUTGOING);
	*proto = ntohs(ll.sll_protocol);
	return got;
}

void fill(void *bytes, size_t len, unsigned int seed)
{
	uint8_t *p = bytes;
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = x >> 24;
	}
}
