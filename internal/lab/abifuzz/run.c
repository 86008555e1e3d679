// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "run.h"

#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "world.h"

/* A thread beside the program's own, and the calls that it still has to make. */
static struct helper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	const struct call *todo[CALLS_MAX];
	size_t n, done;
} helpers[HELPERS_MAX];

static timer_t ticks;

/* A mapping that ends, or never was for writing, ends the call and not the fuzzer. */
static __thread sigjmp_buf out_of_call;
static __thread volatile sig_atomic_t in_call;

static void on_fault(int sig)
{
	if (in_call)
		siglongjmp(out_of_call, 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void on_tick(int sig)
{
	(void)sig;
}

static void fail_nth(unsigned int n)
{
	static __thread int fd;
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (!fd)
		fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return; /* nothing fails on this kernel */
	/* What fails may be this very call. */
	while (pwrite(fd, text, len, 0) < 0)
		if (errno != EFAULT)
			fail("fail-nth: %s", strerrorname(errno));
}

void nothing_fails(void)
{
	fail_nth(0);
}

static void run_call(const struct call *c)
{
	if (!sigsetjmp(out_of_call, 1)) {
		in_call = 1;
		if (c->fail)
			fail_nth(c->fail);
		ops[c->op].run(c->arg);
	}
	in_call = 0;
	if (c->fail)
		fail_nth(0);
}

static void *help(void *arg)
{
	struct helper *h = arg;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		while (h->done == h->n)
			pthread_cond_wait(&h->change, &h->lock);
		pthread_mutex_unlock(&h->lock);
		run_call(h->todo[h->done]);
		pthread_mutex_lock(&h->lock);
		h->done++;
		pthread_cond_broadcast(&h->change);
	}
	return NULL;
}

static void help_with(struct helper *h, const struct call *c)
{
	pthread_mutex_lock(&h->lock);
	h->todo[h->n++] = c;
	pthread_cond_broadcast(&h->change);
	pthread_mutex_unlock(&h->lock);
}

/* Whoever sleeps in a call is woken by a signal, which ends read(2) and its like. */
static void wait_for(struct helper *h)
{
	struct timespec until;

	pthread_mutex_lock(&h->lock);
	while (h->done < h->n) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 10000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		if (pthread_cond_timedwait(&h->change, &h->lock, &until) == ETIMEDOUT)
			pthread_kill(h->thread, SIGUSR1);
	}
	h->n = h->done = 0;
	pthread_mutex_unlock(&h->lock);
}

/* The same for the own thread, while a program runs. */
static void tick(bool on)
{
	struct itimerspec often = { { 0, 20000000 }, { 0, 50000000 } };
	struct itimerspec never = {};

	must(timer_settime(ticks, 0, on ? &often : &never, NULL));
}

void run_program(const struct program *p)
{
	tick(true);
	for (const struct call *c = p->call; c < p->call + p->n; c++) {
		if (c->helper)
			help_with(&helpers[c->helper - 1], c);
		else
			run_call(c);
	}
	for (int i = 0; i < HELPERS_MAX; i++)
		wait_for(&helpers[i]);
	tick(false);
	world_clear();
}

/* Of all kinds of faults that the kernel can be made to have. */
static void faults_set(const char *name, const char *value)
{
	char pattern[128];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/fail*/%s", name);
	if (glob(pattern, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		must(write_file(found.gl_pathv[i], value));
	globfree(&found);
}

bool run_faults(void)
{
	faults_set("ignore-gfp-wait", "N"); /* or few allocations would fail */
	faults_set("min-order", "0");
	faults_set("verbose", "0"); /* or each would look like a complaint */
	return !access("/proc/self/fail-nth", W_OK);
}

void run_begin(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	struct sigaction interrupt = { .sa_handler = on_tick };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &interrupt, NULL);
	signal(SIGIO, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	event._sigev_un._tid = syscall(SYS_gettid);
	must(timer_create(CLOCK_MONOTONIC, &event, &ticks));
	for (struct helper *h = helpers; h < helpers + HELPERS_MAX; h++) {
		pthread_mutex_init(&h->lock, NULL);
		pthread_cond_init(&h->change, NULL);
		if (pthread_create(&h->thread, NULL, help, h))
			fail("pthread_create");
	}
}
