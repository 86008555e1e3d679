/* SPDX-License-Identifier: MIT */
/*
 * Packets that the other side can check: number n of a stream has a length and
 * bytes that follow from n. In Go:
 *
 *	h := n * 2654435761         // uint32
 *	len := 1 + int(h>>8)%max
 *	packet[i] = byte(h>>24) + byte(i)
 */
#ifndef TEST_PATTERN_H
#define TEST_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

static inline uint32_t pattern_hash(uint32_t n)
{
	return n * 2654435761U;
}

static inline uint32_t pattern_len(uint32_t n, uint32_t max)
{
	return 1 + (pattern_hash(n) >> 8) % max;
}

static inline void pattern_fill(unsigned char *packet, uint32_t len, uint32_t n)
{
	uint32_t first = pattern_hash(n) >> 24;

	for (uint32_t i = 0; i < len; i++)
		packet[i] = (unsigned char)(first + i);
}

static inline bool pattern_is(const unsigned char *packet, uint32_t len,
			      uint32_t n)
{
	uint32_t first = pattern_hash(n) >> 24;

	for (uint32_t i = 0; i < len; i++)
		if (packet[i] != (unsigned char)(first + i))
			return false;
	return true;
}

#endif /* TEST_PATTERN_H */
