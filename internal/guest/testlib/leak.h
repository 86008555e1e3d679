/* SPDX-License-Identifier: MIT */
/* What the kernel holds, before and after. */
#ifndef LEAK_H
#define LEAK_H

#include <stdbool.h>

struct leak_figures {
	long free_kb; /* memory that is free, or could be at once */
	long objects_kb; /* of all slabs below */
	long vmalloc_kb;
	long percpu_kb;
	long vmaps; /* of the module, in /proc/vmallocinfo */
	long netdevs;
	long module_users;
	struct {
		char name[48];
		long objects; /* in use */
	} slab[512];
	int slabs;
};

/* Files, mappings and what else keeps the module from going. */
long module_users(void);

/* Waits until what is on its way out has gone. */
void leak_settle(void);
struct leak_figures leak_figures(void);
/* Prints both, and fails if the kernel holds more than @rounds rounds can explain. */
void leak_compare(const struct leak_figures *before, const struct leak_figures *after,
		  long rounds);

/* Pages in use that the kernel counts as nothing in particular: neither as slabs nor as memory of
 * processes, files, page tables, stacks, vmalloc() or CPUs. Those of alloc_page() are, of which
 * kmemleak knows nothing.
 */
long leak_pages(void);

#endif /* LEAK_H */
