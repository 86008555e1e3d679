// SPDX-License-Identifier: GPL-2.0
/*
 * Which queue a flow was sent on, so that it is received on the same one.
 *
 * A table of a fixed size, without locks and timers. The lower bits of a flow's hash
 * choose a set of four entries, any of which may hold it; a flow that finds its set
 * full takes the place of another, which is spread by its hash again. An entry is one
 * word, so that it is read and written whole:
 *
 *     31            9   8   7      0
 *     | upper hash    | 1 | queue  |
 *
 * Together with the number of its set this is all of the hash.
 */
#include <linux/mm.h>

#include "internal.h"

#define MYTUN_FLOW_SET_BITS 12
#define MYTUN_FLOW_WAYS	    4
#define MYTUN_FLOW_HASH	    GENMASK(31, 9)
#define MYTUN_FLOW_USED	    BIT(8)
#define MYTUN_FLOW_QUEUE    GENMASK(7, 0)
static_assert(MYTUN_QUEUES_MAX == 1 << 8, "a queue's index fits an entry");
static_assert(MYTUN_FLOW_SET_BITS >= 9, "no bit of the hash is lost");

struct mytun_flows {
	u32 set[1 << MYTUN_FLOW_SET_BITS][MYTUN_FLOW_WAYS];
};

struct mytun_flows *mytun_flows_alloc(void)
{
	return kvzalloc(sizeof(struct mytun_flows), GFP_KERNEL_ACCOUNT);
}

void mytun_flows_free(struct mytun_flows *flows)
{
	kvfree(flows);
}

/* Of an entry: is it this flow's? */
static bool mytun_flow_is(u32 entry, u32 hash)
{
	return (entry & ~MYTUN_FLOW_QUEUE) == ((hash & MYTUN_FLOW_HASH) | MYTUN_FLOW_USED);
}

static u32 mytun_flow_set(u32 hash)
{
	return hash & GENMASK(MYTUN_FLOW_SET_BITS - 1, 0);
}

/* The flow with this symmetric hash is sent on @queue. */
void mytun_flow_learn(struct mytun_flows *flows, u32 hash, u16 queue)
{
	u32 want = (hash & MYTUN_FLOW_HASH) | MYTUN_FLOW_USED | queue;
	u32 *set = flows->set[mytun_flow_set(hash)];
	unsigned int way = MYTUN_FLOW_WAYS;
	unsigned int i;
	u32 entry;

	for (i = 0; i < MYTUN_FLOW_WAYS; i++) {
		entry = READ_ONCE(set[i]);
		/* Nothing is written while nothing changes: the line stays shared. */
		if (likely(entry == want))
			return;
		if (mytun_flow_is(entry, hash)) {
			way = i;
			break;
		}
		/* The first free one, where others find it at once. */
		if (!(entry & MYTUN_FLOW_USED) && way == MYTUN_FLOW_WAYS)
			way = i;
	}
	/* If there is none, it takes the place of another. */
	if (way == MYTUN_FLOW_WAYS)
		way = (hash >> MYTUN_FLOW_SET_BITS) % MYTUN_FLOW_WAYS;
	WRITE_ONCE(set[way], want);
}

/* The queue on which the flow with this symmetric hash was sent; -1: none is known. */
int mytun_flow_queue(const struct mytun_flows *flows, u32 hash, unsigned int numqueues)
{
	const u32 *set = flows->set[mytun_flow_set(hash)];
	unsigned int i;
	u32 entry;

	for (i = 0; i < MYTUN_FLOW_WAYS; i++) {
		entry = READ_ONCE(set[i]);
		if (mytun_flow_is(entry, hash) && (entry & MYTUN_FLOW_QUEUE) < numqueues)
			return entry & MYTUN_FLOW_QUEUE;
	}
	return -1;
}

/* What is learned meanwhile stays. */
static void mytun_flows_change(struct mytun_flows *flows, u16 queue, bool keep, u16 now)
{
	unsigned int i, way;

	for (i = 0; i < ARRAY_SIZE(flows->set); i++) {
		for (way = 0; way < MYTUN_FLOW_WAYS; way++) {
			u32 *entry = &flows->set[i][way];
			u32 old = READ_ONCE(*entry);

			if ((old & MYTUN_FLOW_USED) && (old & MYTUN_FLOW_QUEUE) == queue)
				cmpxchg(entry, old, keep ? (old & ~MYTUN_FLOW_QUEUE) | now : 0);
		}
	}
}

/* @queue left. */
void mytun_flows_forget(struct mytun_flows *flows, u16 queue)
{
	mytun_flows_change(flows, queue, false, 0);
}

/* What was @queue has the index @now. */
void mytun_flows_rename(struct mytun_flows *flows, u16 queue, u16 now)
{
	mytun_flows_change(flows, queue, true, now);
}
