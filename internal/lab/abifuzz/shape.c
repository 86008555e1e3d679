// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "shape.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "packet.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static void put16(uint8_t *at, uint16_t v)
{
	v = htons(v);
	memcpy(at, &v, 2);
}

static size_t ethernet(uint8_t *p, uint64_t shape, uint16_t proto)
{
	/* Multicast, so that it is for everybody whatever the interface's address is. */
	memcpy(p, "\x01\x00\x5e\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	if (shape & VLAN) {
		put16(p + 12, 0x8100);
		put16(p + 14, 7);
		put16(p + 16, proto);
		return 18;
	}
	put16(p + 12, proto);
	return 14;
}

static uint32_t pseudo_sum(const uint8_t *ip, bool six, uint8_t proto, size_t len)
{
	return packet_sum(packet_sum(0, ip + (six ? 8 : 12), six ? 32 : 8),
			  (uint8_t[]){ 0, proto, len >> 8, len }, 4);
}

/* A transport header and its payload; @l4 is where it begins. */
static size_t transport(const uint8_t *ip, uint8_t *l4, bool six, bool tcp, bool cwr,
			size_t payload)
{
	size_t len = (tcp ? 20 : 8) + payload;

	memset(l4, 0, tcp ? 20 : 8);
	put16(l4, PORT_THERE);
	put16(l4 + 2, PORT_HERE);
	if (tcp) {
		l4[7] = 1;
		l4[12] = 5 << 4;
		l4[13] = cwr ? 0x98 : 0x10;
		put16(l4 + 14, 1000);
	} else {
		put16(l4 + 4, len);
	}
	fill(l4 + len - payload, payload, payload);
	put16(l4 + (tcp ? 16 : 6),
	      packet_fold(packet_sum(pseudo_sum(ip, six, tcp ? 6 : 17, len), l4, len)));
	return len;
}

static size_t ip4(uint8_t *ip, uint64_t shape, size_t payload)
{
	bool tcp = shape == TCP_4 || shape == TCP_4_CWR;
	size_t hlen = shape == OPTIONS_4 ? 24 : 20, len;
	uint8_t proto = tcp ? 6 : 17;

	memset(ip, 0, hlen);
	ip[0] = 0x40 | hlen / 4;
	ip[8] = 64;
	if (shape == FRAGMENT_4)
		put16(ip + 6, 0x2000);
	if (shape == OPTIONS_4)
		memset(ip + 20, 1, 4);
	inet_pton(AF_INET, "10.9.0.2", ip + 12);
	inet_pton(AF_INET, "10.9.0.1", ip + 16);
	if (shape == IP_IN_IP) {
		proto = 4;
		len = hlen + ip4(ip + hlen, UDP_4, payload);
	} else if (shape == ECHO_4) {
		proto = 1;
		memset(ip + hlen, 0, 8 + payload);
		ip[hlen] = 8;
		put16(ip + hlen + 2,
		      packet_fold(packet_sum(0, ip + hlen, 8 + payload)));
		len = hlen + 8 + payload;
	} else {
		len = hlen + transport(ip, ip + hlen, false, tcp, shape == TCP_4_CWR, payload);
	}
	ip[9] = proto;
	put16(ip + 2, len);
	put16(ip + 10, packet_fold(packet_sum(0, ip, hlen)));
	return len;
}

static size_t ip6(uint8_t *ip, uint64_t shape, size_t payload)
{
	bool extension = shape == HOP_BY_HOP_6 || shape == FRAGMENT_6, tcp = shape == TCP_6;
	size_t hlen = extension ? 48 : 40, len;

	memset(ip, 0, hlen);
	ip[0] = 0x60;
	ip[6] = shape == HOP_BY_HOP_6 ? 0 : shape == FRAGMENT_6 ? 44
				    : tcp			? 6
								: 17;
	ip[7] = 64;
	inet_pton(AF_INET6, "fd09::2", ip + 8);
	inet_pton(AF_INET6, "fd09::1", ip + 24);
	if (extension) {
		ip[40] = 17;
		ip[43] = shape == FRAGMENT_6; /* more come; or an option that is padding */
		if (shape == HOP_BY_HOP_6)
			memcpy(ip + 42, "\x01\x04", 2);
	}
	len = hlen + transport(ip, ip + hlen, true, tcp, false, payload);
	put16(ip + 4, len - 40);
	return len;
}

size_t shape_packet(uint8_t *bytes, uint64_t shape, size_t payload, bool tap)
{
	uint64_t base = shape & 0xff;
	bool six = base == UDP_6 || base == TCP_6 || base == HOP_BY_HOP_6 || base == FRAGMENT_6;
	size_t l2 = 0, len;

	payload %= 65536 - 100;
	if (tap)
		l2 = ethernet(bytes, shape, base == ARP ? 0x0806 : six ? 0x86dd
								       : 0x0800);
	if (base == ARP) {
		memset(bytes + l2, 0, 28);
		memcpy(bytes + l2, "\0\1\x08\0\6\4\0\1", 8);
		return l2 + 28;
	}
	if (base >= GARBAGE) {
		fill(bytes + l2, payload, base);
		return l2 + payload;
	}
	len = l2 + (six ? ip6(bytes + l2, base, payload) : ip4(bytes + l2, base, payload));
	if (shape & CORRUPT)
		bytes[len - 1] ^= 1;
	return len;
}

void shape_vnet(struct mytun_rec *rec, const uint64_t *a, uint64_t shape, bool tap)
{
	uint64_t base = shape & 0xff;
	bool tcp = base == TCP_4 || base == TCP_6 || base == TCP_4_CWR;
	bool six = base == UDP_6 || base == TCP_6;
	unsigned int l4 = (tap ? shape & VLAN ? 18 : 14 : 0) +
			  (six ? 40 : base == OPTIONS_4 ? 24
			      : base == HOP_BY_HOP_6	? 48
							: 20);

	rec->vnet_flags = 0;
	rec->gso_type = VIRTIO_NET_HDR_GSO_NONE;
	switch (a[0]) {
	case VNET_GSO:
		rec->gso_type = !tcp ? VIRTIO_NET_HDR_GSO_UDP_L4 : six ? VIRTIO_NET_HDR_GSO_TCPV6
								       : VIRTIO_NET_HDR_GSO_TCPV4;
		if (base == TCP_4_CWR)
			rec->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		/* fallthrough */
	case VNET_CSUM:
		rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		break;
	case VNET_VALID:
		rec->vnet_flags = VIRTIO_NET_HDR_F_DATA_VALID;
		break;
	}
	rec->gso_size = a[1];
	rec->vnet_flags ^= a[2];
	rec->gso_type ^= a[3];
	rec->csum_start = l4 + a[4];
	rec->csum_offset = (tcp ? 16 : 6) + a[5];
	rec->hdr_len = l4 + (tcp ? 20 : 8) + a[6];
}
