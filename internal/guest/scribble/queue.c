// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "queue.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "tally.h"
#include "tun.h"

struct queue queues[QUEUES];

void queues_new(void)
{
	for (unsigned int i = 0; i < QUEUES; i++)
		queues[i] = (struct queue){ .number = i, .shared = i < 2, .fd = -1 };
}

void queue_close(struct queue *q)
{
	int fd = q->fd;

	q->fd = -1;
	q->ringed = false;
	place_clear(2 * q->number);
	place_clear(2 * q->number + 1);
	if (fd >= 0)
		close(fd);
}

/* As the interface is, and with some of what may differ from file to file. */
static int iff_flags(const struct queue *q, struct rnd *r)
{
	static const int variants[] = { 0, IFF_NAPI, IFF_VNET_HDR, IFF_NAPI | IFF_VNET_HDR };

	if (q->shared)
		return IFF_TUN | IFF_MULTI_QUEUE | IFF_NO_PI | (below(r, 2) ? IFF_NAPI : 0);
	return IFF_TAP | IFF_MULTI_QUEUE | (below(r, 4) ? IFF_NO_PI : 0) |
	       variants[below(r, ARRAY_SIZE(variants))];
}

void queue_open(struct queue *q, struct rnd *r)
{
	struct ifreq ifr;
	int fd;

	queue_close(q);
	fd = open(tun_path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	tally_add(CALLS, 3);
	tun_set_iff(fd, q->shared ? SHARED : HOSTILE, iff_flags(q, r), &ifr);
	if (!ioctl(fd, SIOCGIFHWADDR, &ifr))
		memcpy(q->mac, ifr.ifr_hwaddr.sa_data, sizeof(q->mac));
	q->tx = 0;
	q->fd = fd;
	/* The last one is for read(2) and write(2), most of the time. */
	if (q->number + 1 < QUEUES || below(r, 4) == 0)
		queue_rings(q, r);
}

void queue_rings(struct queue *q, struct rnd *r)
{
	struct mytun_rings g = {
		.flags = below(r, MYTUN_RINGS_F_ALL + 1),
		.rx_size = 1 << (12 + below(r, 7)),
		.tx_size = 1 << (12 + below(r, 7)),
		.rx_headroom = below(r, 3) ? below(r, 200) : below(r, MYTUN_ROOM_MAX + 2),
		.rx_tailroom = below(r, 3) ? below(r, 200) : below(r, MYTUN_ROOM_MAX + 2),
	};

	tally_add(CALLS, 1);
	if (ioctl(q->fd, MYTUN_IOC_RINGS, &g))
		return;
	tally_add(RINGS_MADE, 1);
	q->g = g;
	q->ringed = true;
	queue_map_anew(q, 0);
	if (below(r, 2))
		queue_map_anew(q, 1);
}

void queue_map_anew(const struct queue *q, unsigned int which)
{
	unsigned int n = 2 * q->number + which;

	if (!q->ringed || q->g.map_size > PLACE_LEN)
		return;
	tally_add(MAPPINGS, 1);
	if (mmap(place(n), q->g.map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, q->fd,
		 0) == MAP_FAILED)
		place_clear(n);
}

char *queue_map(const struct queue *q, struct rnd *r)
{
	return place(2 * q->number + (below(r, 4) == 0));
}

bool queue_dead(const struct queue *q)
{
	struct pollfd p = { .fd = q->fd };

	return poll(&p, 1, 0) != 1 ? q->fd < 0 : p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

struct mytun_end *rx_prod_of(const struct queue *q, char *map)
{
	return (struct mytun_end *)(map + q->g.rx_prod);
}

struct mytun_end *rx_cons_of(const struct queue *q, char *map)
{
	return (struct mytun_end *)(map + q->g.rx_cons);
}

struct mytun_end *tx_prod_of(const struct queue *q, char *map)
{
	return (struct mytun_end *)(map + q->g.tx_prod);
}

struct mytun_end *tx_cons_of(const struct queue *q, char *map)
{
	return (struct mytun_end *)(map + q->g.tx_cons);
}

struct mytun_rec *rx_rec_of(const struct queue *q, char *map, uint32_t pos)
{
	return (struct mytun_rec *)(map + q->g.rx_data + (pos & (q->g.rx_size - 1) & -16u));
}

struct mytun_rec *tx_rec_of(const struct queue *q, char *map, uint32_t pos)
{
	return (struct mytun_rec *)(map + q->g.tx_data + (pos & (q->g.tx_size - 1) & -16u));
}
