/* SPDX-License-Identifier: MIT */
/*
 * The queues of the hostile program. Its threads use them without any order among them: what
 * one reads of a queue may be of the one that was there before.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <mytun.h>
#include <stdbool.h>

#include "random.h"

/* The interfaces of a round: one that has an honest queue, one that is all honest, and one
 * that is all hostile.
 */
#define SHARED	"shared0"
#define HONEST	"honest0"
#define HOSTILE "hostile0"

/* Addresses on the hostile interface. */
#define HOSTILE_HERE  "10.7.0.1"
#define HOSTILE_THERE "10.7.0.2"

#define QUEUES 5u

struct queue {
	unsigned int number;
	bool shared; /* of the shared interface: what it does must be its own business */
	int fd;
	bool ringed;
	struct mytun_rings g; /* when ringed */
	uint32_t tx; /* own position */
	uint8_t mac[6];
};

extern struct queue queues[QUEUES];

void queues_new(void);
/* Closes and unmaps what there is, and attaches anew; sets up rings as a rule. */
void queue_open(struct queue *q, struct rnd *r);
void queue_close(struct queue *q);
/* MYTUN_IOC_RINGS, and a mapping if there are any. */
void queue_rings(struct queue *q, struct rnd *r);
/* One of two mappings of the queue. */
char *queue_map(const struct queue *q, struct rnd *r);
void queue_map_anew(const struct queue *q, unsigned int which);
/* Carries nothing any more. */
bool queue_dead(const struct queue *q);

/* The parts of a mapping. */
struct mytun_end *rx_prod_of(const struct queue *q, char *map);
struct mytun_end *rx_cons_of(const struct queue *q, char *map);
struct mytun_end *tx_prod_of(const struct queue *q, char *map);
struct mytun_end *tx_cons_of(const struct queue *q, char *map);
struct mytun_rec *rx_rec_of(const struct queue *q, char *map, uint32_t pos);
struct mytun_rec *tx_rec_of(const struct queue *q, char *map, uint32_t pos);

#endif /* QUEUE_H */
