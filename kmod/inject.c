// SPDX-License-Identifier: GPL-2.0
/*
 * Who takes the packets of a TX ring up the stack: MYTUN_INJECT_*.
 *
 * There is one way, mytun_ring_tx_poll(), and whoever has set the SCHED bit of the
 * queue's NAPI instance may go it:
 *
 *   SOFTIRQ  NAPI itself, or the core's thread of it (/sys/class/net/X/threaded).
 *   THREAD   a kernel thread of the queue's own. A doorbell only wakes it.
 *   DIRECT   the doorbell's caller.
 *
 * So two never consume at a time, whoever comes too late leaves the MISSED bit behind, for
 * which NAPI looks once more, and napi_disable() keeps all of them out. Of a queue that is out
 * of service they take nothing.
 *
 * Lifetimes. A doorbell touches the queue alone, never the thread: it sets a flag and
 * wakes a wait queue, both of which live as long as the file. The thread is created and
 * stopped under RTNL, which it does not take; it ends when it is stopped, and for no other
 * reason. It is stopped before its queue has parted from the interface.
 */
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/wait.h>

#include "internal.h"

/* Records that a doorbell's caller may be kept with: the program can produce for ever. */
#define MYTUN_DIRECT_MAX 4096

/*
 * Records for NAPI_POLL_WEIGHT, on the time of whoever calls this, softirqs on.
 * Return: there may be more; false too when somebody else is at it, who will look again.
 */
static bool mytun_inject_round(struct mytun_queue *q)
{
	bool more = false;

	local_bh_disable();
	if (napi_schedule_prep(&q->napi)) {
		more = mytun_ring_tx_poll(&q->napi, NAPI_POLL_WEIGHT) == NAPI_POLL_WEIGHT;
		/* After less, the poll itself has given the instance back. Here too: what
		 * GRO holds goes up, and who waits in napi_disable() comes next.
		 */
		if (more)
			napi_complete_done(&q->napi, NAPI_POLL_WEIGHT);
	}
	local_bh_enable();
	return more;
}

static void mytun_inject_softirq(struct mytun_queue *q)
{
	local_bh_disable();
	napi_schedule(&q->napi);
	local_bh_enable();
}

static void mytun_inject_direct(struct mytun_queue *q)
{
	unsigned int done;

	for (done = 0; done < MYTUN_DIRECT_MAX; done += NAPI_POLL_WEIGHT) {
		if (!mytun_inject_round(q))
			return;
		cond_resched();
	}
	mytun_inject_softirq(q);
}

static void mytun_inject_wake(struct mytun_queue *q)
{
	/* A full barrier between the program's position and the flag, which pairs with
	 * that of the thread between the flag and its look at the position: a thread that
	 * has been told already, and has not begun, will see what we were told.
	 */
	if (!xchg(&q->kicked, 1))
		wake_up(&q->kick_wait);
}

/* TASK_IDLE: a thread that waits is no load, and is not stuck. */
static int mytun_inject_thread(void *arg)
{
	struct mytun_queue *q = arg;

	while (!kthread_should_stop()) {
		wait_event_idle(q->kick_wait, READ_ONCE(q->kicked) || kthread_should_stop());
		/* See mytun_inject_wake(). */
		smp_store_mb(q->kicked, 0);
		if (!mytun_rings_get(q))
			continue;
		while (mytun_inject_round(q) && !kthread_should_stop())
			cond_resched_tasks_rcu_qs();
	}
	return 0;
}

/**
 * mytun_inject_doorbell - the program says that records wait
 * @q: a queue with rings, attached or just leaving
 *
 * On a queue that leaves nothing happens: nobody gets the SCHED bit of a NAPI instance that
 * was stopped. Nor on one that is out of service, see mytun_queue_enable().
 */
void mytun_inject_doorbell(struct mytun_queue *q)
{
	switch (READ_ONCE(q->mode.inject)) {
	case MYTUN_INJECT_THREAD:
		mytun_inject_wake(q);
		break;
	case MYTUN_INJECT_DIRECT:
		mytun_inject_direct(q);
		break;
	default:
		mytun_inject_softirq(q);
	}
}

/**
 * mytun_inject_kick - there may be records that no doorbell will be rung for
 * @q: a queue with rings, in service
 *
 * As a doorbell, for callers who should not do the work themselves. After a change that
 * kept doorbells without effect, with a full barrier behind it.
 */
void mytun_inject_kick(struct mytun_queue *q)
{
	if (q->mode.inject == MYTUN_INJECT_THREAD)
		mytun_inject_wake(q);
	else
		mytun_inject_softirq(q);
}

/* The mode is written while nobody consumes the ring. */
static void mytun_inject_switch(struct mytun_queue *q, u32 inject)
{
	bool rings = mytun_rings_get(q);

	if (rings)
		mytun_napi_pause(&q->napi);
	/* What GRO still holds, because of gro_flush_timeout, goes before what does not
	 * pass GRO.
	 */
	q->gro_flush = inject == MYTUN_INJECT_DIRECT;
	WRITE_ONCE(q->mode.inject, inject);
	if (rings)
		mytun_napi_resume(&q->napi);
}

/**
 * mytun_inject_set - MYTUN_IOC_SET_MODE: who shall take the packets up
 * @md:     the interface
 * @q:      its queue, with rings or without
 * @inject: one of MYTUN_INJECTIONS_SERVED
 *
 * Loses nothing and keeps the order, whatever is under way.
 *
 * Return: 0; -ENOMEM or -EINTR: no thread, and nothing is changed.
 */
int mytun_inject_set(struct mytun_dev *md, struct mytun_queue *q, u32 inject)
{
	struct task_struct *thread = NULL, *old = q->thread;

	ASSERT_RTNL();
	if (inject == q->mode.inject)
		return 0;
	if (inject == MYTUN_INJECT_THREAD) {
		thread = kthread_run(mytun_inject_thread, q, MYTUN_NAME "/%s-%u",
				     md->dev->name, q->index);
		if (IS_ERR(thread))
			return PTR_ERR(thread);
	}
	mytun_inject_switch(q, inject);
	q->thread = thread;
	if (old)
		kthread_stop(old);
	/* Doorbells may have found NAPI disabled, or have told the old thread. Whoever read
	 * the old mode has its records seen now: napi_enable() is a full barrier.
	 */
	if (mytun_rings_get(q) && !q->disabled)
		mytun_inject_kick(q);
	return 0;
}

/* The queue leaves its interface, and its NAPI instance is disabled. */
void mytun_inject_stop(struct mytun_queue *q)
{
	ASSERT_RTNL();
	if (q->thread)
		kthread_stop(q->thread);
	q->thread = NULL;
	q->gro_flush = false;
}
