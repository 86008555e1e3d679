/* SPDX-License-Identifier: MIT */
/*
 * Tests, each in a process and a network namespace of its own and with a time limit,
 * so that one that hangs, dies or leaves something behind hides no other.
 *
 *	TEST(what_holds)
 *	{
 *		expect(1 + 1 == 2);
 *	}
 *
 * One line is printed for each: "ok FILE/NAME", "not ok FILE/NAME: why" or
 * "skip FILE/NAME: why". The first failed expectation ends the test, also from a
 * thread or from a process that it started.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct test {
	const char *file;
	const char *name;
	unsigned int seconds;
	bool alone;
	void (*run)(void);
	struct test *next;
};

#define TEST(name) TEST_WITHIN(30, name)

#define TEST_WITHIN(seconds, name) TEST_AS(seconds, false, name)

/* Runs only when it is asked for, and in the network namespace that it is started in. */
#define TEST_ALONE(seconds, name) TEST_AS(seconds, true, name)

#define TEST_AS(seconds, alone, name)                                                     \
	static void name(void);                                                           \
	static struct test test_##name = { __FILE__, #name, seconds, alone, name, NULL }; \
	__attribute__((constructor)) static void add_##name(void)                         \
	{                                                                                 \
		check_add(&test_##name);                                                  \
	}                                                                                 \
	static void name(void)

void check_add(struct test *t);

__attribute__((noreturn, format(printf, 3, 4))) void check_fail(const char *file, int line,
								const char *fmt, ...);
__attribute__((noreturn, format(printf, 1, 2))) void skip(const char *fmt, ...);

#define fail(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)

#define expect(cond)                                \
	do {                                        \
		if (!(cond))                        \
			fail("expected %s", #cond); \
	} while (0)

#define expect_eq(a, b)                                                    \
	do {                                                               \
		long long a_ = (long long)(a), b_ = (long long)(b);        \
		if (a_ != b_)                                              \
			fail("%s is %lld, not %s = %lld", #a, a_, #b, b_); \
	} while (0)

/* A call of the C library that must succeed; its value. */
#define must(call)                                                  \
	({                                                          \
		long long r_ = (long long)(call);                   \
		if (r_ == -1)                                       \
			fail("%s: %s", #call, strerrorname(errno)); \
		r_;                                                 \
	})

/* A call of the C library that must fail with @err. */
#define expect_errno(call, err)                                                \
	do {                                                                   \
		long long r_ = (long long)(call);                              \
		int e_ = errno;                                                \
		if (r_ != -1)                                                  \
			fail("%s returned %lld, not %s", #call, r_, #err);     \
		if (e_ != (err))                                               \
			fail("%s: %s, not %s", #call, strerrorname(e_), #err); \
	} while (0)

/* How many times its time limit all may take: emulators, and kernels that watch themselves. */
unsigned int patience(void);
/* Is this one of those that come to few rounds: emulated, and watching itself? */
bool slow(void);

/* Waits for what another CPU or process does. */
#define eventually(cond)                                                   \
	do {                                                               \
		for (unsigned int n_ = 5000 * patience(); !(cond); n_--) { \
			if (!n_)                                           \
				fail("never came: %s", #cond);             \
			sleep_ms(1);                                       \
		}                                                          \
	} while (0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

const char *strerrorname(int err);
void sleep_ms(unsigned int ms);

/* A process that runs @run and ends; spawn_wait() fails unless that ended well. */
pid_t spawn(void (*run)(void *arg), void *arg);
void spawn_wait(pid_t pid);
/* Waits until @pid sleeps in the kernel, as a reader with nothing to read does. */
void wait_asleep(pid_t pid);

/* Leaves for a new network namespace with lo up. Interfaces begin without IPv6. */
void netns_new(void);
/* What fails in this process from here on is nobody's business. */
void close_why(void);
/* Shows this network namespace's interfaces in /sys, to this process alone. */
void sysfs_here(void);
int write_file(const char *path, const char *text);
/* The file's text in a static buffer, "" when there is no such file. */
const char *read_file(const char *path);

#endif /* CHECK_H */
