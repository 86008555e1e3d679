/* SPDX-License-Identifier: MIT */
/*
 * rx.pml: the RX ring. CPUs of the kernel produce, the program consumes.
 *
 * Endless: the CPUs send until each stops for good, at any time; positions run around their
 * few bits for ever. A record carries its position in each of its units, so what is lost,
 * comes twice, comes in another order, is torn, or is overwritten while the program has it,
 * is seen by the assertion in taken(). A wake-up that is lost is a deadlock: the program
 * sleeps, the CPUs have stopped, and a record lies in the ring.
 *
 *   CPUS     how many send
 *   SIZES    a record has 1, or 1 or SIZES units
 *   SENDS    not endless: so many packets of each CPU at most, from any position on
 *   BURST    records that are reserved in one go, as of a super-packet: 1, or 1 or BURST
 *   WAIT_EVENTFD, WAIT_POLL, WAIT_PLAIN
 *            how the program waits: for an eventfd; in poll(2); the same without
 *            MYTUN_RINGS_F_EVENT_IDX
 *   HOLD     MYTUN_MODE_F_BACKPRESSURE: a CPU that finds no room waits for it; 1 CPU
 *   BYPASS   with HOLD, of 2 CPUs the second waits for nothing, as who goes around the discipline,
 *            and sends so many
 *
 * All other threads can run between "atomic" blocks. Within one are only steps whose order
 * nobody can tell: loads, then at most one barrier or lock, then stores. (Loads may be as
 * stale as they like, so making them later takes nothing from them; making a store earlier
 * obliges nobody to see it. What is done under a lock begins with its last load.)
 */
#ifndef RING
#define RING 2
#endif
#ifndef MODULUS
#define MODULUS (2 * RING)
#endif
#ifndef CPUS
#define CPUS 1
#endif
#ifndef SIZES
#define SIZES 1
#endif
#ifndef BURST
#define BURST 1
#endif
#define BUSY 128 /* MYTUN_REC_BUSY */
#define LOW 1	 /* MYTUN_HOLD_LOW, or a quarter of the ring */

#define PROG CPUS /* the program's thread, after those of the CPUs */
#if CPUS == 2
#define THREADS 3
#else
#define THREADS 2
#endif

c_decl {
\#define MEM_THREADS THREADS
\#define MEM_STORES 6
\#define MEM_LOCKS 3
	enum {
		PROD_POS, CONS_POS, CONS_EVENT,
#ifdef HOLD
		PROD_EVENT,
#endif
#if !defined(WAIT_EVENTFD) || defined(BYPASS)
		RX_POS,
#endif
#ifndef WAIT_EVENTFD
		WAITERS,
#endif
		SIZE_0, DATA_0 = SIZE_0 + RING, MEM_LOCATIONS = DATA_0 + RING
	};
	enum { RX_LOCK, WAIT_LOCK, TXQ };
\#define SIZE(pos) (SIZE_0 + ((pos) & (RING - 1)))
\#define DATA(pos) (DATA_0 + ((pos) & (RING - 1)))
\#define KERNEL ((1 << CPUS) - 1)
\#define PROGRAM (1 << CPUS)
	static const unsigned char mem_readers[MEM_LOCATIONS] = {
		[PROD_POS] = PROGRAM,
		[CONS_POS] = KERNEL, [CONS_EVENT] = KERNEL,
#ifdef HOLD
		[PROD_EVENT] = PROGRAM,
#endif
#ifndef WAIT_EVENTFD
		[WAITERS] = KERNEL, [RX_POS] = PROGRAM,
#elif defined(BYPASS)
		[RX_POS] = KERNEL,
#endif
		[SIZE_0 ... MEM_LOCATIONS - 1] = PROGRAM,
	};
	static const unsigned char mem_lags[MEM_LOCATIONS] = {
		0,
#ifndef WAIT_EVENTFD
		/* poll(2) may say "ready" again and again before the program finds it so. */
		[WAITERS] = 3, [CONS_EVENT] = 3,
#endif
#if CPUS > 1
		/* While one CPU is held up, the program can sleep and be woken by others. */
		[CONS_EVENT] = 3,
		/* More can not be news to who takes the lock: the ring is no larger. */
		[CONS_POS] = RING + 1,
#endif
	};
\#include "memory.h"
};
#include "memory.pml"

byte running = CPUS; /* CPUs that have not stopped for good */

/* The kernel's private end, under rx->lock. */
bool locked;
byte rx_pos, rx_cons;

/* The queue's wait queue and an eventfd. */
bool waiting, triggered, token;

/* The transmit queue has been stopped: __QUEUE_STATE_DRV_XOFF. */
bool stopped;

/* Free units, by what is known of the program's position: mytun_rx_room(). */
#if defined(ROOM_ONE_MORE)
#define ROOM (RING + 1 - POS(rx_pos - rx_cons))
#elif defined(ROOM_PLAIN)
#define ROOM (rx_pos < rx_cons -> RING : RING - (rx_pos - rx_cons))
#else
#define ROOM (RING - POS(rx_pos - rx_cons))
#endif

/* Others run in between, which they could not tell if there were a lock, and other mistakes
 * make a difference.
 */
#ifdef NO_LOCK
#define GAP_WITHOUT_LOCK }; atomic {
#else
#define GAP_WITHOUT_LOCK
#endif

/* mytun_wake() in attach.c, with eventfd_signal() or poll(2)'s pollwake(). */
#ifdef WAIT_EVENTFD
#define WAKE(t) TAKE(t, WAIT_LOCK); GIVE(t, WAIT_LOCK); token = true
#else
#define WAKE(t) TAKE(t, WAIT_LOCK); GIVE(t, WAIT_LOCK); triggered = triggered || waiting
#endif

/* mytun_rx_wake(), mytun_must_wake(): the records from start to at. */
#ifdef WAKE_NO_BARRIER
#define WAKE_BARRIER
#else
#define WAKE_BARRIER REST(Pcpu->c, MEM_BARRIER); BARRIER(Pcpu->c);
#endif
inline wake_if_wanted()
{
	WAKE_BARRIER
	atomic {
#ifdef WAIT_PLAIN
		LOAD(Pcpu->c, WAITERS, RELAXED);
		need = got[c];
#else
		LOAD(Pcpu->c, CONS_EVENT, RELAXED);
#ifdef WAKE_LAST_RECORD
		need = NEED_EVENT(got[c], at, POS(at - size));
#else
		need = NEED_EVENT(got[c], at, start);
#endif
#endif
		if
		:: need -> WAKE(Pcpu->c)
		:: else
		fi;
		got[c] = 0
	}
}

/* mytun_hold_room(): by the position that there is, or, where others move it, by one that may
 * be old. The program may be beyond that, which is room enough.
 */
#ifdef BYPASS
#define HOLD_POS(pos) atomic { LOAD(Pcpu->c, RX_POS, RELAXED); pos = got[c]; got[c] = 0 }
#define HOLD_ROOM(pos) \
	atomic { \
		LOAD(Pcpu->c, CONS_POS, ACQUIRE); \
		room = (POS(pos - got[c]) > RING -> RING : RING - POS(pos - got[c])); \
		got[c] = 0 \
	}
#define HELD_POS Pcpu->pos
#else
#define HOLD_POS(pos)
#define HOLD_ROOM(pos) \
	LOAD(Pcpu->c, CONS_POS, ACQUIRE); \
	room = RING - POS(rx_pos - got[c]); \
	got[c] = 0
#define HELD_POS now.rx_pos
#endif

proctype cpu(byte c)
{
	byte size, count, need, start, at, i;
	byte room, goal;
#ifdef BYPASS
	byte pos; /* rx->pos, as mytun_ring_hold() has read it */
#endif
#ifdef BYPASS
	byte sends = (c == 1 -> BYPASS : SENDS);
#elif defined(SENDS)
	byte sends = SENDS;
#endif

	do
	:: atomic {
#ifdef SENDS
		sends > 0 -> sends--;
#endif
		if :: SIZES > 1 -> size = SIZES :: size = 1 fi;
		if :: BURST > 1 -> count = BURST :: count = 1 fi;
		need = size * count
	   }

#ifdef BYPASS
	   if
	   :: c == 1 -> goto send
	   :: else
	   fi;
#endif
#ifdef HOLD
hold:
	   /* The queueing discipline sends when its queue is not stopped. mytun_ring_hold(): */
	   atomic { !stopped -> TAKE(Pcpu->c, TXQ) }
	   HOLD_POS(pos);
	   atomic {
		HOLD_ROOM(pos);
		goal = (need > RING / 2 -> need : RING / 2);
		if
		:: room >= need + LOW -> goto send
		:: else
		fi
	   }
#ifdef HOLD_TELLS_FIRST
	   STORE(Pcpu->c, PROD_EVENT, POS(HELD_POS - RING + Pcpu->goal - 1), RELEASE);
	   stopped = true;
#else
	   stopped = true; /* netif_tx_stop_queue() */
#ifdef HOLD_GOAL_LATE
	   STORE(Pcpu->c, PROD_EVENT, POS(HELD_POS - RING + Pcpu->goal), RELEASE);
#else
	   STORE(Pcpu->c, PROD_EVENT, POS(HELD_POS - RING + Pcpu->goal - 1), RELEASE);
#endif
#endif
#ifndef HOLD_NO_BARRIER
	   BARRIER(Pcpu->c);
#endif
#ifdef HOLD_LOOKS_ANEW
	   HOLD_POS(pos);
#endif
	   atomic {
#ifdef HOLD_NO_SECOND_LOOK
		room = 0;
#else
		HOLD_ROOM(pos);
#endif
		if
		:: room >= goal -> stopped = false /* netif_tx_wake_queue() */
		:: else
		fi
	   }
#if defined(BYPASS) && !defined(HOLD_LOOKS_ANEW)
	   HOLD_POS(pos);
	   HOLD_ROOM(pos);
#endif
	   if
	   :: room < need -> goto hold /* NETDEV_TX_BUSY */
	   :: else
	   fi;
send:
#endif
	   /* mytun_rx_reserve() */
	   atomic {
#ifndef NO_LOCK
		!locked -> locked = true;
		TAKE(Pcpu->c, RX_LOCK);
#endif
		/* mytun_rx_room() */
		if
		:: ROOM < need ->
#ifdef NO_ACQUIRE_CONS
			LOAD(Pcpu->c, CONS_POS, RELAXED);
#else
			LOAD(Pcpu->c, CONS_POS, ACQUIRE);
#endif
			/* An honest program is never faulted. */
			assert(POS(got[c] - rx_cons) <= POS(rx_pos - rx_cons));
			rx_cons = got[c];
			got[c] = 0
		:: else
		fi;
		count = (ROOM >= need -> count : ROOM / size);
#if defined(HOLD) && !defined(BYPASS)
		assert(count * size == need); /* nothing is dropped */
#endif
		start = rx_pos;
		at = start;
		i = 0;
		do
		:: i < count ->
#ifdef NO_BUSY
			STORE(Pcpu->c, SIZE(Pcpu->at), Pcpu->size, RELAXED);
#else
			STORE(Pcpu->c, SIZE(Pcpu->at), Pcpu->size | BUSY, RELAXED);
#endif
			at = POS(at + size);
			i++
		:: else -> break
		od;
		GAP_WITHOUT_LOCK
		if
		:: count ->
			rx_pos = at;
#if !defined(WAIT_EVENTFD) || defined(BYPASS)
			STORE(Pcpu->c, RX_POS, now.rx_pos, RELAXED);
#endif
#ifdef NO_RELEASE_POS
			STORE(Pcpu->c, PROD_POS, now.rx_pos, RELAXED)
#else
			STORE(Pcpu->c, PROD_POS, now.rx_pos, RELEASE)
#endif
		:: else
		fi;
#ifndef NO_LOCK
		GIVE(Pcpu->c, RX_LOCK);
		locked = false
#endif
	   }
#ifdef WAKE_BEFORE_COMMIT
	   wake_if_wanted();
#endif
	   /* mytun_rx_one(), mytun_rx_cut(): copy, and mytun_rx_commit(). */
	   atomic {
		at = start;
		i = 0;
		do
		:: i < count ->
			goal = 0;
			do
			:: goal < size ->
				STORE(Pcpu->c, DATA(Pcpu->at + Pcpu->goal),
				      POS(Pcpu->at + Pcpu->goal), RELAXED);
				goal++
			:: else -> break
			od;
#ifdef NO_RELEASE_SIZE
			STORE(Pcpu->c, SIZE(Pcpu->at), Pcpu->size, RELAXED);
#else
			STORE(Pcpu->c, SIZE(Pcpu->at), Pcpu->size, RELEASE);
#endif
			at = POS(at + size);
			i++
		:: else -> break
		od
	   }
#ifndef WAKE_BEFORE_COMMIT
	   if
	   :: count -> wake_if_wanted()
	   :: else /* dropped */
	   fi;
#endif
	   atomic {
		size = 0; count = 0; need = 0; start = 0; at = 0; i = 0; room = 0; goal = 0;
#if !defined(HOLD) && !defined(NO_LOCK)
		REST(Pcpu->c, RX_LOCK + 1)
#endif
#ifdef BYPASS
		pos = 0;
		if
		:: c == 1 -> REST(Pcpu->c, RX_LOCK + 1)
		:: else
		fi
#endif
	   }
	:: break
	od;
	running--
}

byte next, seen, released;
byte size, at;
bool found;

/* lease() in ring.go, mytun_rx_next() in mytun_ring.h: into found and size. */
inline look()
{
	if
	:: next == seen ->
#ifdef NO_ACQUIRE_POS
		LOAD(PROG, PROD_POS, RELAXED);
#else
		LOAD(PROG, PROD_POS, ACQUIRE);
#endif
		seen = got[PROG]
	:: else
	fi;
	found = false;
	size = 0;
	if
	:: next != seen ->
#ifdef NO_ACQUIRE_SIZE
		LOAD(PROG, SIZE(now.next), RELAXED);
#else
		LOAD(PROG, SIZE(now.next), ACQUIRE);
#endif
		if
		:: got[PROG] & BUSY
		:: else ->
			size = got[PROG];
			assert(size >= 1 && size <= POS(seen - next));
			found = true
		fi
	:: else
	fi;
	got[PROG] = 0
}

/* The program works with what it has taken: all of it is what was sent. */
inline taken(from)
{
	at = from;
	do
	:: at != next ->
		LOAD(PROG, DATA(now.at), RELAXED);
		assert(got[PROG] == at);
		at = POS(at + 1)
	:: else -> break
	od;
	got[PROG] = 0
}

/* mytun_rx_release(), release() in ring.go. What was released before is in at. */
#ifdef NO_RELEASE_CONS
/* What the program loads may be so late then. */
#define RELEASE_TAKEN \
	STORE(PROG, CONS_POS, now.next, RELAXED); \
	atomic { taken(released); at = released; released = next }
#else
#define RELEASE_TAKEN \
	atomic { \
		taken(released); \
		at = released; \
		STORE(PROG, CONS_POS, now.next, RELEASE); \
		released = next \
	}
#endif

/* With backpressure: does the kernel wait for what was released? mytun_senders_go(). */
inline tell()
{
#ifdef HOLD
#ifndef RELEASE_NO_BARRIER
	BARRIER(PROG);
#endif
	atomic {
		LOAD(PROG, PROD_EVENT, RELAXED);
		found = NEED_EVENT(got[PROG], released, at);
		got[PROG] = 0;
		at = 0
	}
#ifndef RELEASE_NO_DOORBELL
	if
	:: found -> atomic { BARRIER(PROG); GIVE(PROG, TXQ); stopped = false; found = false }
	:: else
	fi
#else
	found = false
#endif
#else
	at = 0
#endif
}

proctype program()
{
	do
	:: atomic { look() }
taking:
	   if
	   :: atomic { found -> at = next; next = POS(next + size); size = 0; found = false; taken(at); at = 0 }
	      if
	      :: RELEASE_TAKEN;
		 tell()
	      :: skip /* later, with others */
	      fi
	   :: else ->
		/* Records may be kept while it waits: not when senders wait for their room,
		 * nor without the event index.
		 */
		if
		:: released != next ->
		   RELEASE_TAKEN;
		   tell()
#if !defined(HOLD) && !defined(WAIT_PLAIN)
		:: skip
#else
		:: released == next
#endif
		fi;
#ifndef WAIT_PLAIN
		/* mytun_rx_arm(), arm() in ring.go and rxPark of ringqueue.go */
		STORE(PROG, CONS_EVENT, now.next, RELAXED);
#ifndef ARM_NO_BARRIER
		BARRIER(PROG);
#endif
#ifndef ARM_NO_SECOND_LOOK
		atomic {
			look();
			if
			:: found -> goto taking
			:: else
			fi
		}
#endif
#endif
#ifdef WAIT_EVENTFD
		if
		:: atomic { token -> token = false; TAKE(PROG, WAIT_LOCK) }
		:: running == 0 && !token && next == rx_pos -> break
		fi
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
		   /* mytun_rx_ready() */
		   atomic {
			LOAD(PROG, RX_POS, RELAXED);
			if
			:: got[PROG] == next -> found = false
			:: else ->
				LOAD(PROG, SIZE(now.next), RELAXED);
				found = !(got[PROG] & BUSY)
			fi;
			got[PROG] = 0
		   }
		   if
		   :: found -> break
		   :: atomic { !found && triggered -> triggered = false; TAKE(PROG, WAIT_LOCK) }
		   :: !found && running == 0 && !triggered && next == rx_pos -> break
		   fi
		od;
		atomic {
			TAKE(PROG, WAIT_LOCK);
			STORE(PROG, WAITERS, 0, RELAXED);
			GIVE(PROG, WAIT_LOCK);
			waiting = false;
			triggered = false;
			if
			:: !found -> break
			:: else
			fi;
			found = false
		}
#endif
	   fi
	od
}

init {
	atomic {
		c_code {
			int l;
			for (l = 0; l < MEM_LOCATIONS; l++)
				mem_init(&now.mem, l, 0);
		};
#ifdef BYPASS /* all positions on the way around are too many */
		rx_pos = MODULUS - 1;
		rx_cons = rx_pos;
		next = rx_pos;
		seen = rx_pos;
		released = rx_pos;
#elif defined(SENDS)
		do
		:: POS(rx_pos + 1) != 0 ->
			rx_pos++;
			rx_cons = rx_pos;
			next = rx_pos;
			seen = rx_pos;
			released = rx_pos
		:: break
		od;
#endif
#ifdef SENDS
		c_code {
			mem_init(&now.mem, PROD_POS, now.rx_pos);
			mem_init(&now.mem, CONS_POS, now.rx_pos);
#if !defined(WAIT_EVENTFD) || defined(BYPASS)
			mem_init(&now.mem, RX_POS, now.rx_pos);
#endif
		};
#endif
		run program();
		run cpu(0);
		if
		:: CPUS > 1 -> run cpu(1)
		:: else
		fi
	}
}
