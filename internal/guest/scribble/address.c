// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "address.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "tally.h"

static __thread sigjmp_buf *trap;
static char *places;

static void trapped(int sig)
{
	(void)sig;
	if (!trap)
		_exit(1); /* it has written over itself: one hostile program less */
	siglongjmp(*trap, 1);
}

void address_new(void)
{
	struct sigaction a = { .sa_handler = trapped, .sa_flags = SA_NODEFER };

	must(sigaction(SIGSEGV, &a, NULL));
	must(sigaction(SIGBUS, &a, NULL));
	places = (char *)must((intptr_t)mmap(NULL, (size_t)PLACES * PLACE_LEN, PROT_NONE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

char *place(unsigned int n)
{
	return places + (size_t)n * PLACE_LEN;
}

void place_clear(unsigned int n)
{
	mmap(place(n), PLACE_LEN, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void guarded(void (*run)(void *arg), void *arg)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 0)) {
		tally_add(TRAPS, 1);
	} else {
		trap = &here;
		run(arg);
	}
	trap = NULL;
}
