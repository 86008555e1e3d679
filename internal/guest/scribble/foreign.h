/* SPDX-License-Identifier: MIT */
/*
 * Bytes that are nobody's but the kernel's: free memory is filled with a pattern that no
 * packet and no program of the test writes, and whatever comes out of the module is
 * searched for it, and for the patterns with which a kernel with sanitizers fills its own.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#include <stddef.h>

/* On kernels that are to fill their slabs: that they do, or else a search would find nothing. */
void foreign_expect_poison(void);
/* Fills memory of the kernel, pages and slabs of many sizes, and frees it. */
void foreign_fill(void);
/* Ends the search, with a word in tally->found, if there are foreign bytes. */
void foreign_search(const char *where, const void *bytes, size_t len);

#endif /* FOREIGN_H */
