// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "leak.h"

#define CGROUPS "/sys/fs/cgroup"

/* What the kernel has charged for slabs it counts by the byte, and keeps some of it at hand. */
#define CHARGED_MORE 6
/* The shadows of what was unmapped stay until they are many; sockets have pages in store. */
#define OTHER_MORE 512

/* This process is charged for itself alone from the first call on. */
static const char *charges(void)
{
	static char path[64];

	if (!*path) {
		must(write_file(CGROUPS "/cgroup.subtree_control", "+memory"));
		snprintf(path, sizeof(path), CGROUPS "/fail%d", getpid());
		must(mkdir(path, 0755));
		strcat(path, "/cgroup.procs");
		must(write_file(path, "0"));
		snprintf(path, sizeof(path), CGROUPS "/fail%d/memory.stat", getpid());
	}
	return path;
}

static long charged(void)
{
	static const char *const named[] = { "\nkernel_stack ", "\npagetables ", "\npercpu ",
					     "\nvmalloc ", "\nslab " };
	const char *text = read_file(charges()), *at = strstr(text, "\nkernel ");
	long bytes;

	if (!at)
		fail("no kernel memory in memory.stat");
	bytes = strtol(at + strlen("\nkernel "), NULL, 10);
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		at = strstr(text, named[i]);
		if (at)
			bytes -= strtol(at + strlen(named[i]), NULL, 10);
	}
	return bytes / sysconf(_SC_PAGESIZE);
}

struct pages pages_now(void)
{
	return (struct pages){ .charged = charged(), .other = leak_pages() };
}

void pages_expect(const struct pages *before, unsigned int failures, const char *what)
{
	struct pages now = {};
	long charged, other;

	/* Some are freed a moment later, and the figures of a group may be two seconds old. */
	for (int n = 0; n < 300; n++) {
		now = pages_now();
		charged = now.charged - before->charged;
		other = now.other - before->other;
		if (charged <= CHARGED_MORE && other <= OTHER_MORE)
			break;
		sleep_ms(10);
	}
	if (charged > CHARGED_MORE || other > OTHER_MORE)
		fail("%s: after %u failures %ld pages more are charged, and %ld others in use",
		     what, failures, charged, other);
}
