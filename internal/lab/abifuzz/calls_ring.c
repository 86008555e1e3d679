// SPDX-License-Identifier: MIT
/* Rings: what an honest program does with them, and what none would. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"
#include "maps.h"
#include "ring.h"
#include "shape.h"
#include "world.h"

static struct mytun_end *end_at(const struct file *f, uint32_t offset)
{
	return (struct mytun_end *)(f->map + offset);
}

/* The file, if its rings are mapped. */
static struct file *ringed(uint64_t i)
{
	struct file *f = &files[i % FILES];

	return f->map && f->g.tx_size ? f : NULL;
}

void call_rings(const uint64_t *a)
{
	struct file *f = &files[a[0] % FILES];
	struct mytun_rings g = {
		.flags = a[1],
		.rx_size = a[2],
		.tx_size = a[3],
		.rx_headroom = a[4],
		.rx_tailroom = a[5],
	};

	g.reserved[0] = a[6];
	if (ioctl(f->fd, MYTUN_IOC_RINGS, &g))
		return;
	f->g = g;
	f->rx = f->tx = 0;
}

void call_map(const uint64_t *a)
{
	struct file *f = &files[a[0] % FILES];
	size_t len = f->g.map_size + a[1];
	char *map;

	if (!len || len > 1 << 28)
		return;
	map = mmap(NULL, len, a[2], a[3], f->fd, a[4]);
	if (map == MAP_FAILED)
		return;
	maps_add(map, len);
	/* Only what an honest program asks for is used; the rest is there to end. */
	if (!a[1] && (a[2] & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) && !a[4] &&
	    f->g.map_size)
		f->map = map;
}

/* A part, which splits the mapping, or all. */
void call_unmap(const uint64_t *a)
{
	struct file *f = ringed(a[0]);

	if (!f)
		return;
	munmap(f->map + a[1] % f->g.map_size / 4096 * 4096, a[2] ? 4096 : f->g.map_size);
	f->map = NULL;
}

void call_doorbell(const uint64_t *a)
{
	ioctl(files[a[0] % FILES].fd, MYTUN_IOC_DOORBELL, a[1]);
}

static struct mytun_rec *rec_at(const struct file *f, uint32_t pos)
{
	return (struct mytun_rec *)(f->map + f->g.tx_data + (pos & (f->g.tx_size - 1)));
}

/* A finished packet with nothing untrue about it, or nothing when there is no room. */
static void put_packet(struct file *f, uint64_t shape, size_t payload)
{
	static __thread uint8_t packet[PACKET_BYTES];
	size_t len = shape_packet(packet, shape, payload, f->tap);
	uint32_t size = (sizeof(struct mytun_rec) + len + 15) / 16 * 16;
	uint32_t used = f->tx - load_acquire(&end_at(f, f->g.tx_cons)->pos);
	struct mytun_rec *rec = rec_at(f, f->tx);

	if (used > f->g.tx_size || size > f->g.tx_size - used)
		return;
	memset(rec, 0, sizeof(*rec));
	rec->size = size;
	rec->len = len;
	rec->off = sizeof(*rec);
	memcpy(rec + 1, packet, len);
	f->tx += size;
}

/* fd shape payload VNET flags proto size len off */
void call_record(const uint64_t *a)
{
	static __thread uint8_t packet[PACKET_BYTES];
	struct file *f = ringed(a[0]);
	struct mytun_rec *rec;
	uint32_t room, size;
	size_t len;

	if (!f)
		return;
	a++;
	len = shape_packet(packet, a[0], a[1], f->tap);
	size = (sizeof(*rec) + len + 15) / 16 * 16;
	rec = rec_at(f, f->tx);
	/* All that the area has of it: twice in a row is all that there is. */
	room = f->g.tx_size < size ? f->g.tx_size : size;
	memcpy(rec + 1, packet, room - sizeof(*rec) < len ? room - sizeof(*rec) : len);
	rec->flags = a[2 + VNET_ARGS];
	rec->proto = a[3 + VNET_ARGS];
	rec->size = size + a[4 + VNET_ARGS];
	rec->len = len + a[5 + VNET_ARGS];
	rec->off = sizeof(*rec) + a[6 + VNET_ARGS];
	shape_vnet(rec, a + 2, a[0], f->tap);
	f->tx += size + a[4 + VNET_ARGS];
}

static void publish(struct file *f, uint32_t delta)
{
	store_release(&end_at(f, f->g.tx_prod)->pos, f->tx + delta);
	full_barrier();
}

void call_publish(const uint64_t *a)
{
	struct file *f = ringed(a[0]);

	if (!f)
		return;
	publish(f, a[1]);
	if (a[2])
		ioctl(f->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_TX);
}

void call_burst(const uint64_t *a)
{
	struct file *f = ringed(a[0]);

	if (!f)
		return;
	for (uint64_t i = 0; i < a[3] % 512; i++)
		put_packet(f, a[1], a[2]);
	publish(f, 0);
	if (a[4])
		ioctl(f->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_TX);
}

/* All that is there, a record, or what is not there. */
void call_give(const uint64_t *a)
{
	struct file *f = ringed(a[0]);
	uint32_t filled;

	if (!f)
		return;
	filled = load_acquire(&end_at(f, f->g.rx_prod)->pos);
	if (a[1] == 1)
		f->rx = filled;
	else if (a[1] == 2 && f->rx != filled)
		f->rx += load_acquire(&((struct mytun_rec *)(f->map + f->g.rx_data +
							     (f->rx & (f->g.rx_size - 1))))
					       ->size);
	store_release(&end_at(f, f->g.rx_cons)->pos, f->rx + a[2]);
	full_barrier();
	if (a[3])
		ioctl(f->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX);
}

void call_event(const uint64_t *a)
{
	struct file *f = ringed(a[0]);

	if (!f)
		return;
	if (a[1])
		store_release(&end_at(f, f->g.tx_prod)->event, f->tx + a[2] - 1);
	else
		store_release(&end_at(f, f->g.rx_cons)->event, f->rx + a[2]);
	full_barrier();
}

/* Where the program scribbles: the four ends, and the next record of each ring. */
static uint64_t part(const struct file *f, uint64_t which)
{
	uint32_t mask;

	switch (which) {
	case 0:
		return f->g.rx_prod;
	case 1:
		return f->g.rx_cons;
	case 2:
		return f->g.tx_prod;
	case 3:
		return f->g.tx_cons;
	case 4:
		return f->g.rx_data + (f->rx & (f->g.rx_size - 1));
	}
	mask = f->g.tx_size - 1;
	return f->g.tx_data + (load_acquire(&end_at(f, f->g.tx_cons)->pos) & mask);
}

/* Anything, anywhere, also in the kernel's pages and in records that it is writing. */
void call_scribble(const uint64_t *a)
{
	struct file *f = ringed(a[0]);
	uint64_t at;

	if (!f)
		return;
	at = (part(f, a[1]) + a[2]) % (f->g.map_size - 4) / 4 * 4;
	for (uint64_t i = 0; i <= a[4] % 1000; i++)
		store_release((uint32_t *)(f->map + at), i % 2 ? a[5] : a[3]);
}
