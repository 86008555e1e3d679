/* SPDX-License-Identifier: MIT */
/*
 * Packets that can be told apart and verified to the byte, and a book of those that came: UDP from
 * the test's host to hosts behind the interface, one host for each flow. A packet's number says of
 * which flow it is, and what its payload must be.
 */
#ifndef STAMP_H
#define STAMP_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The shortest and the longest IPv4 packet with a number in it. */
#define STAMP_MIN (20 + 8 + 8)
#define STAMP_MAX 65535

/* An interface's packets. */
struct stamps {
	bool tap;
	uint8_t mac[ETH_ALEN];
	uint32_t flows;
};

/* How many bytes stand before the IP header. */
static inline uint32_t stamp_eth(const struct stamps *s)
{
	return s->tap ? ETH_HLEN : 0;
}

struct stamps stamps_of(const char *ifname, bool tap, uint32_t flows);
/* Packet @number to a host behind the interface, or @back from there: @len bytes of IP,
 * all in @frame. Returns how many that are.
 */
uint32_t stamp_build(const struct stamps *s, void *frame, uint32_t number, uint32_t len,
		     bool back);
/* The payload of packet @number alone. */
void stamp_payload(void *payload, uint32_t number, uint32_t len);
/* The number of a frame that must be intact to the byte; fails if it is not. */
uint32_t stamp_check(const struct stamps *s, const void *frame, uint32_t len, bool back);
/* The same of a payload. */
uint32_t stamp_check_payload(const void *payload, uint32_t len);

/* What came. One for all threads. */
struct book {
	uint32_t flows;
	uint32_t numbers;
	uint64_t *came; /* a bit for each number */
	uint32_t *next; /* of each flow, the round after the last that came */
	uint64_t total;
	bool unordered;
};

/* Numbers below @numbers; @unordered: those of a flow may overtake each other. */
struct book book_new(uint32_t flows, uint32_t numbers, bool unordered);
/* Fails if the packet came before, or if one of its flow that was sent later did. */
void book_enter(struct book *b, uint32_t number);
uint64_t book_total(const struct book *b);

/* How many packets a test sends: $LOAD_PACKETS, or @usual. */
uint32_t load_packets(uint32_t usual);

#endif /* STAMP_H */
