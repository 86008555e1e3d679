// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "both.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "tun.h"

static int said = -1;

void say(const char *fmt, ...)
{
	va_list args;

	if (said < 0)
		return; /* nobody compares */
	va_start(args, fmt);
	vdprintf(said, fmt, args);
	va_end(args);
	must(write(said, "\n", 1));
}

void say_result(const char *call, long long ret)
{
	if (ret == -1)
		say("%s: %s", call, strerrorname(errno));
	else
		say("%s: %lld", call, ret);
}

static void run_scenario(void *arg)
{
	void (*const *scenario)(void) = arg;

	netns_new();
	(*scenario)();
}

/* All that @scenario says on the node @path. */
static char *run_on(const char *path, void (*scenario)(void))
{
	struct stat st;
	char *text;

	tun_path = path;
	said = must(memfd_create("said", MFD_CLOEXEC));
	spawn_wait(spawn(run_scenario, &scenario));
	must(fstat(said, &st));
	text = calloc(1, st.st_size + 1);
	expect(text != NULL);
	must(pread(said, text, st.st_size, 0));
	close(said);
	said = -1;
	return text;
}

void both(void (*scenario)(void))
{
	const char *ours = tun_path;
	char *a, *b, *line_a, *line_b;
	unsigned int n = 0;

	if (access("/dev/net/tun", F_OK) && system("modprobe -q tun"))
		skip("this kernel has no tun module");
	a = run_on("/dev/net/tun", scenario);
	b = run_on(ours, scenario);
	tun_path = ours;
	if (!*a)
		fail("the scenario said nothing");
	while ((line_a = strsep(&a, "\n")) && (line_b = strsep(&b, "\n"))) {
		n++;
		if (strcmp(line_a, line_b))
			fail("line %u: tun \"%s\", mytun \"%s\"", n, line_a, line_b);
	}
}
