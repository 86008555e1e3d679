// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "stamp.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "iface.h"
#include "packet.h"

#define HEADERS (sizeof(struct iphdr) + sizeof(struct udphdr))

struct stamps stamps_of(const char *ifname, bool tap, uint32_t flows)
{
	struct stamps s = { .tap = tap, .flows = flows };

	if (tap)
		iface_mac(ifname, s.mac);
	return s;
}

void stamp_payload(void *payload, uint32_t number, uint32_t len)
{
	uint64_t word = number * 0x9e3779b97f4a7c15ULL + len;
	uint8_t *at = payload;

	memcpy(at, &number, sizeof(number));
	memcpy(at + 4, &len, sizeof(len));
	for (uint32_t i = 8; i < len; i += 8) {
		memcpy(at + i, &word, len - i < 8 ? len - i : 8);
		word = word * 6364136223846793005ULL + 1442695040888963407ULL;
	}
}

uint32_t stamp_build(const struct stamps *s, void *frame, uint32_t number, uint32_t len, bool back)
{
	uint32_t flow = number % s->flows;
	struct ether_header eth = { .ether_type = htons(ETHERTYPE_IP) };
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	struct udphdr udp = {}; /* without a checksum: all bytes are compared */
	uint32_t here, there = htonl(0x0a800000 + flow); /* 10.128.0.0/9 */
	uint8_t *at = frame;

	if (s->tap) {
		memcpy(eth.ether_dhost, s->mac, ETH_ALEN);
		memcpy(eth.ether_shost, s->mac, ETH_ALEN);
		eth.ether_shost[0] ^= 2;
		memcpy(at, &eth, sizeof(eth));
		at += sizeof(eth);
	}
	inet_pton(AF_INET, HERE4, &here);
	ip.tot_len = htons(len);
	ip.id = htons(number);
	ip.saddr = back ? there : here;
	ip.daddr = back ? here : there;
	ip.check = packet_fold(packet_sum(0, &ip, sizeof(ip)));
	udp.source = htons(back ? PORT_THERE : PORT_HERE);
	udp.dest = htons(back ? PORT_HERE : PORT_THERE);
	udp.len = htons(len - sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
	memcpy(at + sizeof(ip), &udp, sizeof(udp));
	stamp_payload(at + HEADERS, number, len - HEADERS);
	return at + len - (uint8_t *)frame;
}

static void differs(const uint8_t *got, const uint8_t *want, uint32_t len, uint32_t number)
{
	uint32_t i = 0;

	while (got[i] == want[i])
		i++;
	fail("packet %u, of %u bytes: byte %u is %02x, not %02x", number, len, i, got[i], want[i]);
}

uint32_t stamp_check_payload(const void *payload, uint32_t len)
{
	static __thread uint8_t want[STAMP_MAX];
	uint32_t number;

	if (len < 8)
		fail("a payload of %u bytes", len);
	memcpy(&number, payload, sizeof(number));
	stamp_payload(want, number, len);
	if (memcmp(payload, want, len))
		differs(payload, want, len, number);
	return number;
}

uint32_t stamp_check(const struct stamps *s, const void *frame, uint32_t len, bool back)
{
	static __thread uint8_t want[ETH_HLEN + STAMP_MAX];
	uint32_t eth = stamp_eth(s);
	uint32_t number;

	if (len < eth + STAMP_MIN)
		fail("a packet of %u bytes", len);
	memcpy(&number, (const uint8_t *)frame + eth + HEADERS, sizeof(number));
	stamp_build(s, want, number, len - eth, back);
	if (memcmp(frame, want, len))
		differs(frame, want, len, number);
	return number;
}

struct book book_new(uint32_t flows, uint32_t numbers, bool unordered)
{
	struct book b = { .flows = flows, .numbers = numbers, .unordered = unordered };

	b.came = calloc(numbers / 64 + 1, sizeof(*b.came));
	b.next = calloc(flows, sizeof(*b.next));
	if (!b.came || !b.next)
		fail("no memory");
	return b;
}

void book_enter(struct book *b, uint32_t number)
{
	uint64_t bit = 1ULL << number % 64;
	uint32_t flow = number % b->flows, round = number / b->flows;

	if (number >= b->numbers)
		fail("packet %u of %u", number, b->numbers);
	if (__atomic_fetch_or(&b->came[number / 64], bit, __ATOMIC_RELAXED) & bit)
		fail("packet %u came twice", number);
	/* A flow has one reader at a time, unless it may change its queue. */
	if (!b->unordered) {
		if (round < b->next[flow])
			fail("packet %u of flow %u came behind number %u", round, flow,
			     b->next[flow] - 1);
		b->next[flow] = round + 1;
	}
	__atomic_fetch_add(&b->total, 1, __ATOMIC_RELAXED);
}

uint64_t book_total(const struct book *b)
{
	return __atomic_load_n(&b->total, __ATOMIC_ACQUIRE);
}

uint32_t load_packets(uint32_t usual)
{
	const char *text = getenv("LOAD_PACKETS");

	return text && *text ? strtoul(text, NULL, 10) : usual;
}
