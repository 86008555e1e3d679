/* SPDX-License-Identifier: MIT */
/*
 * tx.pml: the TX ring. The program produces, the kernel consumes.
 *
 * Endless, as rx.pml: the program sends until it stops for good, at any time, when all of it is
 * published. A record carries its position and size; one that is lost, torn, or
 * overwritten while the kernel copies it is seen by the assertion in the copy. A doorbell
 * or a wake-up that is lost is a deadlock: records lie in the ring and nobody has the
 * queue's NAPI instance, or the program sleeps for ever.
 *
 *   SIZES    a record has 1, or 1 or SIZES units
 *   BUDGET   of a poll, NAPI_POLL_WEIGHT
 *   SENDS    not endless: so many tries to send, from any position on
 *   BATCH    records may be published later, with others
 *   WAIT_EVENTFD, WAIT_POLL, WAIT_PLAIN
 *            how the program waits for room, as in rx.pml
 *   INJECT   who consumes: SOFTIRQ, THREAD, DIRECT
 *   SWITCH   somebody changes the mode, once, at any time: mytun_inject_set()
 *
 * What is in an "atomic" block is told in rx.pml.
 */
#ifndef RING
#define RING 2
#endif
#ifndef MODULUS
#define MODULUS (2 * RING)
#endif
#ifndef SIZES
#define SIZES 1
#endif
#ifndef BUDGET
#define BUDGET 1
#endif

#define SOFTIRQ 1
#define THREAD	2
#define DIRECT	3
#ifndef INJECT
#define INJECT SOFTIRQ
#endif

/* The threads: the program, with its system calls; softirq; one of these. */
#define PROG	0
#define NET_RX	1
#define KTHREAD 2
#define ADMIN	2
#if INJECT == THREAD || defined(SWITCH)
#define THREADS 3
#else
#define THREADS 2
#endif

c_decl {
\#define MEM_THREADS THREADS
\#define MEM_STORES 6
\#define MEM_LOCKS 2
	enum {
		PROD_POS, PROD_EVENT, CONS_POS, CONS_EVENT,
#ifndef WAIT_EVENTFD
		TX_POS, WAITERS,
#endif
		DATA_0, MEM_LOCATIONS = DATA_0 + RING
	};
	enum { WAIT_LOCK, NAPI };
\#define DATA(pos) (DATA_0 + ((pos) & (RING - 1)))
#if INJECT == DIRECT
\#define KERNEL 3
#elif INJECT == THREAD
\#define KERNEL 6
#else
\#define KERNEL 2
#endif
	static const unsigned char mem_readers[MEM_LOCATIONS] = {
		[PROD_POS] = KERNEL, [PROD_EVENT] = KERNEL,
		[CONS_POS] = 1, [CONS_EVENT] = 1,
#ifndef WAIT_EVENTFD
		[TX_POS] = 1, [WAITERS] = KERNEL,
#endif
		[DATA_0 ... MEM_LOCATIONS - 1] = KERNEL,
	};
	static const unsigned char mem_lags[MEM_LOCATIONS] = {
		0,
#ifndef WAIT_EVENTFD
		/* poll(2) may say "ready" again and again before the program finds it so. */
		[WAITERS] = 3, [PROD_EVENT] = 3,
#endif
	};
\#include "memory.h"
};
#include "memory.pml"

bool switching;
bool stopped; /* The program has stopped for good. */

/* The program's end. */
byte next, pub, tail, old, want;
bool ok;

/* The kernel's private end: who has the NAPI instance. */
byte tx_pos;

/* Bits of the NAPI instance; it is on the list of net_rx_action(). */
bool sched, missed, disabling, listed;

/* MYTUN_INJECT_THREAD's flag; a doorbell with MYTUN_INJECT_DIRECT that is under way. */
bool kicked, calling;

/* The queue's wait queue and an eventfd. */
bool waiting, triggered, token;

#ifdef WAIT_EVENTFD
#define WAKE(t) TAKE(t, WAIT_LOCK); GIVE(t, WAIT_LOCK); token = true
#else
#define WAKE(t) TAKE(t, WAIT_LOCK); GIVE(t, WAIT_LOCK); triggered = triggered || waiting
#endif

/* The core's napi_schedule_prep() and napi_complete_done(). A compare-and-exchange that
 * succeeds is a full barrier, and who gets the instance knows what its predecessor knew.
 */
#define NAPI_BARRIER(t) BARRIER(t)
#define NAPI_REST(t, kind) \
	c_code { \
		if (t != PROG) \
			mem_rest(&now.mem, t, kind == SOFTIRQ ? NAPI + 1 : MEM_BARRIER); \
	}
#define NAPI_TAKE(t) TAKE(t, NAPI)
#define NAPI_GIVE(t) GIVE(t, NAPI)
#ifdef NAPI_NO_MISSED
#define MISSED false
#else
#define MISSED true
#endif
#define NAPI_SCHEDULE(t) \
	atomic { \
		NAPI_BARRIER(t); \
		if \
		:: disabling -> skip \
		:: !disabling && sched -> missed = MISSED \
		:: !disabling && !sched -> sched = true; NAPI_GIVE(t); listed = true \
		fi; \
	}
#define NAPI_COMPLETE(t) \
	atomic { \
		NAPI_BARRIER(t); \
		NAPI_GIVE(t); \
		if \
		:: missed -> missed = false; listed = true \
		:: else -> sched = false \
		fi; \
	}
/* A consumer that gave the instance back does nothing until it takes it again. */
#define NAPI_LEAVE NAPI_REST(Pconsumer->t, Pconsumer->kind)

/* mytun_must_wake() in mytun_tx_publish() */
#ifdef WAKE_NO_BARRIER
#define WAKE_BARRIER
#else
#define WAKE_BARRIER BARRIER(Pconsumer->t);
#endif

/* Where no release is after them the copies may be late; sizes are looked at at once. */
#ifdef NO_RELEASE_CONS
#define COPY_LATER 1
#else
#define COPY_LATER 0
#endif

/* mytun_ring_tx_poll(), on the time of @t; and who calls it. */
proctype consumer(byte t; byte kind)
{
	byte avail, work, at, from, size, i;

idle:
	if
	:: atomic { kind == SOFTIRQ && listed -> listed = false; NAPI_TAKE(Pconsumer->t) }
	   goto poll
	:: kind == THREAD && kicked ->
#ifndef KICK_CLEARED_LATE
	   kicked = false;
#ifndef KICK_NO_BARRIER
	   BARRIER(Pconsumer->t); /* smp_store_mb() */
#endif
#endif
	   goto round
	:: kind == DIRECT && calling -> goto round
	:: stopped && !switching && tx_pos == pub && !sched && !listed && !kicked && !calling -> goto end
	fi;

round:	/* mytun_inject_round() */
	atomic {
		NAPI_BARRIER(Pconsumer->t);
		if
		:: disabling -> NAPI_LEAVE; goto leave
		:: !disabling && sched -> missed = MISSED; NAPI_LEAVE; goto leave
		:: !disabling && !sched -> sched = true; NAPI_TAKE(Pconsumer->t)
		fi
	}

poll:	/* mytun_tx_consume() */
	atomic {
#ifdef NO_ACQUIRE_PROD
		LOAD(Pconsumer->t, PROD_POS, RELAXED);
#else
		LOAD(Pconsumer->t, PROD_POS, ACQUIRE);
#endif
		avail = POS(got[t] - tx_pos);
		got[t] = 0;
		assert(avail <= RING); /* An honest program is never faulted. */
		at = tx_pos;
		from = tx_pos;
		work = 0;
		do
		:: work < BUDGET && avail > 0 ->
			LOAD(Pconsumer->t, DATA(Pconsumer->at), RELAXED);
			size = got[t] >> 4;
			assert(size >= 1 && size <= avail && (got[t] & 15) == at);
			i = 1;
			do
			:: i < size && !COPY_LATER ->
				LOAD(Pconsumer->t, DATA(Pconsumer->at + Pconsumer->i), RELAXED);
				assert(got[t] == POS(at + i));
				i++
			:: else -> break
			od;
			at = POS(at + size);
			avail = avail - size;
			work++
		:: else -> break
		od;
		got[t] = 0; avail = 0; size = 0; i = 0;
		/* mytun_tx_publish() */
		tx_pos = at;
		if
		:: at != from ->
#ifndef WAIT_EVENTFD
			STORE(Pconsumer->t, TX_POS, now.tx_pos, RELAXED);
#endif
#ifdef NO_RELEASE_CONS
			STORE(Pconsumer->t, CONS_POS, now.tx_pos, RELAXED)
#else
			STORE(Pconsumer->t, CONS_POS, now.tx_pos, RELEASE)
#endif
		:: else -> goto consumed
		fi
	}
#ifdef NO_RELEASE_CONS
	atomic {
		i = from;
		do
		:: i != at ->
			LOAD(Pconsumer->t, DATA(Pconsumer->i), RELAXED);
			assert((got[t] & 15) == i);
			i = POS(i + 1)
		:: else -> break
		od;
		got[t] = 0
	}
#endif
	WAKE_BARRIER
	atomic {
#ifdef WAIT_PLAIN
		LOAD(Pconsumer->t, WAITERS, RELAXED);
		i = got[t];
#else
		LOAD(Pconsumer->t, PROD_EVENT, RELAXED);
		i = NEED_EVENT(got[t], at, from);
#endif
		got[t] = 0;
		if
		:: i -> WAKE(Pconsumer->t)
		:: else
		fi;
		i = 0;
consumed:	at = 0; from = 0;
		if
		:: work == BUDGET -> work = 0; goto again
		:: else -> work = 0
		fi;
#ifndef SLEEP_NO_EVENT
#ifdef SLEEP_EVENT_LATE
		STORE(Pconsumer->t, CONS_EVENT, POS(now.tx_pos + 1), RELAXED);
#else
		STORE(Pconsumer->t, CONS_EVENT, now.tx_pos, RELAXED);
#endif
#endif
	};
#ifndef SLEEP_NO_BARRIER
	BARRIER(Pconsumer->t);
#endif
#ifndef SLEEP_NO_SECOND_LOOK
	atomic {
		LOAD(Pconsumer->t, PROD_POS, RELAXED);
		if
		:: got[t] != tx_pos -> got[t] = 0; goto again
		:: else -> got[t] = 0
		fi
	}
#endif
	atomic { NAPI_COMPLETE(Pconsumer->t); NAPI_LEAVE };
	goto leave;

again:	/* The budget was used up. */
	if
	:: kind == SOFTIRQ && !disabling -> goto poll
	:: kind == SOFTIRQ && disabling -> atomic { NAPI_COMPLETE(Pconsumer->t); NAPI_LEAVE; goto leave }
	:: kind != SOFTIRQ -> atomic { NAPI_COMPLETE(Pconsumer->t); NAPI_LEAVE }
	fi;
	if
	:: kind == DIRECT -> NAPI_SCHEDULE(Pconsumer->t); goto leave /* MYTUN_DIRECT_MAX */
	:: goto round
	fi;

leave:
#ifdef KICK_CLEARED_LATE
	kicked = false;
#endif
	if
	:: kind == DIRECT -> calling = false
	:: else
	fi;
	goto idle;
end:	skip
}

/* fits() in ring.go, mytun_tx_has_room() */
inline fits(n)
{
	if
	:: POS(next - tail) + n > RING ->
#ifdef NO_ACQUIRE_CONS
		LOAD(PROG, CONS_POS, RELAXED);
#else
		LOAD(PROG, CONS_POS, ACQUIRE);
#endif
		assert(POS(got[PROG] - tail) <= POS(pub - tail)); /* ErrFault */
		tail = got[PROG];
		got[PROG] = 0
	:: else
	fi;
#ifdef ROOM_ONE_MORE
	ok = (POS(next - tail) + n <= RING + 1)
#else
	ok = (POS(next - tail) + n <= RING)
#endif
}

/* mytun_inject_doorbell() */
#if INJECT == SOFTIRQ
#define DOORBELL NAPI_SCHEDULE(PROG)
#elif INJECT == THREAD
#define DOORBELL atomic { BARRIER(PROG); kicked = true } /* mytun_inject_wake() */
#else
#define DOORBELL calling = true; !calling
#endif

/* publish() in ring.go, mytun_tx_publish(), from where the position is stored. */
#ifdef PUBLISH_NO_BARRIER
#define PUBLISH_BARRIER
#else
#define PUBLISH_BARRIER BARRIER(PROG);
#endif
inline ring_if_wanted()
{
	PUBLISH_BARRIER
	atomic {
		LOAD(PROG, CONS_EVENT, RELAXED);
		ok = NEED_EVENT(got[PROG], pub, old);
		got[PROG] = 0;
		old = 0
	}
	if
	:: ok -> DOORBELL
	:: else
	fi;
	ok = false
}

#ifdef NO_RELEASE_PROD
#define PUBLISH old = pub; pub = next; STORE(PROG, PROD_POS, now.pub, RELAXED)
#else
#define PUBLISH old = pub; pub = next; STORE(PROG, PROD_POS, now.pub, RELEASE)
#endif

proctype program()
{
#ifdef SENDS
	byte sends = SENDS;
#endif
sending:
	do
	:: atomic {
#ifdef SENDS
		sends > 0 -> sends--;
#endif
		if :: SIZES > 1 -> want = SIZES :: want = 1 fi;
		fits(want);
		if
		:: ok ->
			ok = false;
#ifdef PUBLISH_BEFORE_COPY
			next = POS(next + want);
			PUBLISH;
			next = POS(next - want);
#endif
			c_code {
				int i;
				for (i = 0; i < now.want; i++)
					mem_store(&now.mem, PROG, DATA(now.next + i),
						  ((now.next + i) & (MODULUS - 1)) | (i ? 0 : now.want << 4), RELAXED);
			};
			next = POS(next + want);
			want = 0;
			if
#ifdef PUBLISH_BEFORE_COPY
			:: skip
#else
			:: PUBLISH
#endif
#ifdef BATCH
			:: goto more /* later, with others */
#endif
			fi
		:: else ->
			if
			:: pub != next -> PUBLISH
			:: else -> goto wait
			fi
		fi
	   }
published:
	   ring_if_wanted();
more:	   skip
	:: pub == next -> break
	od;
	goto end;

wait:	/* mytun_tx_arm(), arm() in ring.go and txPark of ringqueue.go */
	atomic {
		if
		:: skip
		:: want < RING / 2 -> want = RING / 2 /* worthwhile() */
		fi;
#ifndef WAIT_PLAIN
#ifdef ARM_LATE
		STORE(PROG, PROD_EVENT, POS(now.next - RING + now.want), RELAXED);
#else
		STORE(PROG, PROD_EVENT, POS(now.next - RING + now.want - 1), RELAXED);
#endif
#endif
	};
#ifndef WAIT_PLAIN
#ifndef ARM_NO_BARRIER
	BARRIER(PROG);
#endif
#ifndef ARM_NO_SECOND_LOOK
	atomic {
		fits(want);
		if
		:: ok -> ok = false; want = 0; goto awake
		:: else
		fi
	}
#endif
#endif
#ifdef WAIT_EVENTFD
	atomic { token -> token = false; TAKE(PROG, WAIT_LOCK); want = 0 }
#else
	/* poll(2): onto the wait queue, then mytun_rings_poll(). */
	atomic {
		TAKE(PROG, WAIT_LOCK);
		STORE(PROG, WAITERS, 1, RELAXED);
		GIVE(PROG, WAIT_LOCK);
		waiting = true
	}
	do
	::
#ifndef POLL_NO_BARRIER
	   BARRIER(PROG);
#endif
	   /* mytun_tx_room() */
	   atomic {
		LOAD(PROG, TX_POS, RELAXED);
#ifdef WAIT_PLAIN
		ok = (POS(pub - got[PROG]) <= RING / 2);
#else
		ok = !(POS(next - RING + want - 1 - got[PROG]) < POS(pub - got[PROG]));
#endif
		got[PROG] = 0
	   }
	   if
	   :: ok -> break
	   :: atomic { !ok && triggered -> triggered = false; TAKE(PROG, WAIT_LOCK) }
	   fi
	od;
	atomic {
		TAKE(PROG, WAIT_LOCK);
		STORE(PROG, WAITERS, 0, RELAXED);
		GIVE(PROG, WAIT_LOCK);
		waiting = false;
		triggered = false;
		ok = false;
		want = 0
	}
#endif
awake:	goto sending;
end:
	stopped = true
}

#ifdef SWITCH
/* mytun_inject_switch() with napi_disable() and napi_enable(), and the kick of mytun_inject_set() */
proctype admin()
{
	if
	:: disabling = true;
	   atomic { !sched -> sched = true; BARRIER(ADMIN); TAKE(ADMIN, NAPI); disabling = false }
	   atomic { BARRIER(ADMIN); GIVE(ADMIN, NAPI); sched = false }
#ifndef SWITCH_NO_KICK
	   NAPI_SCHEDULE(ADMIN)
#endif
	:: skip
	fi;
	switching = false
}
#endif

init {
	atomic {
		c_code {
			int l;
			for (l = 0; l < MEM_LOCATIONS; l++)
				mem_init(&now.mem, l, 0);
			mem_rest(&now.mem, NET_RX, NAPI + 1);
#if INJECT == THREAD
			mem_rest(&now.mem, KTHREAD, MEM_BARRIER);
#endif
		};
#ifdef SENDS
		do
		:: POS(tx_pos + 1) != 0 ->
			tx_pos++;
			next = tx_pos;
			pub = tx_pos;
			tail = tx_pos
		:: break
		od;
		c_code {
			mem_init(&now.mem, PROD_POS, now.tx_pos);
			mem_init(&now.mem, CONS_POS, now.tx_pos);
			mem_init(&now.mem, CONS_EVENT, now.tx_pos);
		};
#endif
		run program();
		run consumer(NET_RX, SOFTIRQ);
		if
		:: INJECT == THREAD -> run consumer(KTHREAD, THREAD)
		:: INJECT == DIRECT -> run consumer(PROG, DIRECT)
		:: else
		fi;
#ifdef SWITCH
		switching = true;
		run admin()
#endif
	}
}
