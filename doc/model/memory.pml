/* SPDX-License-Identifier: MIT */
/*
 * memory.pml: memory.h for Promela. What a thread has loaded is in got[thread].
 *
 * Arguments that are not constants are C: global variables of the model by way of "now.".
 */
c_state "struct memory mem" "Global"

byte got[THREADS];

#define RELAXED 0
#define ACQUIRE 1
#define RELEASE 1

#define STORE(t, l, v, how) c_code { mem_store(&now.mem, t, l, v, how); }
#define BARRIER(t) c_code { mem_barrier(&now.mem, t); }
#define TAKE(t, lock) c_code { mem_take(&now.mem, t, lock); }
#define GIVE(t, lock) c_code { mem_give(&now.mem, t, lock); }

#define REST(t, until) c_code { mem_rest(&now.mem, t, until); }

#define LOAD_NTH(t, l, how, k) \
	c_expr { (mem_sees(&now.mem, t, l, k)) } -> \
	c_code { now.got[t] = mem_load(&now.mem, t, l, k, how); }
#define LOAD(t, l, how) \
	atomic { \
		if \
		:: LOAD_NTH(t, l, how, 0) \
		:: LOAD_NTH(t, l, how, 1) \
		:: LOAD_NTH(t, l, how, 2) \
		:: LOAD_NTH(t, l, how, 3) \
		:: LOAD_NTH(t, l, how, 4) \
		:: LOAD_NTH(t, l, how, 5) \
		:: LOAD_NTH(t, l, how, 6) \
		:: LOAD_NTH(t, l, how, 7) \
		fi; \
	}

/*
 * Positions are free-running numbers of a few bits. mytun_need_event() of uapi/mytun.h; of
 * what a mutation makes of it, the last two are mistakes that anybody might make.
 */
#define POS(x) ((x) & (MODULUS - 1))
#if defined(EVENT_EARLY)
#define NEED_EVENT(event, pos, old) (POS((pos) - (event)) < POS((pos) - (old)))
#elif defined(EVENT_LATE)
#define NEED_EVENT(event, pos, old) (POS((pos) - (event) - 2) < POS((pos) - (old)))
#elif defined(EVENT_PLAIN)
#define NEED_EVENT(event, pos, old) ((old) <= (event) && (event) < (pos))
#else
#define NEED_EVENT(event, pos, old) (POS((pos) - (event) - 1) < POS((pos) - (old)))
#endif
