// SPDX-License-Identifier: MIT
/*
 * Fuzzing of the module's ABI, guided by what of its code is reached: a program that comes to
 * a new place is kept, and those that are kept are changed. A kernel with sanitizers is
 * the judge.
 *
 *	LAB_SECONDS	how long; 20. What was kept is saved in as much again at the most
 *	LAB_EXECUTIONS	the same by count; without a limit
 *	LAB_SEED	of the random numbers, to repeat a run, which prints it; the time
 *	LAB_CORPUS	directory of programs to begin with; /test/corpus/abifuzz
 *	LAB_BLIND	1: keep nothing, to see what guidance is worth
 *	LAB_SAVE	directory for what was kept, and for what crashed; /out/abifuzz. "-": none
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "corpus.h"
#include "reach.h"
#include "run.h"
#include "world.h"

/* A fuzzer that does not come to the next program for so long hangs in the kernel. */
#define STALL_SECONDS 120
/* And one of so long is worth a look. */
#define LONG_SECONDS 10
/* A program of more calls is shortened at once. */
#define CALLS_LONG 24

/* What the watching process sees of the fuzzing one. */
static struct shared {
	volatile unsigned long executions;
	char doing[TEXT_MAX];
} * shared;

static int kernel_log = -1;
static bool fails; /* calls can be made to */

static const char *setting(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

static const char *save_dir(void)
{
	return setting("LAB_SAVE", "/out/abifuzz");
}

static bool saves(void)
{
	return strcmp(save_dir(), "-");
}

static void show_program(void)
{
	const char *line = shared->doing;

	printf("# the program:\n");
	while (*line) {
		size_t n = strcspn(line, "\n");

		printf("#   %.*s\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
	fflush(stdout);
}

static void save_crash(const struct program *p)
{
	char name[64];

	snprintf(name, sizeof(name), "crash-%lu", shared->executions);
	if (saves())
		corpus_write(save_dir(), name, p);
}

/* What the core says when it has no memory: for a page of the program's, for the list of an
 * object's users.
 */
static bool of_the_cores(const char *text)
{
	return strstr(text, "VM_FAULT_OOM leaked out to the #PF handler") ||
	       strstr(text, "unreliable refcount tracker");
}

/* Looks at what the kernel has said since the last time. */
static void kernel_content(const struct program *p)
{
	static const char *const complaints[] = {
		"BUG",
		"WARNING:",
		"KASAN:",
		"UBSAN:",
		"ODEBUG:",
		"KCSAN:",
		"INFO:",
		"refcount",
		"possible circular",
		"possible recursive",
		"possible irq",
		"suspicious RCU",
		"leaked",
		"cannot create duplicate",
		"Oops",
		"corruption",
	};
	char line[8192];
	ssize_t n;

	while ((n = read(kernel_log, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		const char *text;

		if (n <= 0)
			continue;
		line[n] = '\0';
		text = strchr(line, ';');
		if (!text || line[0] > '6') /* debugging */
			continue;
		if (of_the_cores(text))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(complaints); i++) {
			if (!strstr(text, complaints[i]))
				continue;
			save_crash(p);
			fail("after %lu programs the kernel says%.*s", shared->executions,
			     (int)strcspn(text, "\n"), text);
		}
	}
}

static void run(const struct program *p, struct seen *seen)
{
	double begun;

	/* One that is too long to be told is too long to be of use. */
	if (!program_write(p, shared->doing)) {
		memset(seen, 0, sizeof(*seen));
		return;
	}
	reach_say(shared->doing);
	reach_reset();
	begun = now();
	run_program(p);
	if (now() > begun + LONG_SECONDS) {
		printf("# %.0f s is long for\n", now() - begun);
		show_program();
	}
	reach_seen(seen);
	shared->executions++;
	kernel_content(p);
}

static bool still(const struct program *p, const struct seen *want)
{
	static struct seen seen;

	run(p, &seen);
	return seen_all_of(&seen, want);
}

/* Without the end that the new places do not need: a few runs, where each call's turn would take
 * many and find nothing.
 */
static void shorten(struct program *p, const struct seen *want)
{
	for (size_t step = p->n / 2; step; step /= 2) {
		struct program shorter = *p;

		shorter.n -= step;
		if (still(&shorter, want))
			*p = shorter;
	}
}

/* Without any call, thread and failure that is not needed. */
static void minimise(struct program *p, const struct seen *want)
{
	for (size_t i = p->n; i-- > 0 && p->n > 1;) {
		struct program shorter = *p;

		program_remove(&shorter, i);
		if (still(&shorter, want))
			*p = shorter;
	}
	for (size_t i = 0; i < p->n; i++) {
		struct program plain = *p;

		if (!p->call[i].helper && !p->call[i].fail)
			continue;
		plain.call[i].helper = 0;
		plain.call[i].fail = 0;
		if (still(&plain, want))
			*p = plain;
	}
}

/* Runs it, and keeps it if it comes to a new place each time. How many places are new. */
static size_t consider(struct corpus *c, const struct program *p)
{
	static struct seen first, again;
	struct program kept = *p;
	size_t blocks;

	run(p, &first);
	if (!seen_new(&first, &c->seen))
		return 0;
	seen_without(&first, &c->seen);
	run(p, &again);
	seen_both(&again, &first);
	/* What comes and goes with the moment is known from here on, and kept by nobody. */
	blocks = seen_blocks(&c->seen);
	seen_add(&c->seen, &first);
	blocks = seen_blocks(&c->seen) - blocks;
	if (!seen_blocks(&again))
		return blocks;
	/* Known blocks in other numbers are not worth it, and new ones only of what is long. */
	if (blocks && kept.n > CALLS_LONG)
		shorten(&kept, &again);
	corpus_add(c, &kept);
	return blocks;
}

static void consider_each(const struct program *p, void *c)
{
	consider(c, p);
}

/*
 * What a way to make programs has been worth of late: new places for each run. In the beginning
 * that is making them from nothing, and changing those that are kept when that finds no more.
 */
struct way {
	double runs, found;
};

static double worth(const struct way *w)
{
	return (w->found + 1) / (w->runs + 100);
}

static void way_was(struct way *w, unsigned long runs, size_t found)
{
	w->runs += runs;
	w->found += found;
	if (w->runs > 1000) {
		w->runs /= 2;
		w->found /= 2;
	}
}

/* In proportion, but each at least one time in eight. */
static bool way_is_second(const struct way *ways, struct random *r)
{
	double second = worth(&ways[1]) / (worth(&ways[0]) + worth(&ways[1]));
	uint32_t of_64 = second * 64;

	return random_below(r, 64) < (of_64 < 8 ? 8 : of_64 > 56 ? 56
								 : of_64);
}

/* One of those that are kept, of the newest more often than of the others. */
static const struct program *choose(const struct corpus *c, struct random *r)
{
	size_t n = random_below(r, 2) ? c->n : (c->n + 3) / 4;

	return &c->programs[c->n - 1 - random_below(r, n)];
}

/* A short way to all blocks that are not @known, more or less: the last ones found go furthest. */
static void save(const struct corpus *c, const struct seen *known, double end)
{
	static struct seen all, seen, again;
	size_t saved = 0;

	for (size_t b = 0; b < BLOCKS; b++)
		all.how[b] = !!known->how[b];
	for (size_t i = c->n; i-- > 0 && now() < end;) {
		struct program p = c->programs[i];
		char name[32];

		run(&p, &seen);
		run(&p, &again);
		for (size_t b = 0; b < BLOCKS; b++)
			seen.how[b] = seen.how[b] && again.how[b];
		seen_without(&seen, &all);
		if (!seen_blocks(&seen))
			continue;
		seen_add(&all, &seen);
		/* However often: it is the way that counts now. */
		minimise(&p, &seen);
		snprintf(name, sizeof(name), "%04zu", saved++);
		corpus_write(save_dir(), name, &p);
	}
}

static void report(const struct corpus *c, double seconds)
{
	printf("# %.0f s: %lu executions, %.0f a second, %zu blocks, %zu programs kept\n", seconds,
	       shared->executions, shared->executions / seconds, seen_blocks(&c->seen), c->n);
	fflush(stdout);
}

static void begin(void)
{
	world_begin();
	kernel_log = must(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	must(lseek(kernel_log, 0, SEEK_END));
}

static void fuzz(void *arg)
{
	unsigned int seconds = lab_seconds(20);
	unsigned long replayed;
	double start = now(), told, end;
	uint64_t seed = strtoull(setting("LAB_SEED", "0"), NULL, 0) ?: (uint64_t)time(NULL);
	struct random r = { seed * 0x9e3779b97f4a7c15ULL + 1 };
	unsigned long executions = strtoul(setting("LAB_EXECUTIONS", "-1"), NULL, 0);
	bool blind = atoi(setting("LAB_BLIND", "0"));
	struct way ways[2] = {}; /* from nothing; from what is kept */
	static struct seen known; /* by the programs that it begins with */
	static struct corpus c;

	(void)arg;
	printf("# LAB_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	begin();
	run_begin();
	corpus_read(setting("LAB_CORPUS", "/test/corpus/abifuzz"), consider_each, &c);
	known = c.seen;
	report(&c, now() - start);
	replayed = shared->executions;
	told = now();
	end = told + seconds;
	while (now() < end && shared->executions < executions) {
		unsigned long before = shared->executions;
		bool changed = !blind && c.n && way_is_second(ways, &r);
		struct program p;

		if (changed) {
			p = *choose(&c, &r);
			program_mutate(&p, choose(&c, &r), &r, fails);
		} else {
			program_generate(&p, &r, fails);
		}
		if (blind) {
			static struct seen seen;

			run(&p, &seen);
			seen_add(&c.seen, &seen);
		} else {
			size_t found = consider(&c, &p);

			way_was(&ways[changed], shared->executions - before, found);
		}
		if (now() > told + 10) {
			told = now();
			report(&c, told - start);
		}
	}
	report(&c, now() - start);
	if (saves())
		save(&c, &known, now() + seconds);
	if (shared->executions - replayed < 50)
		fail("%lu programs of its own are none", shared->executions - replayed);
	if (seen_blocks(&c.seen) < 500)
		fail("%zu blocks are not the module", seen_blocks(&c.seen));
}

static void replay_each(const struct program *p, void *arg)
{
	static struct seen seen;

	(void)arg;
	/* What goes wrong sometimes shall have its chance. */
	for (int i = 0; i < 3; i++)
		run(p, &seen);
}

static void replay(void *arg)
{
	const char *dir = setting("LAB_CORPUS", "/test/corpus/abifuzz");

	(void)arg;
	begin();
	run_begin();
	if (!corpus_read(dir, replay_each, NULL))
		fail("there are no programs in %s", dir);
}

#define MODPROBE "/proc/sys/kernel/modprobe"

/* Watches the process of @work: it may die of what it finds, or never come back. */
static void watch_process(void *work)
{
	unsigned long last = 0;
	pid_t pid = spawn(work, NULL);
	double moved = now();
	char stack[64];
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (shared->executions != last) {
			last = shared->executions;
			moved = now();
		} else if (now() > moved + STALL_SECONDS) {
			show_program();
			snprintf(stack, sizeof(stack), "/proc/%d/stack", pid);
			fail("no end of the program after %d s: %s", STALL_SECONDS,
			     read_file(stack));
		}
		sleep_ms(100);
	}
	if (WIFSIGNALED(status)) {
		show_program();
		fail("the fuzzer died of signal %d", WTERMSIG(status));
	}
	if (WEXITSTATUS(status)) {
		show_program();
		_exit(1); /* it said why */
	}
}

static void watch(void (*work)(void *arg))
{
	char modprobe[256];
	pid_t watcher;
	int status;

	if (!reach_map())
		fail("the module was not built to tell what is reached (vm's -reach)");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	expect(shared != MAP_FAILED);
	fails = run_faults();
	/* Each interface that is not there is asked for as a module, by a process. */
	snprintf(modprobe, sizeof(modprobe), "%s", read_file(MODPROBE));
	must(write_file(MODPROBE, "\n"));
	watcher = spawn(watch_process, work);
	must(waitpid(watcher, &status, 0));
	must(write_file(MODPROBE, modprobe));
	if (status)
		_exit(1); /* it said why */
}

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

/* Memory that nobody knows of any more, where the kernel looks for it. */
static void nothing_leaked(void)
{
	if (access(KMEMLEAK, W_OK))
		return;
	/* What is younger than 5 s is not a leak yet, and one scan may be misled. */
	for (int i = 0; i < 2; i++) {
		sleep_ms(6000);
		must(write_file(KMEMLEAK, "scan"));
	}
	if (*read_file(KMEMLEAK))
		fail("memory is leaked: %.300s", read_file(KMEMLEAK));
}

TEST_WITHIN(3600, corpus_runs_without_complaint)
{
	watch(replay);
}

TEST_WITHIN(100000, no_program_harms_the_kernel)
{
	watch(fuzz);
	nothing_leaked();
}
