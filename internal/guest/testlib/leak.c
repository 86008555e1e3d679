// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "leak.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static char *whole_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t len = 0;

	if (!f || getdelim(&text, &len, '\0', f) < 0)
		fail("%s cannot be read", path);
	fclose(f);
	return text;
}

static long meminfo(const char *key)
{
	char *text = whole_file("/proc/meminfo"), *at = strstr(text, key);
	long kb;

	if (!at)
		fail("no %s in /proc/meminfo", key);
	kb = strtol(at + strlen(key), NULL, 10);
	free(text);
	return kb;
}

static long count(const char *path, const char *what)
{
	char *text = whole_file(path);
	long n = 0;

	for (char *at = text; (at = strstr(at, what)); at++)
		n++;
	free(text);
	return n;
}

/* Free pages that each CPU keeps at hand are not among the free ones of /proc/meminfo. */
static long at_hand_kb(void)
{
	char *text = whole_file("/proc/zoneinfo");
	long pages = 0;

	for (char *at = text; (at = strstr(at, "count:")); at++)
		pages += strtol(at + strlen("count:"), NULL, 10);
	free(text);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long free_kb(void)
{
	return meminfo("MemFree:") + meminfo("Buffers:") + meminfo("\nCached:") + at_hand_kb();
}

/* Objects that nobody uses do not count as used when a CPU has its own slab. */
static void shrink_slabs(void)
{
	DIR *dir = opendir("/sys/kernel/slab");
	struct dirent *e;
	char path[512];

	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", e->d_name);
		write_file(path, "1");
	}
	if (dir)
		closedir(dir);
}

/* Not what is freed some time later; that the module has none is counted by itself. Nor what
 * DEBUG_OBJECTS watches: it complains itself of what goes with the memory it is in, but is never
 * told that memory for each CPU went: the timers of other drivers' gro_cells in there, some for
 * each network namespace, it takes to be in use for ever.
 */
static bool counts(const char *slab)
{
	return strcmp(slab, "vmap_area") != 0 && strcmp(slab, "debug_objects_cache") != 0;
}

/* By object: how many slabs these take up, half empty ones, depends on who came when. */
static void read_slabs(struct leak_figures *f)
{
	char *text = whole_file("/proc/slabinfo"), *rest = text, *line;
	long size, bytes = 0;

	while ((line = strsep(&rest, "\n")) && f->slabs < (int)ARRAY_SIZE(f->slab)) {
		char *name = f->slab[f->slabs].name;
		long *objects = &f->slab[f->slabs].objects;

		if (sscanf(line, "%47s %ld %*d %ld", name, objects, &size) != 3 || *name == '#' ||
		    !counts(name))
			continue;
		bytes += *objects * size;
		f->slabs++;
	}
	f->objects_kb = bytes / 1024;
	free(text);
}

void leak_settle(void)
{
	long last = 0;

	/* Network namespaces go, and RCU frees, in their own time. */
	for (int n = 0, same = 0; same < 5 && n < 100; n++) {
		long now = free_kb();

		same = labs(now - last) <= 200 ? same + 1 : 0;
		last = now;
		sleep_ms(100);
	}
	write_file("/proc/sys/vm/drop_caches", "7"); /* 3, and not a word of it in the log */
	shrink_slabs();
	sleep_ms(100);
}

long module_users(void)
{
	return strtol(read_file("/sys/module/mytun/refcnt"), NULL, 10);
}

struct leak_figures leak_figures(void)
{
	struct leak_figures f = {
		.free_kb = free_kb(),
		.vmalloc_kb = meminfo("VmallocUsed:"),
		.percpu_kb = meminfo("Percpu:"),
		.vmaps = count("/proc/vmallocinfo", "[mytun]"),
		.netdevs = count("/proc/net/dev", ":"),
		.module_users = module_users(),
	};

	read_slabs(&f);
	return f;
}

static bool grew(const char *what, long before, long after, long tolerance)
{
	bool bad = after - before > tolerance;

	printf("# %-28s %9ld %9ld %+7ld (at most %+ld)%s\n", what, before, after, after - before,
	       tolerance, bad ? " TOO MUCH" : "");
	return bad;
}

/* A cache that has an object more for every second round is a leak, whoever's it is.
 * Some are for what the guest does beside.
 */
static bool slabs_grew(const struct leak_figures *before, const struct leak_figures *after,
		       long rounds)
{
	bool bad = false;

	for (int i = 0; i < after->slabs; i++) {
		long objects = 0;

		for (int j = 0; j < before->slabs; j++)
			if (!strcmp(before->slab[j].name, after->slab[i].name))
				objects = before->slab[j].objects;
		if (after->slab[i].objects - objects > rounds / 4)
			bad |= grew(after->slab[i].name, objects, after->slab[i].objects,
				    rounds / 2 + 300);
	}
	return bad;
}

void leak_compare(const struct leak_figures *before, const struct leak_figures *after,
		  long rounds)
{
	bool bad = false;

	printf("# %-28s %9s %9s\n", "", "before", "after");
	/* A page a round that is not given back shows. */
	bad |= grew("memory in use, KiB", -before->free_kb, -after->free_kb, rounds * 4);
	bad |= grew("objects in slabs, KiB", before->objects_kb, after->objects_kb, rounds);
	bad |= grew("vmalloc, KiB", before->vmalloc_kb, after->vmalloc_kb, 256);
	bad |= grew("per CPU, KiB", before->percpu_kb, after->percpu_kb, 256);
	bad |= grew("vmap areas of the module", before->vmaps, after->vmaps, 0);
	bad |= grew("network devices", before->netdevs, after->netdevs, 0);
	bad |= grew("users of the module", 0, after->module_users, 0);
	bad |= slabs_grew(before, after, rounds);
	fflush(stdout);
	if (bad)
		fail("the kernel holds more than before");
}

long leak_pages(void)
{
	static const char *const named[] = {
		"Buffers:",
		"\nCached:",
		"SwapCached:",
		"AnonPages:",
		"Slab:",
		"KernelStack:",
		"PageTables:",
		"VmallocUsed:",
		"Percpu:",
	};
	long kb = meminfo("MemTotal:") - meminfo("MemFree:") - at_hand_kb();

	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		kb -= meminfo(named[i]);
	return kb / (sysconf(_SC_PAGESIZE) / 1024);
}
