// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "tally.h"

#include <stdio.h>
#include <sys/mman.h>

#include "check.h"

struct tally *tally;

static const char *const names[COUNTS] = {
	[SCRIBBLES] = "words written over",
	[RECORDS_SENT] = "records sent by the hostile",
	[RECORDS_TAKEN] = "times that they took what was there",
	[CALLS] = "system calls on their files",
	[MAPPINGS] = "changes of their mappings",
	[TRAPS] = "SIGSEGV and SIGBUS that they survived",
	[RINGS_MADE] = "rings set up",
	[RINGS_FAULTED] = "rings faulted",
	[BYTES_SEARCHED] = "bytes searched for foreign ones",
	[KILLED] = "hostile programs killed",
	[ADMINISTERED] = "changes of their interface",
	[PACKETS_DOWN] = "packets sent to them",
	[PACKETS_SEEN] = "packets captured",
	[HONEST_UP] = "neighbours' packets sent, all arrived",
	[HONEST_DOWN] = "neighbours' packets received, all that were sent",
};

void tally_new(void)
{
	tally = (void *)must((intptr_t)mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

void tally_add(enum count what, uint64_t n)
{
	__atomic_fetch_add(&tally->count[what], n, __ATOMIC_RELAXED);
}

void tally_print(void)
{
	for (int i = 0; i < COUNTS; i++)
		printf("# %12llu %s\n", (unsigned long long)tally->count[i], names[i]);
	fflush(stdout);
}

bool stopped(void)
{
	return __atomic_load_n(&tally->stop, __ATOMIC_ACQUIRE);
}
