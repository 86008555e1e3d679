/* SPDX-License-Identifier: MIT */
/* Words of shared memory that are written over. */
#ifndef WORDS_H
#define WORDS_H

#include "queue.h"

/* One word of a queue, of any kind, by any way that there is to write. */
void scribble(const struct queue *q, struct rnd *r);

#endif /* WORDS_H */
