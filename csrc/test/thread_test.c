// SPDX-License-Identifier: MIT
/*
 * Both sides at full speed, each in threads of its own, asleep whenever there is
 * nothing to do: what the barriers and the event index must stand.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "pattern.h"
#include "rig.h"
#include "tap.h"
#include "wake.h"

#ifndef TEST_RECORDS
#define TEST_RECORDS 2000000U
#endif

#define RING	  (1U << 14)
#define START	  ((uint32_t) - (1U << 24)) /* the positions wrap on the way */
#define MAX_LEN	  200U
#define PRODUCERS 2

struct pair {
	struct rig rig;
	int to_program;
	int to_kernel;
	uint32_t next_producer;
	uint32_t wakes;
	bool stop;
};

static bool pair_open(struct pair *p)
{
	p->next_producer = 0;
	p->wakes = 0;
	p->stop = false;
	if (!rig_open_rooms(&p->rig, RING, RING, START, 32, 16))
		return false;
	p->to_program = eventfd(0, 0);
	p->to_kernel = eventfd(0, 0);
	return p->to_program >= 0 && p->to_kernel >= 0;
}

static void pair_close(struct pair *p)
{
	close(p->to_program);
	close(p->to_kernel);
	rig_close(&p->rig);
}

static void kernel_wakes_program(struct pair *p, bool needed)
{
	if (!needed)
		return;
	__atomic_add_fetch(&p->wakes, 1, __ATOMIC_RELAXED);
	wake(p->to_program);
}

/* Two CPUs of the kernel fill one ring; who is busy hides what the other has. */
static void *rx_produce(void *arg)
{
	struct pair *p = arg;
	uint32_t me = __atomic_fetch_add(&p->next_producer, 1, __ATOMIC_RELAXED);
	struct mytun_rec *rec;
	uint32_t len, pos;

	for (uint32_t n = 0; n < TEST_RECORDS / PRODUCERS; n++) {
		len = pattern_len(n, MAX_LEN);
		/* The module would drop; a test wants to count. */
		while (!(rec = fake_rx_reserve(&p->rig.kernel, len, &pos))) {
			if (__atomic_load_n(&p->stop, __ATOMIC_RELAXED))
				return NULL;
			sched_yield();
		}
		rec->hash = me;
		rec->gso_size = (uint16_t)n;
		pattern_fill(mytun_rec_data(rec), len, n);
		kernel_wakes_program(p, fake_rx_commit(&p->rig.kernel, rec, pos));
	}
	return NULL;
}

/* One CPU that, when the ring is full, waits for the program to say that it is not. */
static void *rx_produce_held(void *arg)
{
	struct pair *p = arg;
	struct fake_kernel *k = &p->rig.kernel;
	struct mytun_rec *rec;
	uint32_t len, pos;

	for (uint32_t n = 0; n < TEST_RECORDS / PRODUCERS * PRODUCERS; n++) {
		len = pattern_len(n, MAX_LEN);
		while (!(rec = fake_rx_reserve(k, len, &pos))) {
			if (fake_rx_stop(k) && !wake_wait(p->to_kernel)) {
				tap_fail(__FILE__, __LINE__, "held at %u", n);
				return NULL;
			}
		}
		pattern_fill(mytun_rec_data(rec), len, n);
		kernel_wakes_program(p, fake_rx_commit(k, rec, pos));
	}
	return NULL;
}

/* Gives back in pieces, as a program does that keeps some records longer. */
static void rx_consume_held(struct pair *p)
{
	struct mytun_rx_ring *rx = &p->rig.queue.rx;
	const uint32_t all = TEST_RECORDS / PRODUCERS * PRODUCERS;
	struct mytun_rec *rec;
	uint32_t kept = 0;

	rx->backpressure = true;
	for (uint32_t n = 0; n < all;) {
		rec = mytun_rx_peek(rx);
		if (rec) {
			if (rec->len != pattern_len(n, MAX_LEN) ||
			    !pattern_is(mytun_rec_data(rec), rec->len, n)) {
				tap_fail(__FILE__, __LINE__, "record %u", n);
				return;
			}
			if (++n % 8)
				continue;
		}
		if (kept && mytun_rx_release_to(rx, kept))
			wake(p->to_kernel);
		kept = mytun_rx_pos(rx);
		if (rec)
			continue;
		if (mytun_rx_release(rx))
			wake(p->to_kernel);
		kept = 0;
		if (mytun_rx_arm(rx) == 0 && !wake_wait(p->to_program)) {
			tap_fail(__FILE__, __LINE__, "lost after %u", n);
			return;
		}
	}
}

static void rx_backpressure(void)
{
	struct pair pair;
	pthread_t thread;

	NEED(pair_open(&pair));
	pthread_create(&thread, NULL, rx_produce_held, &pair);
	rx_consume_held(&pair);
	pthread_join(thread, NULL);
	pair_close(&pair);
}

static bool rx_check(struct mytun_rec *rec, uint32_t *n)
{
	uint32_t want;

	if (rec->hash >= PRODUCERS)
		return false;
	want = n[rec->hash]++;
	return rec->len == pattern_len(want, MAX_LEN) &&
	       rec->gso_size == (uint16_t)want &&
	       pattern_is(mytun_rec_data(rec), rec->len, want);
}

static void rx_consume(struct pair *p)
{
	struct mytun_rx_ring *rx = &p->rig.queue.rx;
	const uint32_t all = TEST_RECORDS / PRODUCERS * PRODUCERS;
	uint32_t n[PRODUCERS] = { 0 }, total = 0;
	struct mytun_rec *rec;

	for (;;) {
		while ((rec = mytun_rx_peek(rx))) {
			if (!rx_check(rec, n)) {
				tap_fail(__FILE__, __LINE__, "record %u", total);
				return;
			}
			total++;
		}
		mytun_rx_release(rx);
		if (total == all)
			break;
		if (mytun_rx_arm(rx) == 0 && !wake_wait(p->to_program)) {
			tap_fail(__FILE__, __LINE__, "lost after %u", total);
			return;
		}
	}
}

static void rx_two_producers(void)
{
	pthread_t threads[PRODUCERS];
	struct pair pair;

	NEED(pair_open(&pair));
	for (int i = 0; i < PRODUCERS; i++)
		pthread_create(&threads[i], NULL, rx_produce, &pair);
	rx_consume(&pair);
	__atomic_store_n(&pair.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	CHECK(pair.wakes <= TEST_RECORDS);
	pair_close(&pair);
}

static void *tx_consume(void *arg)
{
	struct pair *p = arg;
	struct fake_kernel *k = &p->rig.kernel;
	const unsigned char *packet;
	struct mytun_rec rec;

	for (uint32_t n = 0; n < TEST_RECORDS;) {
		packet = fake_tx_next(k, &rec);
		if (!packet) {
			kernel_wakes_program(p, fake_tx_consume(k));
			if (fake_tx_arm(k) && !wake_wait(p->to_kernel)) {
				tap_fail(__FILE__, __LINE__, "lost at %u", n);
				break;
			}
			continue;
		}
		if (rec.len != pattern_len(n, MAX_LEN) ||
		    !pattern_is(packet, rec.len, n)) {
			tap_fail(__FILE__, __LINE__, "record %u", n);
			break;
		}
		/* A NAPI budget's worth at once. */
		if (++n % 64 == 0)
			kernel_wakes_program(p, fake_tx_consume(k));
	}
	kernel_wakes_program(p, fake_tx_consume(k));
	return NULL;
}

static bool tx_wait_room(struct pair *p)
{
	struct mytun_tx_ring *tx = &p->rig.queue.tx;
	int room;

	if (mytun_tx_publish(tx))
		wake(p->to_kernel);
	while (!(room = mytun_tx_arm(tx, MAX_LEN)))
		if (!wake_wait(p->to_program))
			return false;
	return room > 0;
}

static void tx_produce(struct pair *p)
{
	struct mytun_tx_ring *tx = &p->rig.queue.tx;
	struct mytun_rec *rec;
	uint32_t len;

	for (uint32_t n = 0; n < TEST_RECORDS; n++) {
		while (!(rec = mytun_tx_reserve(tx, MAX_LEN))) {
			if (!tx_wait_room(p)) {
				tap_fail(__FILE__, __LINE__, "lost at %u", n);
				return;
			}
		}
		if (n % 1000 == 7) {
			mytun_tx_skip(tx, rec);
			rec = mytun_tx_reserve(tx, MAX_LEN);
			if (!rec) {
				n--;
				continue;
			}
		}
		len = pattern_len(n, MAX_LEN);
		pattern_fill(mytun_rec_data(rec), len, n);
		mytun_tx_commit(tx, rec, len);
		if (n % 16 == 0 && mytun_tx_publish(tx))
			wake(p->to_kernel);
	}
	if (mytun_tx_publish(tx))
		wake(p->to_kernel);
}

static void tx_one_producer(void)
{
	struct pair pair;
	pthread_t thread;

	NEED(pair_open(&pair));
	pthread_create(&thread, NULL, tx_consume, &pair);
	tx_produce(&pair);
	pthread_join(thread, NULL);
	pair_close(&pair);
}

const struct test thread_tests[] = {
	{ "rx_two_producers", rx_two_producers },
	{ "rx_backpressure", rx_backpressure },
	{ "tx_one_producer", tx_one_producer },
	{ NULL, NULL },
};
