// SPDX-License-Identifier: MIT
/* A queue from open to close. */
#include <string.h>

#include "libmytun.h"

int mytun_queue_map(struct mytun_queue *q, int fd,
		    const struct mytun_rings *rings)
{
	struct mytun_mode mode;
	int err;

	memset(q, 0, sizeof(*q));
	err = mytun_map(fd, rings->map_size, &q->map);
	if (err)
		return err;
	q->fd = fd;
	q->map_size = rings->map_size;
	mytun_rx_init(&q->rx, q->map, rings);
	mytun_tx_init(&q->tx, q->map, rings);
	/* Perhaps set by who opened it. A module without modes has none that is on. */
	if (!mytun_get_mode(fd, &mode))
		q->rx.backpressure = mode.flags & MYTUN_MODE_F_BACKPRESSURE;
	return 0;
}

int mytun_queue_set_mode(struct mytun_queue *q, uint32_t flags, uint32_t inject)
{
	struct mytun_mode mode;
	int err;

	memset(&mode, 0, sizeof(mode));
	mode.flags = flags;
	mode.inject = inject;
	err = mytun_set_mode(q->fd, &mode);
	/* Nothing was released since: that is done by the thread that calls. */
	if (!err)
		q->rx.backpressure = flags & MYTUN_MODE_F_BACKPRESSURE;
	return err;
}

static int queue_setup(struct mytun_queue *q, int fd,
		       char name[MYTUN_NAME_SIZE], uint16_t flags,
		       struct mytun_rings *rings)
{
	int err;

	rings->flags |= MYTUN_RINGS_F_EVENT_IDX;
	if (!rings->rx_size)
		rings->rx_size = MYTUN_RX_SIZE_DEFAULT;
	if (!rings->tx_size)
		rings->tx_size = MYTUN_TX_SIZE_DEFAULT;

	err = mytun_attach(fd, name, flags);
	if (!err)
		err = mytun_set_rings(fd, rings);
	if (!err)
		err = mytun_queue_map(q, fd, rings);
	return err;
}

int mytun_queue_open(struct mytun_queue *q, const char *path,
		     char name[MYTUN_NAME_SIZE], uint16_t flags,
		     struct mytun_rings *rings)
{
	int fd = mytun_open(path);
	int err;

	if (fd < 0)
		return fd;
	err = queue_setup(q, fd, name, flags, rings);
	if (err)
		mytun_close(fd);
	return err;
}

void mytun_queue_close(struct mytun_queue *q)
{
	/*
	 * Another mapping of this file, of a forked child say, would keep the
	 * queue attached. That it is detached already is no error here.
	 */
	mytun_detach(q->fd);
	mytun_unmap(q->map, q->map_size);
	mytun_close(q->fd);
	memset(q, 0, sizeof(*q));
	q->fd = -1;
}
