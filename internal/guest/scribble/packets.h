/* SPDX-License-Identifier: MIT */
/* What the hostile program sends and takes. */
#ifndef PACKETS_H
#define PACKETS_H

#include "queue.h"

/* Some records into the TX ring, and a doorbell as a rule. */
void send_some(struct queue *q, struct rnd *r);
/* Gives back what there is in the RX ring, after a search for foreign bytes. */
void take_some(struct queue *q, struct rnd *r);
/* The same by read(2) and write(2), in a mode that only the kernel knows. */
void read_some(struct queue *q, struct rnd *r);
void write_some(struct queue *q, struct rnd *r);
/* Searches all that is mapped. */
void search_mapping(struct queue *q, struct rnd *r);

#endif /* PACKETS_H */
