/* SPDX-License-Identifier: MIT */
/* System calls at the wrong moment, and changes of the address space under the kernel. */
#ifndef CALLS_H
#define CALLS_H

#include "queue.h"

/* Some call on a queue's file. */
void call(struct queue *q, struct rnd *r);
/* Some change of its mappings. */
void remap(struct queue *q, struct rnd *r);

#endif /* CALLS_H */
