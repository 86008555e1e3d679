/* SPDX-License-Identifier: MIT */
/* What all processes of the test share: when to end, what was found, and how much was done. */
#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>
#include <stdint.h>

enum count {
	SCRIBBLES, /* words that were written over */
	RECORDS_SENT, /* with fields that lie, more or less */
	RECORDS_TAKEN,
	CALLS, /* system calls of the hostile program on its files */
	MAPPINGS, /* changes of its address space */
	TRAPS, /* of the hostile program: SIGSEGV and SIGBUS */
	RINGS_MADE,
	RINGS_FAULTED,
	BYTES_SEARCHED, /* for what is the kernel's */
	KILLED, /* hostile programs */
	ADMINISTERED, /* changes of their interface from outside */
	PACKETS_DOWN, /* that the stack was given for the hostile queues */
	PACKETS_SEEN, /* by a capture of all interfaces */
	HONEST_UP, /* numbered packets of the neighbours */
	HONEST_DOWN,
	COUNTS
};

struct tally {
	uint64_t count[COUNTS];
	bool stop;
	bool quiet; /* the hostile are gone */
	bool ready; /* the neighbours' interfaces are there */
	char found[200]; /* where foreign bytes were; "": none */
};

extern struct tally *tally;

/* Before any process is started. */
void tally_new(void);
void tally_add(enum count what, uint64_t n);
/* For the record, one line each. */
void tally_print(void);
bool stopped(void);

#endif /* TALLY_H */
