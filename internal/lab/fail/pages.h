/* SPDX-License-Identifier: MIT */
/* Pages, of which kmemleak knows nothing: what an operation that fails again and again keeps. */
#ifndef PAGES_H
#define PAGES_H

/**
 * struct pages - pages in use
 * @charged: to this test, beside slabs, stacks, page tables and the like: those of rings are
 * @other:   whosever, of which the kernel says nothing more; those of packets are
 */
struct pages {
	long charged;
	long other;
};

struct pages pages_now(void);
/* Fails if since @before pages were forgotten, a part of them in each of so many failures. */
void pages_expect(const struct pages *before, unsigned int failures, const char *what);

#endif /* PAGES_H */
