// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"

/* Tests fail from threads of their own too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char why[512];
static int passed, failed;

void tap_fail(const char *file, int line, const char *format, ...)
{
	va_list ap;
	int n;

	pthread_mutex_lock(&lock);
	if (!why[0]) {
		n = snprintf(why, sizeof(why), "%s:%d: ", file, line);
		va_start(ap, format);
		vsnprintf(why + n, sizeof(why) - (size_t)n, format, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&lock);
}

void tap_run(const char *prefix, const struct test *tests, const char *filter)
{
	for (; tests->name; tests++) {
		if (filter && !strstr(tests->name, filter))
			continue;
		why[0] = 0;
		tests->run();
		if (why[0]) {
			printf("not ok %s%s: %s\n", prefix, tests->name, why);
			failed++;
		} else {
			printf("ok %s%s\n", prefix, tests->name);
			passed++;
		}
		fflush(stdout);
	}
}

int tap_end(void)
{
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
