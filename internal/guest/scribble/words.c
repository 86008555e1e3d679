// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "words.h"

#include <fcntl.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "ring.h"
#include "tally.h"

struct word {
	const struct queue *q;
	struct rnd *r;
	char *map;
	char *at;
	unsigned int len;
	uint64_t value;
};

static void set(struct word *w, void *at, unsigned int len, uint64_t value)
{
	w->at = at;
	w->len = len;
	w->value = value;
}

/* A lie here ends the rings, as soon as the kernel looks: seldom. */
static void choose_deadly(struct word *w)
{
	struct mytun_end *prod = tx_prod_of(w->q, w->map), *cons = rx_cons_of(w->q, w->map);
	struct mytun_rec *rec;

	switch (below(w->r, 3)) {
	case 0:
		set(w, &prod->pos, 4, almost(w->r, load_acquire(&prod->pos), w->q->g.tx_size));
		break;
	case 1:
		set(w, &cons->pos, 4, almost(w->r, load_acquire(&cons->pos), w->q->g.rx_size));
		break;
	default:
		rec = tx_rec_of(w->q, w->map, load_acquire(&tx_cons_of(w->q, w->map)->pos));
		set(w, &rec->size, 4, almost(w->r, rec->size, w->q->g.tx_size));
	}
}

static void choose_end(struct word *w)
{
	struct mytun_end *ends[] = { rx_prod_of(w->q, w->map), tx_cons_of(w->q, w->map),
				     rx_cons_of(w->q, w->map), tx_prod_of(w->q, w->map) };
	unsigned int n = below(w->r, ARRAY_SIZE(ends));
	struct mytun_end *e = ends[n];
	uint32_t near = load_acquire(&ends[below(w->r, ARRAY_SIZE(ends))]->pos);

	switch (below(w->r, 5)) {
	case 0: /* of the kernel's pages, which it must not read */
		e = ends[n % 2];
		set(w, &e->pos, 4, almost(w->r, near, w->q->g.rx_size));
		break;
	case 1:
		set(w, &e->flags, 4, almost(w->r, e->flags, 4));
		break;
	case 2:
		set(w, &e->drops, 8, almost(w->r, e->drops, 1));
		break;
	case 3:
		set(w, (char *)e + 4 + below(w->r, 4092 - 4), 4, rnd(w->r));
		break;
	default:
		set(w, &e->event, 4, almost(w->r, near, w->q->g.rx_size));
	}
}

/* The header of a record that the kernel may be looking at. */
static void choose_header(struct word *w, struct mytun_rec *rec, uint32_t size)
{
	struct rnd *r = w->r;

	switch (below(r, 12)) {
	case 0:
		set(w, &rec->len, 4, almost(r, rec->len, size));
		break;
	case 1:
		set(w, &rec->off, 2, almost(r, rec->off, rec->size));
		break;
	case 2:
		set(w, &rec->flags, 2, almost(r, 0, 1));
		break;
	case 3:
		set(w, &rec->hash, 4, rnd(r));
		break;
	case 4:
		set(w, &rec->proto, 2, below(r, 2) ? 0 : rnd(r));
		break;
	case 5:
		set(w, &rec->vnet_flags, 1, rnd(r));
		break;
	case 6:
		set(w, &rec->gso_type, 1, below(r, 2) ? 1u << below(r, 3) : rnd(r));
		break;
	case 7:
		set(w, &rec->hdr_len, 2, almost(r, rec->hdr_len, rec->len));
		break;
	case 8:
		set(w, &rec->gso_size, 2, almost(r, rec->gso_size, rec->len));
		break;
	case 9:
		set(w, &rec->csum_start, 2, almost(r, rec->csum_start, rec->len));
		break;
	case 10:
		set(w, &rec->csum_offset, 2, almost(r, rec->csum_offset, rec->len));
		break;
	default: /* packet headers, as a rule */
		set(w, (char *)rec + rec->off + below(r, 64), 1u << below(r, 4), rnd(r));
	}
}

/* Any record between two positions, whose headers are believed for once. */
static uint32_t walk(struct word *w, uint32_t from, uint32_t to, bool rx)
{
	for (unsigned int n = below(w->r, 30); n && from != to; n--) {
		struct mytun_rec *rec;
		uint32_t size;

		rec = rx ? rx_rec_of(w->q, w->map, from) : tx_rec_of(w->q, w->map, from);
		size = load_acquire(&rec->size) & ~MYTUN_REC_BUSY;
		if (size < sizeof(*rec) || size > to - from)
			break;
		from += size;
	}
	return from;
}

static void choose(struct word *w)
{
	const struct queue *q = w->q;
	uint32_t kind = below(w->r, 100), from;

	if (kind < 1) {
		choose_deadly(w);
	} else if (kind < 20) {
		choose_end(w);
	} else if (kind < 65) {
		from = walk(w, load_acquire(&tx_cons_of(q, w->map)->pos),
			    load_acquire(&tx_prod_of(q, w->map)->pos), false);
		choose_header(w, tx_rec_of(q, w->map, from), q->g.tx_size);
	} else if (kind < 85) {
		from = walk(w, load_acquire(&rx_cons_of(q, w->map)->pos),
			    load_acquire(&rx_prod_of(q, w->map)->pos), true);
		if (kind == 84)
			set(w, &rx_rec_of(q, w->map, from)->size, 4,
			    almost(w->r, rx_rec_of(q, w->map, from)->size, q->g.rx_size));
		else
			choose_header(w, rx_rec_of(q, w->map, from), q->g.rx_size);
	} else {
		set(w, w->map + q->g.rx_data + below(w->r, q->g.map_size - q->g.rx_data - 8),
		    1u << below(w->r, 4), rnd(w->r) * 0x100000001ull);
	}
}

static void write_directly(const struct word *w)
{
	switch (w->len) {
	case 1:
		*(volatile uint8_t *)w->at = w->value;
		break;
	case 2:
		*(volatile uint16_t *)w->at = w->value;
		break;
	case 4:
		*(volatile uint32_t *)w->at = w->value;
		break;
	default:
		*(volatile uint64_t *)w->at = w->value;
	}
}

/* The kernel itself is made to write. */
static void write_by_kernel(const struct word *w, unsigned int way)
{
	struct iovec from = { (void *)&w->value, w->len }, to = { w->at, w->len };
	int fd;

	tally_add(CALLS, 1);
	if (way == 0) {
		process_vm_writev(getpid(), &from, 1, &to, 1, 0);
		return;
	}
	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (pwrite(fd, &w->value, w->len, (off_t)(intptr_t)w->at) < 0)
		tally_add(TRAPS, 1);
	close(fd);
}

static void scribble_guarded(void *arg)
{
	struct word *w = arg;
	uint32_t way = below(w->r, 64);

	choose(w);
	if (way < 2)
		write_by_kernel(w, way);
	else
		write_directly(w);
	tally_add(SCRIBBLES, 1);
}

void scribble(const struct queue *q, struct rnd *r)
{
	struct word w = { .q = q, .r = r };

	if (!q->ringed)
		return;
	w.map = queue_map(q, r);
	guarded(scribble_guarded, &w);
}
