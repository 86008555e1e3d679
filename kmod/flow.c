// SPDX-License-Identifier: GPL-2.0
/*
 * Which queue a flow was sent on, so that it is received on the same one.
 *
 * A direct-mapped table of a fixed size, without locks and timers: a flow that
 * falls on another's entry takes it over, and the loser is spread by its hash again.
 * An entry is one word, so that it is read and written whole:
 *
 *     31            9   8   7      0
 *     | upper hash    | 1 | queue  |
 *
 * The lower bits of the hash choose the entry. Together they hold all of the hash.
 */
#include <linux/mm.h>

#include "internal.h"

#define MYTUN_FLOW_BITS 13
#define MYTUN_FLOW_HASH GENMASK(31, 9)
#define MYTUN_FLOW_USED BIT(8)
#define MYTUN_FLOW_QUEUE GENMASK(7, 0)
static_assert(MYTUN_QUEUES_MAX == 1 << 8, "a queue's index fits an entry");
static_assert(MYTUN_FLOW_BITS >= 9, "no bit of the hash is lost");

struct mytun_flows {
	u32 entry[1 << MYTUN_FLOW_BITS];
};

struct mytun_flows *mytun_flows_alloc(void)
{
	return kvzalloc(sizeof(struct mytun_flows), GFP_KERNEL_ACCOUNT);
}

void mytun_flows_free(struct mytun_flows *flows)
{
	kvfree(flows);
}

static u32 mytun_flow_slot(u32 hash)
{
	return hash & GENMASK(MYTUN_FLOW_BITS - 1, 0);
}

/* The flow with this symmetric hash is sent on @queue. */
void mytun_flow_learn(struct mytun_flows *flows, u32 hash, u16 queue)
{
	u32 *entry = &flows->entry[mytun_flow_slot(hash)];
	u32 want = (hash & MYTUN_FLOW_HASH) | MYTUN_FLOW_USED | queue;

	/* Look before writing: the line stays shared while nothing changes. */
	if (READ_ONCE(*entry) != want)
		WRITE_ONCE(*entry, want);
}

/* The queue on which the flow with this symmetric hash is received. */
u16 mytun_flow_queue(const struct mytun_flows *flows, u32 hash, unsigned int numqueues)
{
	u32 entry = READ_ONCE(flows->entry[mytun_flow_slot(hash)]);

	if ((entry & ~MYTUN_FLOW_QUEUE) == ((hash & MYTUN_FLOW_HASH) | MYTUN_FLOW_USED) &&
	    (entry & MYTUN_FLOW_QUEUE) < numqueues)
		return entry & MYTUN_FLOW_QUEUE;
	return reciprocal_scale(hash, numqueues);
}

/* @queue left, and what was @moved has its index now. */
void mytun_flows_forget(struct mytun_flows *flows, u16 queue, u16 moved)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flows->entry); i++) {
		u32 entry = READ_ONCE(flows->entry[i]);

		if (!(entry & MYTUN_FLOW_USED))
			continue;
		if ((entry & MYTUN_FLOW_QUEUE) == queue)
			WRITE_ONCE(flows->entry[i], 0);
		else if ((entry & MYTUN_FLOW_QUEUE) == moved)
			WRITE_ONCE(flows->entry[i], (entry & ~MYTUN_FLOW_QUEUE) | queue);
	}
}
