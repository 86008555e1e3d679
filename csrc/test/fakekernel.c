// SPDX-License-Identifier: MIT
#define _GNU_SOURCE

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fakekernel.h"

#define ENDS 4

static uint32_t page_size(void)
{
	return (uint32_t)sysconf(_SC_PAGESIZE);
}

void fake_layout(struct mytun_rings *rings)
{
	uint32_t page = page_size();

	rings->rx_cons = 0;
	rings->tx_prod = page;
	rings->rx_prod = 2 * page;
	rings->tx_cons = 3 * page;
	rings->rx_data = ENDS * page;
	rings->tx_data = rings->rx_data + 2 * rings->rx_size;
	rings->map_size = rings->tx_data + 2 * (uint64_t)rings->tx_size;
}

static struct mytun_end *end_at(void *map, uint32_t offset)
{
	return (struct mytun_end *)((unsigned char *)map + offset);
}

static void set_positions(void *map, const struct mytun_rings *rings,
			  uint32_t pos)
{
	end_at(map, rings->rx_cons)->pos = pos;
	end_at(map, rings->tx_prod)->pos = pos;
	end_at(map, rings->rx_prod)->pos = pos;
	end_at(map, rings->tx_cons)->pos = pos;
	/* Asleep: the first record needs a doorbell. */
	end_at(map, rings->tx_cons)->event = pos;
	end_at(map, rings->rx_cons)->event = pos;
}

int fake_create(const struct mytun_rings *rings, uint32_t pos)
{
	off_t size = (off_t)rings->rx_data + rings->rx_size + rings->tx_size;
	int fd = memfd_create("mytun rings", 0);
	void *map;

	if (fd < 0)
		return -errno;
	map = ftruncate(fd, size) ? NULL : fake_map(fd, rings);
	if (!map) {
		close(fd);
		return -ENOMEM;
	}
	set_positions(map, rings, pos);
	munmap(map, rings->map_size);
	return fd;
}

static bool map_part(void *at, size_t size, int fd, size_t offset)
{
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		    (off_t)offset) != MAP_FAILED;
}

void *fake_map(int fd, const struct mytun_rings *rings)
{
	size_t rx = rings->rx_size, tx = rings->tx_size, ends = rings->rx_data;
	unsigned char *map;

	map = mmap(NULL, rings->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	if (map_part(map, ends, fd, 0) &&
	    map_part(map + ends, rx, fd, ends) &&
	    map_part(map + ends + rx, rx, fd, ends) &&
	    map_part(map + rings->tx_data, tx, fd, ends + rx) &&
	    map_part(map + rings->tx_data + tx, tx, fd, ends + rx))
		return map;
	munmap(map, rings->map_size);
	return NULL;
}

void fake_kernel_init(struct fake_kernel *k, void *map,
		      const struct mytun_rings *rings)
{
	memset(k, 0, sizeof(*k));
	k->rings = *rings;
	k->map = map;
	pthread_mutex_init(&k->rx_lock, NULL);
	k->rx_prod = end_at(map, rings->rx_prod);
	k->rx_cons = end_at(map, rings->rx_cons);
	k->rx_pos = k->rx_prod->pos;
	k->tx_prod = end_at(map, rings->tx_prod);
	k->tx_cons = end_at(map, rings->tx_cons);
	k->tx_pos = k->tx_cons->pos;
	k->tx_told = k->tx_pos;
}

static uint32_t rx_rec_size(const struct fake_kernel *k, uint32_t len)
{
	return mytun_rec_size(len + k->rings.rx_headroom + k->rings.rx_tailroom);
}

static struct mytun_rec *rx_reserve_locked(struct fake_kernel *k, uint32_t len,
					   uint32_t *pos)
{
	/* Pairs with the program's store-release in mytun_rx_release_to(). */
	uint32_t cons = __atomic_load_n(&k->rx_cons->pos, __ATOMIC_ACQUIRE);
	uint32_t size = rx_rec_size(k, len);
	struct mytun_rec *rec;

	if (size > k->rings.rx_size - (k->rx_pos - cons))
		return NULL;
	rec = (struct mytun_rec *)(k->map + k->rings.rx_data +
				   (k->rx_pos & (k->rings.rx_size - 1)));
	__atomic_store_n(&rec->size, size | MYTUN_REC_BUSY, __ATOMIC_RELAXED);
	*pos = k->rx_pos;
	k->rx_pos += size;
	/* Pairs with the load-acquire in mytun_rx_next(). */
	__atomic_store_n(&k->rx_prod->pos, k->rx_pos, __ATOMIC_RELEASE);
	return rec;
}

struct mytun_rec *fake_rx_reserve(struct fake_kernel *k, uint32_t len,
				  uint32_t *pos)
{
	struct mytun_rec *rec;

	pthread_mutex_lock(&k->rx_lock);
	rec = rx_reserve_locked(k, len, pos);
	pthread_mutex_unlock(&k->rx_lock);
	if (!rec)
		return NULL;

	memset((char *)rec + sizeof(rec->size), 0,
	       sizeof(*rec) - sizeof(rec->size));
	rec->len = len;
	rec->off = (uint16_t)(sizeof(*rec) + k->rings.rx_headroom);
	return rec;
}

bool fake_rx_commit(struct fake_kernel *k, struct mytun_rec *rec, uint32_t pos)
{
	uint32_t size = rec->size & ~MYTUN_REC_BUSY;
	uint32_t event;

	/* Pairs with the load-acquire of the size in mytun_rx_next(). */
	__atomic_store_n(&rec->size, size, __ATOMIC_RELEASE);
	/* Pairs with the full barrier in mytun_rx_arm(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&k->rx_cons->event, __ATOMIC_RELAXED);
	/* This record need not be the last one: only who waits for it is woken. */
	return mytun_need_event(event, pos + size, pos);
}

bool fake_rx_stop(struct fake_kernel *k)
{
	uint32_t go = k->rx_pos - k->rings.rx_size / 2;
	uint32_t cons;

	__atomic_store_n(&k->rx_prod->event, go - 1, __ATOMIC_RELAXED);
	/* Pairs with the full barrier in mytun_rx_release_to(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	cons = __atomic_load_n(&k->rx_cons->pos, __ATOMIC_ACQUIRE);
	return k->rx_pos - cons > k->rings.rx_size / 2;
}

int fake_rx_put(struct fake_kernel *k, const void *packet, uint32_t len)
{
	uint32_t pos;
	struct mytun_rec *rec = fake_rx_reserve(k, len, &pos);

	if (!rec)
		return -1;
	memcpy(mytun_rec_data(rec), packet, len);
	return fake_rx_commit(k, rec, pos);
}

bool fake_tx_sane(const struct fake_kernel *k)
{
	uint32_t prod = __atomic_load_n(&k->tx_prod->pos, __ATOMIC_ACQUIRE);

	return prod - k->tx_pos <= k->rings.tx_size;
}

const unsigned char *fake_tx_next(struct fake_kernel *k, struct mytun_rec *rec)
{
	/* Pairs with the store-release in mytun_tx_publish(). */
	uint32_t prod = __atomic_load_n(&k->tx_prod->pos, __ATOMIC_ACQUIRE);
	const unsigned char *at;

	while (k->tx_pos != prod) {
		at = k->map + k->rings.tx_data +
		     (k->tx_pos & (k->rings.tx_size - 1));
		memcpy(rec, at, sizeof(*rec));
		if (rec->size < sizeof(*rec) || rec->size % MYTUN_REC_ALIGN ||
		    rec->size > prod - k->tx_pos)
			return NULL;
		k->tx_pos += rec->size;
		if (rec->flags & MYTUN_REC_F_SKIP)
			continue;
		if (rec->off < sizeof(*rec) || rec->off > rec->size ||
		    rec->len > rec->size - rec->off)
			return NULL;
		return at + rec->off;
	}
	return NULL;
}

bool fake_tx_consume(struct fake_kernel *k)
{
	uint32_t old = k->tx_told;
	uint32_t event;

	if (k->tx_pos == old)
		return false;
	k->tx_told = k->tx_pos;
	/* Pairs with the load-acquire in mytun_tx_has_room(). */
	__atomic_store_n(&k->tx_cons->pos, k->tx_pos, __ATOMIC_RELEASE);
	/* Pairs with the full barrier in mytun_tx_arm(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&k->tx_prod->event, __ATOMIC_RELAXED);
	return mytun_need_event(event, k->tx_pos, old);
}

bool fake_tx_arm(struct fake_kernel *k)
{
	__atomic_store_n(&k->tx_cons->event, k->tx_pos, __ATOMIC_RELAXED);
	/* Pairs with the full barrier in mytun_tx_publish(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&k->tx_prod->pos, __ATOMIC_ACQUIRE) == k->tx_pos;
}
