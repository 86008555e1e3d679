/* SPDX-License-Identifier: MIT */
/*
 * memory.h: the shared memory of the models, which is weak.
 *
 * Every location keeps the stores that somebody may still load, in the order in which they
 * were made to it: its history. A thread has a view: of each location, the oldest store that it
 * may still see. A load takes any that is not older, so it may be stale; and what one thread
 * stores to two locations may be seen in the other order. Only this brings views forward:
 *
 *   - a load itself, of the same location (coherence);
 *   - a load-acquire that takes a store-release: by what the storing thread had seen and
 *     stored before it;
 *   - a full barrier: all of them happen in one order, and each later one knows what any
 *     earlier one knew;
 *   - locks, as acquire and release.
 *
 * That is weaker than the memory of C11 and that of the kernel, in which a full barrier
 * also makes an acquire of loads before it, and a release of stores after it. So what holds here
 * holds there, of WRITE_ONCE, READ_ONCE, smp_store_release, smp_load_acquire, smp_mb and
 * spinlocks as of relaxed, release and acquire accesses with fences of
 * memory_order_seq_cst. litmus.pml shows what can be seen and what can not.
 *
 * There is no bound on how stale a load may be: a history that outgrows MEM_STORES ends
 * the run with an error. But where a thread can store in a loop that waits for another, a
 * bound must be: mem_lags[] has, of such locations, how many stores their histories keep.
 *
 * Not in it: a load that is made later than a store which comes after it in the program. The
 * models do that by hand where no release keeps the two in order. And stores to one location
 * are in the order in which the threads run.
 *
 * A model defines before: MEM_THREADS, MEM_LOCATIONS, MEM_STORES, MEM_LOCKS; mem_readers[],
 * of each location the threads that ever load it, as bits; mem_lags[].
 */
#include <string.h>

#define MEM_BARRIER 255

typedef unsigned char mem_view[MEM_LOCATIONS];

struct memory {
	unsigned char count[MEM_LOCATIONS];
	unsigned char value[MEM_LOCATIONS][MEM_STORES];
	mem_view carries[MEM_LOCATIONS][MEM_STORES]; /* what who acquires the store learns */
	mem_view view[MEM_THREADS];
	mem_view order; /* of all full barriers */
	mem_view lock[MEM_LOCKS];
	unsigned char rests[MEM_THREADS];
};

extern void (*uerror)(char *); /* of Spin: ends the run */

static void mem_join(unsigned char *to, const unsigned char *from)
{
	int l;

	for (l = 0; l < MEM_LOCATIONS; l++)
		if (to[l] < from[l])
			to[l] = from[l];
}

static void mem_age(mem_view *views, int n, int l, int by)
{
	for (; n--; views++)
		(*views)[l] = (*views)[l] > by ? (*views)[l] - by : 0;
}

/* Forget what nobody can load any more, so that endless runs have few states. */
static void mem_trim(struct memory *m)
{
	int l, k, t, old;

	for (t = 0; t < MEM_THREADS; t++)
		if (m->rests[t] == MEM_BARRIER)
			mem_join(m->view[t], m->order);
		else if (m->rests[t])
			mem_join(m->view[t], m->lock[m->rests[t] - 1]);
	for (l = 0; l < MEM_LOCATIONS; l++) {
		old = m->count[l] - 1;
		for (t = 0; t < MEM_THREADS; t++)
			if (mem_readers[l] & 1 << t && m->view[t][l] < old)
				old = m->view[t][l];
		if (old <= 0)
			continue;
		m->count[l] -= old;
		memmove(m->value[l], m->value[l] + old, m->count[l]);
		memset(m->value[l] + m->count[l], 0, MEM_STORES - m->count[l]);
		memmove(m->carries[l], m->carries[l] + old, m->count[l] * sizeof(mem_view));
		memset(m->carries[l] + m->count[l], 0,
		       (MEM_STORES - m->count[l]) * sizeof(mem_view));
		for (k = 0; k < MEM_LOCATIONS; k++)
			mem_age(m->carries[k], MEM_STORES, l, old);
		mem_age(m->view, MEM_THREADS, l, old);
		mem_age(&m->order, 1, l, old);
		mem_age(m->lock, MEM_LOCKS, l, old);
	}
}

/* Nobody can load the oldest any more. */
static void mem_catch_up(struct memory *m, int l)
{
	int t;

	for (t = 0; t < MEM_THREADS; t++)
		if (!m->view[t][l])
			m->view[t][l] = 1;
	mem_trim(m);
}

static void mem_init(struct memory *m, int l, int value)
{
	m->count[l] = 1;
	m->value[l][0] = value;
}

static void mem_store(struct memory *m, int t, int l, int value, int release)
{
	int k = m->count[l];

	/* The same once more is no news. */
	if (!release && m->value[l][k - 1] == value) {
		m->view[t][l] = k - 1;
		mem_trim(m);
		return;
	}
	if (k == (mem_lags[l] ? mem_lags[l] : MEM_STORES)) {
		if (!mem_lags[l]) {
			uerror("MEM_STORES is too small: the run proves nothing");
			return;
		}
		mem_catch_up(m, l);
		k = m->count[l];
	}
	m->count[l]++;
	m->value[l][k] = value;
	m->view[t][l] = k;
	if (release)
		memcpy(m->carries[l][k], m->view[t], sizeof(mem_view));
	mem_trim(m);
}

/* May the thread load number @k of the history? */
static int mem_sees(const struct memory *m, int t, int l, int k)
{
	return k >= m->view[t][l] && k < m->count[l];
}

static int mem_load(struct memory *m, int t, int l, int k, int acquire)
{
	int value = m->value[l][k];

	m->view[t][l] = k;
	if (acquire)
		mem_join(m->view[t], m->carries[l][k]);
	mem_trim(m);
	return value;
}

static void mem_barrier(struct memory *m, int t)
{
	m->rests[t] = 0;
	mem_join(m->view[t], m->order);
	memcpy(m->order, m->view[t], sizeof(mem_view));
	mem_trim(m);
}

/*
 * The next thing that the thread does is to take the lock (its number + 1), or a full barrier.
 * What it will learn by that it may as well know now: nobody can tell, and fewer histories
 * grow while it does nothing.
 */
static void mem_rest(struct memory *m, int t, int until)
{
	m->rests[t] = until;
	mem_trim(m);
}

static void mem_take(struct memory *m, int t, int lock)
{
	m->rests[t] = 0;
	mem_join(m->view[t], m->lock[lock]);
	mem_trim(m);
}

static void mem_give(struct memory *m, int t, int lock)
{
	mem_join(m->lock[lock], m->view[t]);
	mem_trim(m);
}
