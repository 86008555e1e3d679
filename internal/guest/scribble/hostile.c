// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "hostile.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "calls.h"
#include "check.h"
#include "packets.h"
#include "tally.h"
#include "words.h"

struct thread {
	pthread_t id;
	struct rnd r;
	void (*turn)(struct queue *q, struct rnd *r);
};

static void scribble_many(struct queue *q, struct rnd *r)
{
	for (int i = 0; i < 32; i++)
		scribble(q, r);
	if (below(r, 8) == 0)
		search_mapping(q, r);
}

static void carry(struct queue *q, struct rnd *r)
{
	send_some(q, r);
	take_some(q, r);
	if (!q->ringed) {
		read_some(q, r);
		write_some(q, r);
	}
}

/* A child has the mappings too, and goes on for a while when its parent is gone. */
static void child(struct queue *q, struct rnd *r)
{
	if (fork())
		return;
	for (int i = 0; i < 300 && !stopped(); i++) {
		scribble(&queues[below(r, QUEUES)], r);
		scribble(q, r);
		if (i % 20 == 0)
			send_some(q, r);
	}
	_exit(0);
}

static void change(struct queue *q, struct rnd *r)
{
	static __thread unsigned int children;

	if (below(r, 2))
		call(q, r);
	else
		remap(q, r);
	if (below(r, 100) == 0) {
		child(q, r);
		children++;
	}
	while (children && waitpid(-1, NULL, WNOHANG) > 0)
		children--;
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;

	/* Two processors are shared by all: nobody may keep one for long. */
	for (unsigned int i = 1; !stopped(); i++) {
		t->turn(&queues[below(&t->r, QUEUES)], &t->r);
		if (i % 64 == 0)
			sleep_ms(1);
	}
	return NULL;
}

void hostile(void *arg)
{
	static struct thread threads[] = {
		{ .turn = scribble_many },
		{ .turn = carry },
		{ .turn = carry },
		{ .turn = change },
	};
	uint64_t seed = *(uint64_t *)arg;
	struct rnd r = rnd_new(seed, 0);

	close_why(); /* it may have written over what it believes */
	signal(SIGIO, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	address_new();
	queues_new();
	for (unsigned int i = 0; i < QUEUES; i++)
		queue_open(&queues[i], &r);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++) {
		threads[i].r = rnd_new(seed, i + 1);
		pthread_create(&threads[i].id, NULL, run_thread, &threads[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i].id, NULL);
	_exit(0);
}
