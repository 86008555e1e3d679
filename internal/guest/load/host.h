/* SPDX-License-Identifier: MIT */
/* The socket of the test's host to which all comes back, and who reads it. */
#ifndef HOST_H
#define HOST_H

#include <pthread.h>
#include <stdbool.h>

#include "stamp.h"

struct host {
	pthread_t thread;
	int fd;
	struct book book;
	bool stop;
};

/* With a book for what comes. */
void host_begin(struct host *h);
/* When all @packets are there; how many of them found the socket's buffer full. */
uint64_t host_end(struct host *h, uint64_t packets);

#endif /* HOST_H */
