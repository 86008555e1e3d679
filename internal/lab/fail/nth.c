// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "nth.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"

#define DEBUG "/sys/kernel/debug/"

/* An operation does the same each time, but for what the allocators keep for themselves. */
#define ROUNDS_BEYOND 3
#define NTH_MAX	      50000
/* So many failures are tried each, and of as many as that every second one, and so on. */
#define ROUNDS_EACH 1000
/* So many failures at most by fail_softirq(); what is left of them tells how many there were. */
#define TIMES "1000000000"

/* All failures, of all the processes that the tests are. */
static unsigned int *total;

__attribute__((constructor)) static void share_total(void)
{
	total = mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (total == MAP_FAILED)
		abort();
}

static const char *const injectors[] = { "failslab", "fail_page_alloc", "fail_usercopy" };

static void set(const char *injector, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUG "%s/%s", injector, name);
	if (write_file(path, value))
		fail("%s: %s; is this a kernel with fault injection?", path, strerrorname(errno));
}

static unsigned long get(const char *injector, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUG "%s/%s", injector, name);
	return strtoul(read_file(path), NULL, 10);
}

/* All kinds of memory may fail, and nobody says so in the log. */
static void prepare_kernel(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(injectors); i++) {
		set(injectors[i], "probability", "0");
		set(injectors[i], "verbose", "0");
		set(injectors[i], "task-filter", "N");
		set(injectors[i], "space", "0");
	}
	set("failslab", "ignore-gfp-wait", "N");
	set("failslab", "cache-filter", "N");
	set("fail_page_alloc", "ignore-gfp-wait", "N");
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_page_alloc", "min-order", "0");
}

/* Our own page faults are not what shall fail, not even those of a stack that grows. */
static void fault_in(void)
{
	volatile char stack[1 << 17];

	for (size_t i = 0; i < sizeof(stack); i += 1024)
		stack[i] = 0;
	must(mlockall(MCL_CURRENT));
}

struct failing failing_of(const char *what, pid_t task)
{
	struct failing f = { .what = what, .task = task };
	char path[64];

	prepare_kernel();
	if (task)
		snprintf(path, sizeof(path), "/proc/%d/fail-nth", task);
	else
		snprintf(path, sizeof(path), "/proc/thread-self/fail-nth");
	f.fd = must(open(path, O_RDWR | O_CLOEXEC));
	fault_in();
	return f;
}

struct failing failing(const char *what)
{
	return failing_of(what, 0);
}

struct failing failing_work(const char *what, const char *queue)
{
	struct failing f = { .what = what, .fd = -1, .workers = { .queue = queue } };

	prepare_kernel();
	return f;
}

static void report(const char *what, unsigned int injected, unsigned int refused)
{
	unsigned int all = __atomic_add_fetch(total, injected, __ATOMIC_RELAXED);

	dprintf(STDOUT_FILENO, "# fail: %6u failures, %6u of them refused: %s (%u in all)\n",
		injected, refused, what, all);
}

static void end(struct failing *f)
{
	close(f->fd);
	if (!f->injected)
		fail("%s: nothing of it could be made to fail", f->what);
	pages_expect(&f->before, f->injected, f->what);
	report(f->what, f->injected, f->refused);
	if (f->hurried)
		dprintf(STDOUT_FILENO, "# fail: some of %s were left out, of so many\n",
			f->what);
}

bool fail_next(struct failing *f)
{
	unsigned int step;

	if (f->again) {
		f->again = f->fired = false;
		return true;
	}
	/* The kernel says so in the beginning, in the middle there is the operation. */
	f->beyond = f->nth && !f->fired ? f->beyond + 1 : 0;
	if (f->beyond == ROUNDS_BEYOND) {
		end(f);
		return false;
	}
	/* The first round is for what then stays. */
	if (f->rounds < 2)
		f->before = pages_now();
	step = 1 + f->rounds++ / lab_rounds(ROUNDS_EACH);
	f->hurried |= step > 1;
	f->nth += step;
	if (f->nth > NTH_MAX)
		fail("%s: more than %d allocations", f->what, NTH_MAX);
	f->fired = false;
	return true;
}

void fail_arm(struct failing *f)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", f->nth);

	f->armed = true;
	if (f->workers.queue)
		workers_arm(&f->workers, f->nth);
	else if (pwrite(f->fd, text, n, 0) != n)
		fail("fail-nth: %s", strerrorname(errno));
}

/* Has this thread, or that of the kernel, failed? */
static bool disarm_task(struct failing *f)
{
	unsigned int left = 1;
	char text[16] = "";

	/* To read is a copy to the program itself, and to write one from it: one of them
	 * may be what fails, and the countdown is over then.
	 */
	if (pread(f->fd, text, sizeof(text) - 1, 0) >= 0)
		left = strtoul(text, NULL, 10);
	else if (errno != EFAULT)
		fail("fail-nth: %s", strerrorname(errno));
	while (left && pwrite(f->fd, "0", 1, 0) != 1)
		if (errno != EFAULT)
			fail("fail-nth: %s", strerrorname(errno));
	return !left;
}

static bool disarm_workers(struct failing *f)
{
	enum workers_end end = workers_disarm(&f->workers);

	f->again = end == WORKERS_NEW;
	return end == WORKERS_FAILED;
}

void fail_disarm(struct failing *f)
{
	bool fired = f->workers.queue ? disarm_workers(f) : disarm_task(f);

	f->armed = false;
	if (fired && !f->fired) {
		f->fired = true;
		f->injected++;
	}
}

bool fail_done_of(const char *file, int line, struct failing *f, const int *errnos)
{
	if (f->ret != -1)
		return true;
	if (!f->fired)
		check_fail(file, line, "%s: %s, and nothing had failed", f->what,
			   strerrorname(f->err));
	for (; *errnos; errnos++) {
		if (*errnos == f->err) {
			f->refused++;
			return false;
		}
	}
	check_fail(file, line, "%s: %s after failure number %u", f->what, strerrorname(f->err),
		   f->nth);
}

static const char *const memory[] = { "failslab", "fail_page_alloc" };

/* Kept open, since to open one takes memory. */
static int probabilities[ARRAY_SIZE(memory)];

static void set_probability(unsigned int percent)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", percent);

	for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
		if (write(probabilities[i], text, n) != n)
			fail("probability: %s", strerrorname(errno));
}

static void begin_by_chance(unsigned int percent)
{
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
		set(memory[i], "times", TIMES);
		snprintf(path, sizeof(path), DEBUG "%s/probability", memory[i]);
		probabilities[i] = must(open(path, O_RDWR | O_CLOEXEC));
	}
	fault_in();
	set_probability(percent);
}

void fail_everywhere(unsigned int percent)
{
	prepare_kernel();
	begin_by_chance(percent);
}

void fail_beyond(unsigned int pages)
{
	char text[16];

	prepare_kernel();
	must(write_file("/proc/thread-self/make-it-fail", "1"));
	for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
		set(memory[i], "task-filter", "Y");
	/* What is smaller comes out of pages, too. */
	set("failslab", "space", TIMES);
	snprintf(text, sizeof(text), "%u", pages);
	set("fail_page_alloc", "space", text);
	begin_by_chance(100);
}

unsigned int fail_end(void)
{
	unsigned int injected = 0;

	set_probability(0);
	for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
		injected += atoi(TIMES) - get(memory[i], "times");
		close(probabilities[i]);
	}
	return injected;
}

void fail_report(const char *what, unsigned int injected)
{
	if (!injected)
		fail("%s: nothing of it could be made to fail", what);
	report(what, injected, 0);
}
