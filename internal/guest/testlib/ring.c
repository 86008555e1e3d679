// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "ring.h"

#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"

uint32_t load_acquire(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

void store_release(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

struct mytun_rings ring_args(uint32_t size)
{
	return (struct mytun_rings){ .rx_size = size, .tx_size = size };
}

void *ring_map(struct ring *r)
{
	char *map = mmap(NULL, r->g.map_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);

	if (map == MAP_FAILED)
		return map;
	r->map = map;
	r->rx_prod = (struct mytun_end *)(map + r->g.rx_prod);
	r->rx_cons = (struct mytun_end *)(map + r->g.rx_cons);
	r->tx_prod = (struct mytun_end *)(map + r->g.tx_prod);
	r->tx_cons = (struct mytun_end *)(map + r->g.tx_cons);
	r->rx_data = map + r->g.rx_data;
	r->tx_data = map + r->g.tx_data;
	return map;
}

struct ring ring_new(int fd, struct mytun_rings args)
{
	struct ring r = { .fd = fd, .g = args };

	must(ioctl(fd, MYTUN_IOC_RINGS, &r.g));
	must((intptr_t)ring_map(&r));
	return r;
}

struct ring ring_small(int fd)
{
	return ring_new(fd, ring_args(1 << 16));
}

void ring_unmap(struct ring *r)
{
	must(munmap(r->map, r->g.map_size));
	r->map = NULL;
}

static struct mytun_rec *rec_at(char *data, uint32_t size, uint32_t pos)
{
	return (struct mytun_rec *)(data + (pos & (size - 1)));
}

struct mytun_rec *ring_rx(struct ring *r)
{
	uint32_t there = load_acquire(&r->rx_prod->pos) - r->rx;
	struct mytun_rec *rec = rec_at(r->rx_data, r->g.rx_size, r->rx);
	uint32_t size;

	if (!there)
		return NULL;
	size = load_acquire(&rec->size);
	if (size & MYTUN_REC_BUSY)
		return NULL;
	/* What must hold of every record. */
	if (there > r->g.rx_size)
		fail("the kernel's position is %u ahead, the ring has %u", there, r->g.rx_size);
	if (size % MYTUN_REC_ALIGN || size < sizeof(*rec) || size > there)
		fail("a record of %u bytes among %u", size, there);
	if (rec->off != sizeof(*rec) + r->g.rx_headroom ||
	    rec->off + rec->len + r->g.rx_tailroom > size)
		fail("a packet of %u bytes at %u in a record of %u", rec->len, rec->off, size);
	if (rec->flags || rec->reserved || rec->reserved2)
		fail("flags %x, reserved fields %x and %x", rec->flags, rec->reserved,
		     rec->reserved2);
	return rec;
}

void ring_rx_done(struct ring *r)
{
	r->rx += rec_at(r->rx_data, r->g.rx_size, r->rx)->size;
	store_release(&r->rx_cons->pos, r->rx);
}

struct mytun_rec *ring_rx_wait(struct ring *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	struct mytun_rec *rec;

	while (!(rec = ring_rx(r))) {
		store_release(&r->rx_cons->event, r->rx);
		full_barrier();
		rec = ring_rx(r);
		if (rec)
			break;
		if (must(poll(&p, 1, 5000)) == 0)
			fail("no packet came");
		if (p.revents & (POLLHUP | POLLERR))
			fail("poll says %x while waiting for a packet", p.revents);
	}
	return rec;
}

unsigned int ring_rx_drain(struct ring *r)
{
	unsigned int n = 0;

	for (; ring_rx(r); n++)
		ring_rx_done(r);
	return n;
}

uint32_t ring_tx_room(const struct ring *r)
{
	return r->g.tx_size - (r->tx - load_acquire(&r->tx_cons->pos));
}

struct mytun_rec *ring_tx(struct ring *r, uint32_t len)
{
	struct mytun_rec *rec = rec_at(r->tx_data, r->g.tx_size, r->tx);
	uint32_t size = (sizeof(*rec) + len + MYTUN_REC_ALIGN - 1) & -MYTUN_REC_ALIGN;

	if (ring_tx_room(r) < size)
		fail("no room for %u bytes in the TX ring", size);
	memset(rec, 0, sizeof(*rec));
	rec->size = size;
	rec->len = len;
	rec->off = sizeof(*rec);
	r->tx += size;
	return rec;
}

struct mytun_rec *ring_tx_packet(struct ring *r, const void *packet, uint32_t len)
{
	struct mytun_rec *rec = ring_tx(r, len);

	memcpy(rec_packet(rec), packet, len);
	return rec;
}

void ring_tx_publish(struct ring *r)
{
	store_release(&r->tx_prod->pos, r->tx);
}

void ring_tx_flush(struct ring *r)
{
	ring_tx_publish(r);
	must(ring_doorbell(r));
	eventually(load_acquire(&r->tx_cons->pos) == r->tx);
}

int ring_doorbell(const struct ring *r)
{
	return ioctl(r->fd, MYTUN_IOC_DOORBELL, 0);
}

void ring_expect_fault(const struct ring *r)
{
	eventually(ring_doorbell(r));
	expect_eq(errno, EIO);
}
