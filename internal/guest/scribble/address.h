/* SPDX-License-Identifier: MIT */
/*
 * Where the hostile program has its mappings: at places that were kept for them, so that what
 * it writes to an address that was unmapped meanwhile is not its own stack. Accesses
 * that find nothing, or may not, are survived.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stddef.h>

/* Of each place. */
#define PLACE_LEN (4u << 20)
#define PLACES	  16u

void address_new(void);
/* Place number @n. */
char *place(unsigned int n);
/* Unmaps what is there, but keeps the place. */
void place_clear(unsigned int n);

/* Runs @run until it ends, or touches what is not there. */
void guarded(void (*run)(void *arg), void *arg);

#endif /* ADDRESS_H */
