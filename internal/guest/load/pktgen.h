/* SPDX-License-Identifier: MIT */
/* The kernel's own packet generator: a thread on a CPU that feeds the interface's driver. */
#ifndef PKTGEN_H
#define PKTGEN_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PKTGEN_MAX = 2 /* threads */
};

/* What is sent, on TAP. The packets of each thread are numbered, from 0 on. */
struct pktgen {
	char name[16];
	int threads;
	uint64_t packets; /* of each thread, that the interface takes */
	unsigned int min, max; /* bytes of a frame */
	int queues; /* the thread's: so many in a row, one packet each by turns */
	bool sum; /* the UDP checksum is left to the driver */
};

/* Skips the test where there is none. */
void pktgen_begin(const struct pktgen *g);
/* Returns when all is sent; -1 when there is nothing to send. */
void pktgen_run(void);
/* Packets that a thread counted as taken, and as refused. */
void pktgen_result(const struct pktgen *g, int thread, uint64_t *taken, uint64_t *refused);
/* The thread that sent a frame, and its number; fails unless the frame is intact. */
uint32_t pktgen_check(const struct pktgen *g, const void *frame, uint32_t len, int *thread);

#endif /* PKTGEN_H */
