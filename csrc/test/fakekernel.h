/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for the module: the kernel's two ends of the rings, in user space,
 * over a memfd that is laid out and mapped as the module does it.
 *
 * The file holds, in this order: the four pages of the ends (rx_cons, tx_prod,
 * rx_prod, tx_cons), rx_size bytes, tx_size bytes. In the mapping each data area
 * is there twice in a row.
 */
#ifndef TEST_FAKEKERNEL_H
#define TEST_FAKEKERNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../libmytun.h"

/* Offsets and map_size for the sizes that are set in rings. */
void fake_layout(struct mytun_rings *rings);

/* A new file for these rings; all positions are pos. -errno on failure. */
int fake_create(const struct mytun_rings *rings, uint32_t pos);

/* Maps such a file; NULL on failure. Undone by munmap of map_size bytes. */
void *fake_map(int fd, const struct mytun_rings *rings);

/*
 * Kernel's ends. Positions are its own: what the program can write is loaded once
 * and never believed.
 */
struct fake_kernel {
	struct mytun_rings rings;
	unsigned char *map;

	pthread_mutex_t rx_lock;
	struct mytun_end *rx_prod;
	struct mytun_end *rx_cons;
	uint32_t rx_pos;

	struct mytun_end *tx_prod;
	struct mytun_end *tx_cons;
	uint32_t tx_pos;
	uint32_t tx_told;
};

void fake_kernel_init(struct fake_kernel *k, void *map,
		      const struct mytun_rings *rings);

/*
 * RX. Reserve shows the program a record that is still busy; NULL when it does not
 * fit. Several threads may do it. Commit completes the record, in any order, and
 * returns whether the program must be woken. pos is the record's position.
 */
struct mytun_rec *fake_rx_reserve(struct fake_kernel *k, uint32_t len,
				  uint32_t *pos);
bool fake_rx_commit(struct fake_kernel *k, struct mytun_rec *rec, uint32_t pos);

/*
 * Backpressure: the ring is full enough. Asks to be told when half of it is free, and
 * returns whether it is not yet.
 */
bool fake_rx_stop(struct fake_kernel *k);

/* A whole packet at once: -1 no room, else whether the program must be woken. */
int fake_rx_put(struct fake_kernel *k, const void *packet, uint32_t len);

/*
 * TX. Next copies the header of the next record, which must be one, and returns
 * where its packet lies, or NULL. Consume publishes what next went over, and
 * returns whether the program must be woken. Arm asks for a doorbell and returns
 * whether the ring is still empty.
 */
const unsigned char *fake_tx_next(struct fake_kernel *k, struct mytun_rec *rec);
bool fake_tx_consume(struct fake_kernel *k);
bool fake_tx_arm(struct fake_kernel *k);

/* Whether the program's TX position is not more than a ring ahead. */
bool fake_tx_sane(const struct fake_kernel *k);

#endif /* TEST_FAKEKERNEL_H */
