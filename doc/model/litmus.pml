/* SPDX-License-Identifier: MIT */
/*
 * litmus.pml: what memory.h lets be seen, against what is known of the memory of C11 and of
 * the kernel. TEST is one of these; an assertion that fails is something seen.
 *
 *   SB, SB_FENCED            each stores, then loads what the other stores: both miss it
 *   MP, MP_RELEASE, MP_ACQUIRE, MP_BOTH
 *                            data, then a flag: the flag is seen and the data not
 *   CORR                     two loads of one location go back in time
 *   IRIW, IRIW_FENCED        two readers see two stores in different orders
 */
#define SB 1
#define SB_FENCED 2
#define MP 3
#define MP_RELEASE 4
#define MP_ACQUIRE 5
#define MP_BOTH 6
#define CORR 7
#define IRIW 8
#define IRIW_FENCED 9

#define THREADS 4
c_decl {
\#define MEM_THREADS THREADS
\#define MEM_STORES 4
\#define MEM_LOCKS 1
	enum { X, Y, MEM_LOCATIONS };
	static const unsigned char mem_readers[MEM_LOCATIONS] = { 15, 15 };
	static const unsigned char mem_lags[MEM_LOCATIONS];
\#include "memory.h"
};
#include "memory.pml"

#define FENCED (TEST == SB_FENCED || TEST == IRIW_FENCED)
#define FENCE(t) c_code { if (FENCED) mem_barrier(&now.mem, t); }

byte seen[6];
byte ended;

proctype sb(byte t)
{
	STORE(Psb->t, Psb->t, 1, RELAXED);
	FENCE(Psb->t);
	LOAD(Psb->t, 1 - Psb->t, RELAXED);
	seen[t] = got[t];
	ended++
}

proctype mp_write()
{
	STORE(0, X, 1, RELAXED);
	STORE(0, Y, 1, (TEST == MP_RELEASE || TEST == MP_BOTH));
	ended++
}

proctype mp_read()
{
	LOAD(1, Y, (TEST == MP_ACQUIRE || TEST == MP_BOTH));
	seen[0] = got[1];
	LOAD(1, X, RELAXED);
	seen[1] = got[1];
	ended++
}

proctype store(byte t)
{
	STORE(Pstore->t, Pstore->t, 1, RELAXED);
	ended++
}

proctype read_two(byte t; byte first; byte second)
{
	LOAD(Pread_two->t, Pread_two->first, RELAXED);
	seen[(t - 2) * 2] = got[t];
	FENCE(Pread_two->t);
	LOAD(Pread_two->t, Pread_two->second, RELAXED);
	seen[(t - 2) * 2 + 1] = got[t];
	ended++
}

init {
	byte n;

	atomic {
		c_code {
			mem_init(&now.mem, X, 0);
			mem_init(&now.mem, Y, 0);
		};
		if
		:: TEST <= SB_FENCED -> run sb(0); run sb(1); n = 2
		:: TEST >= MP && TEST <= MP_BOTH -> run mp_write(); run mp_read(); n = 2
		:: TEST == CORR -> run store(0); run read_two(2, 0, 0); n = 2
		:: TEST >= IRIW -> run store(0); run store(1); run read_two(2, 0, 1); run read_two(3, 1, 0); n = 4
		fi
	}
	ended == n;
	assert(!(TEST <= SB_FENCED && !seen[0] && !seen[1]));
	assert(!(TEST >= MP && TEST <= CORR && seen[0] && !seen[1]));
	assert(!(TEST >= IRIW && seen[0] && !seen[1] && seen[2] && !seen[3]))
}
