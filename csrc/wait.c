// SPDX-License-Identifier: MIT
/* Telling the kernel, and sleeping until it tells us. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "libmytun.h"

/*
 * A nap is one poll(2) of a wait that may need several of them.
 *
 * The kernel's idea of ready can be wider than the caller's: POLLOUT holds while
 * half of the ring is free, and the caller may want more. Such a wait would turn
 * into a busy loop, so after a few vain naps it sleeps in ticks.
 */
#define VAIN_NAPS 8
#define TICK_MS	  1

struct nap {
	int fd;
	short events;
	int timeout_ms;
	int vain;
	int64_t deadline;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void nap_init(struct nap *nap, int fd, short events, int timeout_ms)
{
	nap->fd = fd;
	nap->events = events;
	nap->timeout_ms = timeout_ms;
	nap->vain = 0;
	nap->deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
}

/* Milliseconds to the deadline, as poll(2) takes them. */
static int nap_left(const struct nap *nap)
{
	int64_t left;

	if (nap->timeout_ms <= 0)
		return nap->timeout_ms;
	left = nap->deadline - now_ms();
	return left > 0 ? (int)left : 0;
}

/*
 * Return: 1 look again, 0 timeout, -errno. -EBADFD where the kernel hung up and
 * the caller does not find the reason in the rings.
 */
static int nap_take(struct nap *nap)
{
	struct pollfd pfd = { .fd = nap->fd, .events = nap->events };
	int left = nap_left(nap);
	int ticking = nap->vain >= VAIN_NAPS && left;
	int n;

	if (ticking) {
		pfd.events = 0;
		left = TICK_MS;
	}
	n = poll(&pfd, 1, left);
	if (n < 0)
		return -errno;
	if (pfd.revents & POLLNVAL)
		return -EBADF;
	if (pfd.revents & POLLHUP)
		return -EBADFD;
	if (n == 0 && !ticking)
		return 0;
	if (nap->vain < VAIN_NAPS)
		nap->vain++;
	return left != 0;
}

/*
 * A fault or a detach ends the waiting in both directions, whichever end shows
 * it: from then on poll(2) returns at once.
 */
static int queue_error(const struct mytun_queue *q)
{
	int err = mytun_ring_error(q->rx.prod);

	return err ? err : mytun_ring_error(q->tx.cons);
}

/*
 * After the last nap: what the ring has got before the end of the time, or of the
 * queue, counts more than why the wait ended.
 */
static int wait_result(const struct mytun_queue *q, int ready, int err)
{
	if (ready)
		return ready;
	if (err == -EBADFD && queue_error(q))
		return queue_error(q);
	return err;
}

int mytun_rx_wait(struct mytun_queue *q, int timeout_ms)
{
	struct nap nap;
	int ready, err;

	nap_init(&nap, q->fd, POLLIN, timeout_ms);
	do {
		ready = mytun_rx_arm(&q->rx);
		if (ready)
			return ready;
		err = queue_error(q);
		if (!err)
			err = nap_take(&nap);
	} while (err > 0);

	return wait_result(q, mytun_rx_ready(&q->rx), err);
}

int mytun_rx_done(struct mytun_queue *q)
{
	return mytun_rx_release(&q->rx) ? mytun_rx_doorbell(q->fd) : 0;
}

int mytun_tx_submit(struct mytun_queue *q)
{
	return mytun_tx_publish(&q->tx) ? mytun_doorbell(q->fd) : 0;
}

int mytun_tx_wait(struct mytun_queue *q, uint32_t len, int timeout_ms)
{
	struct nap nap;
	int room, err;

	err = mytun_tx_submit(q);
	/* The interface is down: what was in the ring is consumed all the same. */
	if (err && err != -ENETDOWN)
		return err;

	nap_init(&nap, q->fd, POLLOUT, timeout_ms);
	do {
		room = mytun_tx_arm(&q->tx, len);
		if (room)
			return room;
		err = queue_error(q);
		if (!err)
			err = nap_take(&nap);
	} while (err > 0);

	return wait_result(q, mytun_tx_arm(&q->tx, len), err);
}
