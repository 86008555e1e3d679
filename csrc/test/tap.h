/* SPDX-License-Identifier: MIT */
/* What a test says: "ok NAME" or "not ok NAME: why", and the sums at the end. */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <stdbool.h>
#include <stddef.h>

struct test {
	const char *name;
	void (*run)(void);
};

/* The tests of each file, ended by one without a name. */
extern const struct test ring_tests[];
extern const struct test wait_tests[];
extern const struct test thread_tests[];

/* Fails the test that runs; it goes on, and the first reason is printed. */
void tap_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Runs a list; names that do not contain filter are left out, prefix is only printed. */
void tap_run(const char *prefix, const struct test *tests, const char *filter);

/* Prints the sums; what main() returns. */
int tap_end(void);

#define CHECK(cond)                                                \
	do {                                                       \
		if (!(cond))                                       \
			tap_fail(__FILE__, __LINE__, "%s", #cond); \
	} while (0)

#define CHECK_EQ(got, want)                                                   \
	do {                                                                  \
		long long got_ = (long long)(got), want_ = (long long)(want); \
		if (got_ != want_)                                            \
			tap_fail(__FILE__, __LINE__,                          \
				 "%s is %lld, want %lld", #got, got_, want_); \
	} while (0)

/* The rest of the test would crash without it. */
#define NEED(cond)                                                 \
	do {                                                       \
		if (!(cond)) {                                     \
			tap_fail(__FILE__, __LINE__, "%s", #cond); \
			return;                                    \
		}                                                  \
	} while (0)

#endif /* TEST_TAP_H */
