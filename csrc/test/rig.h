/* SPDX-License-Identifier: MIT */
/* One queue whose kernel is a fake, in one process. */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include "fakekernel.h"

struct rig {
	int fd;
	struct mytun_rings rings;
	struct fake_kernel kernel;
	struct mytun_queue queue;
};

/* Rings of these sizes with all positions at pos. False: test failed already. */
bool rig_open(struct rig *rig, uint32_t rx_size, uint32_t tx_size, uint32_t pos);

/* The same, with room around each RX packet. */
bool rig_open_rooms(struct rig *rig, uint32_t rx_size, uint32_t tx_size,
		    uint32_t pos, uint16_t headroom, uint16_t tailroom);

void rig_close(struct rig *rig);

#endif /* TEST_RIG_H */
