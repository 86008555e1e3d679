/* SPDX-License-Identifier: MIT */
/* Failures for what a workqueue does: whichever of the kernel's unbound workers will do it. */
#ifndef WORKERS_H
#define WORKERS_H

#include <sys/types.h>

struct workers {
	const char *queue; /* its name */
	unsigned int n;
	struct {
		pid_t pid;
		int fd; /* its fail-nth */
	} each[64];
};

enum workers_end {
	WORKERS_UNHARMED, /* there were not so many allocations */
	WORKERS_FAILED,
	WORKERS_NEW /* it may have been done by one who did not yet exist */
};

void workers_arm(struct workers *w, unsigned int nth);
/* After the work has begun: waits for its end. */
enum workers_end workers_disarm(struct workers *w);

#endif /* WORKERS_H */
