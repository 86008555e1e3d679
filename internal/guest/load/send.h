/* SPDX-License-Identifier: MIT */
/* Threads of the test's host that send packets out of the interface, each some of the flows. */
#ifndef SEND_H
#define SEND_H

#include <pthread.h>

#include "stamp.h"

enum {
	SENDERS = 2
};

struct sender {
	pthread_t thread;
	struct senders *all;
	uint32_t first;
	uint64_t sent; /* handed to the interface, one by one */
	uint64_t refused; /* of these, those that it did not take */
};

struct senders {
	const struct stamps *stamps;
	char name[16];
	uint32_t packets; /* numbers below this, unless stopped before */
	uint32_t len; /* of IP; 0: any that the MTU allows */
	uint32_t mtu; /* may change meanwhile */
	bool stop;
	struct sender of[SENDERS];
};

void senders_begin(struct senders *s);
/* Waits; what all of them sent and were refused. */
void senders_end(struct senders *s, uint64_t *sent, uint64_t *refused);

#endif /* SEND_H */
