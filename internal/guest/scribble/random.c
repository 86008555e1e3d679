// SPDX-License-Identifier: MIT
#include "random.h"

#include "check.h"

struct rnd rnd_new(uint64_t seed, uint64_t stream)
{
	struct rnd r = { (seed + 1) * 0x9e3779b97f4a7c15ull };

	r.state ^= (stream + 1) * 0xd1342543de82ef95ull;
	r.state = r.state ?: 1;
	rnd(&r);
	return r;
}

uint32_t rnd(struct rnd *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state >> 21;
}

uint32_t below(struct rnd *r, uint32_t n)
{
	return rnd(r) % n;
}

uint32_t almost(struct rnd *r, uint32_t valid, uint32_t size)
{
	static const uint32_t steps[] = { 0, 1, -1, 2, -2, 4, -4, 8, -8,
					  15, 16, -16, 17, -17, 31, 32, 33, -32,
					  -48, 48, 64, -64, 80, 4096, -4096 };
	static const uint32_t ends[] = { 0, 1u << 15, 1u << 16, 1u << 31,
					 0x7fffffff, ~0u, -16u, 0xffff0000 };
	uint32_t step = steps[below(r, ARRAY_SIZE(steps))];

	switch (below(r, 8)) {
	case 0:
		return rnd(r);
	case 1:
		return valid + size + step;
	case 2:
		return valid - size + step;
	case 3:
		return valid + size / 2 + step;
	case 4:
		return ends[below(r, ARRAY_SIZE(ends))] + step;
	case 5:
		return valid ^ 1u << below(r, 32);
	case 6:
		return valid;
	default:
		return valid + step;
	}
}

void rnd_bytes(struct rnd *r, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		p[i] = rnd(r);
}
