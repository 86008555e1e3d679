/* SPDX-License-Identifier: MIT */
/* Random numbers that come again with the seed, and values that are almost right. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct rnd {
	uint64_t state;
};

struct rnd rnd_new(uint64_t seed, uint64_t stream);
uint32_t rnd(struct rnd *r);
uint32_t below(struct rnd *r, uint32_t n);
/* A value near @valid, in a ring of @size bytes; or one of the ends of what 32 bits hold. */
uint32_t almost(struct rnd *r, uint32_t valid, uint32_t size);
void rnd_bytes(struct rnd *r, void *bytes, size_t len);

#endif /* RANDOM_H */
