/* SPDX-License-Identifier: MIT */
/* Threads of the program, which read the rings of some queues each, and may send back packets. */
#ifndef READ_H
#define READ_H

#include <pthread.h>
#include <stdint.h>

#include "ring.h"
#include "stamp.h"

enum {
	READERS = 4
};

struct readers;

struct reader {
	pthread_t thread;
	struct readers *all;
	int first; /* reads this queue, and each READERS further on */
	uint64_t sent;
};

struct readers {
	struct ring *rings;
	int queues;
	bool back; /* send each packet back on its queue, if the ring is long enough */
	unsigned int sleep; /* microseconds after each batch: a slow program */
	bool (*until)(const struct readers *all); /* reads nothing before that is so: a late one */
	unsigned int nap; /* microseconds when there is nothing, in place of poll(2) */
	/* Verifies a packet that came on @queue; its number. */
	uint32_t (*take)(struct readers *all, int queue, const void *frame, uint32_t len);
	const struct stamps *stamps;
	struct book *book;
	bool stop;
	struct reader of[READERS];
};

/* until() a ring has lost a packet. */
bool readers_lost_some(const struct readers *all);

/* take() for packets that are stamped. */
uint32_t take_stamped(struct readers *all, int queue, const void *frame, uint32_t len);

void readers_begin(struct readers *r);
/* When all senders are done: reads the rings to their ends. What was sent back. */
uint64_t readers_end(struct readers *r);

/* The same for one ring, by whoever calls it; @sent grows by what was sent back. */
unsigned int read_ring(struct readers *all, int queue, unsigned int most, uint64_t *sent);

#endif /* READ_H */
