// SPDX-License-Identifier: MIT
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"
#include "tap.h"

static bool rig_map(struct rig *rig)
{
	void *map = fake_map(rig->fd, &rig->rings);

	if (!map)
		return false;
	fake_kernel_init(&rig->kernel, map, &rig->rings);
	rig->queue.fd = -1;
	rig->queue.map = map;
	rig->queue.map_size = rig->rings.map_size;
	mytun_rx_init(&rig->queue.rx, map, &rig->rings);
	mytun_tx_init(&rig->queue.tx, map, &rig->rings);
	return true;
}

bool rig_open_rooms(struct rig *rig, uint32_t rx_size, uint32_t tx_size,
		    uint32_t pos, uint16_t headroom, uint16_t tailroom)
{
	memset(rig, 0, sizeof(*rig));
	rig->rings.rx_size = rx_size;
	rig->rings.tx_size = tx_size;
	rig->rings.rx_headroom = headroom;
	rig->rings.rx_tailroom = tailroom;
	fake_layout(&rig->rings);
	rig->fd = fake_create(&rig->rings, pos);
	if (rig->fd >= 0 && rig_map(rig))
		return true;
	tap_fail(__FILE__, __LINE__, "no memory for the rings");
	return false;
}

bool rig_open(struct rig *rig, uint32_t rx_size, uint32_t tx_size, uint32_t pos)
{
	return rig_open_rooms(rig, rx_size, tx_size, pos, 0, 0);
}

void rig_close(struct rig *rig)
{
	munmap(rig->queue.map, rig->queue.map_size);
	close(rig->fd);
}
