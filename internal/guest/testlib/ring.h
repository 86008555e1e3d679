/* SPDX-License-Identifier: MIT */
/* The program's ends of the rings, written from uapi/mytun.h alone. */
#ifndef RING_H
#define RING_H

#include <mytun.h>
#include <stddef.h>
#include <stdint.h>

#include "tun.h"

struct ring {
	int fd;
	struct mytun_rings g;
	char *map;
	struct mytun_end *rx_prod, *rx_cons, *tx_prod, *tx_cons;
	char *rx_data, *tx_data;
	uint32_t rx; /* own position: what lies before is given back */
	uint32_t tx; /* own position: what lies before is published or will be */
};

/* Arguments of MYTUN_IOC_RINGS: small rings, no flags, no room. */
struct mytun_rings ring_args(uint32_t size);
/* Sets up and maps. */
struct ring ring_new(int fd, struct mytun_rings args);
struct ring ring_small(int fd);
/* Only maps; what mmap returned, and the pointers if it was not MAP_FAILED. */
void *ring_map(struct ring *r);
void ring_unmap(struct ring *r);

/* The next RX record, or NULL; it stays until ring_rx_done(). */
struct mytun_rec *ring_rx(struct ring *r);
void ring_rx_done(struct ring *r);
/* The same, after waiting with poll(2); fails when none comes. */
struct mytun_rec *ring_rx_wait(struct ring *r);
/* Gives back what is there; how many records that were. */
unsigned int ring_rx_drain(struct ring *r);
static inline void *rec_packet(struct mytun_rec *rec)
{
	return (char *)rec + rec->off;
}

uint32_t ring_tx_room(const struct ring *r);
/* Writes a record, not yet published, with room for a packet of @len bytes. */
struct mytun_rec *ring_tx(struct ring *r, uint32_t len);
struct mytun_rec *ring_tx_packet(struct ring *r, const void *packet, uint32_t len);
void ring_tx_publish(struct ring *r);
/* Publishes, rings whether needed or not, and waits until all is consumed. */
void ring_tx_flush(struct ring *r);
int ring_doorbell(const struct ring *r);
/* Rings until the doorbell says that the ring is faulted: softirqs, which find the lie, may have
 * been left to their thread.
 */
void ring_expect_fault(const struct ring *r);

uint32_t load_acquire(const uint32_t *p);
void store_release(uint32_t *p, uint32_t v);
void full_barrier(void);

#endif /* RING_H */
