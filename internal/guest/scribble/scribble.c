// SPDX-License-Identifier: MIT
/*
 * A hostile program writes over every word of the memory that it shares with the kernel, with
 * values that are almost right, while packets flow, while it and its administrator call
 * whatever there is to call, and until it is killed. Nobody else may notice.
 *
 * LAB_SECONDS in the environment says how long, about; SEED repeats.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"
#include "check.h"
#include "clock.h"
#include "foreign.h"
#include "honest.h"
#include "hostile.h"
#include "iface.h"
#include "leak.h"
#include "queue.h"
#include "tally.h"

enum {
	SECONDS = 20,
	ROUND_MS = 4000,
	RAREST = 600, /* seconds more until all has been seen, where it is slow */
	PATIENCE = 60 /* seconds for what should end at once, times patience() */
};

static void show_stacks(pid_t pid)
{
	char command[128];

	snprintf(command, sizeof(command), "cat /proc/%d/task/*/stack | sed 's/^/# /'", pid);
	fflush(stdout);
	if (system(command))
		printf("# process %d is gone\n", pid);
	fflush(stdout);
}

/* Waits for a process, which must end; its status. */
static int ended(pid_t pid, const char *who)
{
	double end = now() + PATIENCE * patience();
	int status;

	while (must(waitpid(pid, &status, WNOHANG)) != pid) {
		if (now() > end) {
			show_stacks(pid);
			fail("%s does not end", who);
		}
		sleep_ms(5);
	}
	return status;
}

static void ended_well(pid_t pid, const char *who)
{
	int status = ended(pid, who);

	if (WIFSIGNALED(status))
		fail("%s died of signal %d", who, WTERMSIG(status));
	if (WEXITSTATUS(status))
		_exit(1); /* it said why */
}

struct round {
	uint64_t seed;
	struct rnd r;
	pid_t honest, hostile, traffic, admin;
};

/* Lets the hostile program go on, or kills it wherever it is, and starts another. */
static void trouble(struct round *rd)
{
	static uint64_t seed;
	double end = now() + ROUND_MS / 1000.0;
	int status;

	while (now() < end) {
		if (!rd->hostile) {
			seed = rd->seed ^ (uint64_t)rnd(&rd->r) << 16;
			rd->hostile = spawn(hostile, &seed);
		}
		sleep_ms(50 + below(&rd->r, 900));
		if (tally->found[0])
			fail("%s", tally->found);
		if (waitpid(rd->honest, &status, WNOHANG) == rd->honest)
			_exit(1); /* it said why */
		if (below(&rd->r, 3))
			continue;
		kill(rd->hostile, SIGKILL);
		ended(rd->hostile, "the hostile program, killed,");
		rd->hostile = 0;
		tally_add(KILLED, 1);
	}
}

/* What the hostile programs have left behind. */
static void reap_children(void)
{
	double end = now() + PATIENCE * patience();
	pid_t pid;

	/* Of this process group, which the honest program is not in. */
	while ((pid = waitpid(0, NULL, WNOHANG)) >= 0) {
		if (now() > end)
			fail("children of the hostile program do not end");
		if (!pid)
			sleep_ms(5);
	}
}

static void one_round(void *arg)
{
	struct round rd = { .seed = *(uint64_t *)arg };

	rd.r = rnd_new(rd.seed, 400);
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	netns_new();
	away_new();
	tally->stop = tally->quiet = tally->ready = false;
	rd.honest = spawn(honest, &rd.seed);
	must(setpgid(rd.honest, rd.honest));
	eventually(tally->ready);
	rd.traffic = spawn(send_and_capture, &rd.seed);
	rd.admin = spawn(administer, &rd.seed);
	trouble(&rd);

	__atomic_store_n(&tally->stop, true, __ATOMIC_RELEASE);
	if (rd.hostile)
		ended(rd.hostile, "the hostile program");
	ended_well(rd.admin, "the administrator");
	ended_well(rd.traffic, "the traffic");
	reap_children();
	hostile_delete(); /* if it is persistent */
	eventually(!iface_exists(HOSTILE));
	__atomic_store_n(&tally->quiet, true, __ATOMIC_RELEASE);
	ended_well(rd.honest, "the honest program");
	if (tally->found[0])
		fail("%s", tally->found);
}

static bool all_counted(void)
{
	for (int i = 0; i < COUNTS; i++)
		if (!tally->count[i])
			return false;
	return true;
}

static void rounds(uint64_t *seed, double end)
{
	do {
		pid_t pid;

		printf("# SEED=%llu\n", (unsigned long long)*seed);
		fflush(stdout);
		pid = spawn(one_round, seed);
		/* What it waits for has a limit itself. */
		spawn_wait(pid);
		*seed += 1;
	} while (now() < end);
}

/* On kernels that can tell. */
static void expect_no_leak_is_reported(void)
{
	const char *path = "/sys/kernel/debug/kmemleak";

	/* Twice: what moves while it is looked for seems lost. */
	for (int i = 0; i < 2; i++)
		if (write_file(path, "scan"))
			return;
	if (strstr(read_file(path), "mytun"))
		fail("kmemleak: %s", read_file(path));
}

TEST_WITHIN(1000000, a_program_that_writes_over_all_that_it_shares_harms_nobody)
{
	const char *env_seed = getenv("SEED");
	uint64_t seed = env_seed ? strtoull(env_seed, NULL, 0) : (uint64_t)time(NULL);
	double seconds = lab_seconds(SECONDS);
	struct leak_figures before, after;
	uint64_t made;
	double end;

	foreign_expect_poison();
	tally_new();
	/* The first quarter fills caches that then stay; where rounds are few, more. */
	rounds(&seed, now() + (slow() ? seconds : seconds / 4) - ROUND_MS / 1000.0);
	leak_settle();
	before = leak_figures();
	made = tally->count[RINGS_MADE];
	end = now() + seconds * 3 / 4 - ROUND_MS / 1000.0;
	rounds(&seed, end);
	/* The slowest kernels come to the rarest things later. */
	while (!all_counted() && now() < end + (slow() ? RAREST : 5 * seconds))
		rounds(&seed, 0);
	leak_settle();
	after = leak_figures();
	tally_print();
	/* Who does nothing harms nobody. */
	expect(all_counted());
	expect_no_leak_is_reported();
	/* A round leaves caches as it finds them, more or less. */
	leak_compare(&before, &after, 350 + (tally->count[RINGS_MADE] - made) / 8);
}
