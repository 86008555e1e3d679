// SPDX-License-Identifier: MIT
/*
 * Waiting and the doorbell. The linker puts the functions below in the place of
 * poll(2), mytun_doorbell() and mytun_rx_doorbell() (--wrap), so that a test says what the kernel
 * answers, and does, while the program sleeps.
 */
#include <poll.h>
#include <string.h>
#include <time.h>

#include "rig.h"
#include "tap.h"

#define K 4096U

int __wrap_poll(struct pollfd *fds, nfds_t nfds, int timeout);
int __real_poll(struct pollfd *fds, nfds_t nfds, int timeout);
int __wrap_mytun_doorbell(int fd);
int __wrap_mytun_rx_doorbell(int fd);

/* What the fake poll does; on_poll returns as poll(2), -errno for an error. */
static int (*on_poll)(struct pollfd *pfd, int timeout);
static int polls, doorbells, rx_doorbells, doorbell_answer;
static struct rig rig;

int __wrap_poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	int ret;

	if (!on_poll || nfds != 1)
		return __real_poll(fds, nfds, timeout);
	polls++;
	fds->revents = 0;
	ret = on_poll(fds, timeout);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

int __wrap_mytun_doorbell(int fd)
{
	(void)fd;
	doorbells++;
	return doorbell_answer;
}

int __wrap_mytun_rx_doorbell(int fd)
{
	(void)fd;
	rx_doorbells++;
	return doorbell_answer;
}

static bool begin(int (*poll_does)(struct pollfd *pfd, int timeout))
{
	if (!rig_open(&rig, K, K, (uint32_t)-64))
		return false;
	on_poll = poll_does;
	polls = 0;
	doorbells = 0;
	rx_doorbells = 0;
	doorbell_answer = 0;
	return true;
}

static void end(void)
{
	on_poll = NULL;
	rig_close(&rig);
}

static int poll_never(struct pollfd *pfd, int timeout)
{
	(void)pfd;
	(void)timeout;
	tap_fail(__FILE__, __LINE__, "poll was called");
	return -EINVAL;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000L };

	if (ms > 0)
		nanosleep(&ts, NULL);
}

static int poll_quiet(struct pollfd *pfd, int timeout)
{
	(void)pfd;
	CHECK(timeout >= 0 && timeout < 1000);
	sleep_ms(timeout);
	return 0;
}

static int poll_packet(struct pollfd *pfd, int timeout)
{
	CHECK_EQ(pfd->events, POLLIN);
	CHECK_EQ(timeout, -1);
	CHECK_EQ(fake_rx_put(&rig.kernel, "x", 1), 1);
	pfd->revents = POLLIN;
	return 1;
}

/* Packet on the third wake-up. */
static int poll_twice_in_vain(struct pollfd *pfd, int timeout)
{
	if (polls == 3)
		return poll_packet(pfd, timeout);
	pfd->revents = POLLIN;
	return 1;
}

static int poll_always_in_vain(struct pollfd *pfd, int timeout)
{
	pfd->revents = pfd->events;
	if (pfd->revents)
		return 1;
	sleep_ms(timeout);
	return 0;
}

static int poll_signal(struct pollfd *pfd, int timeout)
{
	(void)pfd;
	(void)timeout;
	return -EINTR;
}

static int poll_hup(struct pollfd *pfd, int timeout)
{
	(void)timeout;
	pfd->revents = POLLHUP | (pfd->events & POLLIN);
	return 1;
}

static int poll_detached(struct pollfd *pfd, int timeout)
{
	rig.kernel.rx_prod->flags = MYTUN_END_F_DETACHED;
	rig.kernel.tx_cons->flags = MYTUN_END_F_DETACHED;
	return poll_hup(pfd, timeout);
}

static int poll_tx_faulted(struct pollfd *pfd, int timeout)
{
	rig.kernel.tx_cons->flags = MYTUN_END_F_FAULT;
	return poll_hup(pfd, timeout);
}

static int poll_packet_and_detached(struct pollfd *pfd, int timeout)
{
	poll_packet(pfd, timeout);
	return poll_detached(pfd, timeout);
}

static int poll_bad_record(struct pollfd *pfd, int timeout)
{
	struct mytun_rec *rec;
	uint32_t pos;

	(void)timeout;
	rec = fake_rx_reserve(&rig.kernel, 1, &pos);
	if (!rec)
		return 0;
	rec->size = 0;
	pfd->revents = POLLIN;
	return 1;
}

static void rx_wait_no_sleep_when_ready(void)
{
	NEED(begin(poll_never));
	CHECK(fake_rx_put(&rig.kernel, "x", 1) >= 0);
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), 1);
	end();
}

static void rx_wait_times_out(void)
{
	NEED(begin(poll_quiet));
	CHECK_EQ(mytun_rx_wait(&rig.queue, 0), 0);
	CHECK_EQ(polls, 1);
	CHECK_EQ(mytun_rx_wait(&rig.queue, 10), 0);
	CHECK(polls <= 4);
	end();
}

static void rx_wait_wakes(void)
{
	NEED(begin(poll_packet));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), 1);
	CHECK_EQ(polls, 1);
	CHECK(mytun_rx_peek(&rig.queue.rx));
	end();

	NEED(begin(poll_twice_in_vain));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), 1);
	CHECK_EQ(polls, 3);
	end();
}

static void rx_wait_never_spins(void)
{
	NEED(begin(poll_always_in_vain));
	CHECK_EQ(mytun_rx_wait(&rig.queue, 20), 0);
	CHECK(polls <= 8 + 20 + 2);
	CHECK_EQ(mytun_rx_wait(&rig.queue, 0), 0);
	end();
}

static void rx_wait_errors(void)
{
	NEED(begin(poll_signal));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), -EINTR);
	end();

	NEED(begin(poll_detached));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), -EBADFD);
	CHECK_EQ(polls, 1);
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), -EBADFD);
	CHECK_EQ(polls, 1);
	end();

	/* Hung up for a reason that no ring tells. */
	NEED(begin(poll_hup));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), -EBADFD);
	end();

	NEED(begin(poll_tx_faulted));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), -EIO);
	end();

	NEED(begin(poll_bad_record));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), -EPROTO);
	end();
}

static void rx_wait_packet_before_the_end(void)
{
	NEED(begin(poll_packet_and_detached));
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), 1);
	NEED(mytun_rx_peek(&rig.queue.rx));
	mytun_rx_release(&rig.queue.rx);
	CHECK_EQ(mytun_rx_wait(&rig.queue, -1), -EBADFD);
	end();
}

static void put_tx(uint32_t len)
{
	struct mytun_rec *rec = mytun_tx_reserve(&rig.queue.tx, len);

	NEED(rec);
	mytun_tx_commit(&rig.queue.tx, rec, len);
}

static void consume_one(void)
{
	struct mytun_rec rec;

	CHECK(fake_tx_next(&rig.kernel, &rec));
	CHECK(fake_tx_consume(&rig.kernel));
}

static int poll_consumes(struct pollfd *pfd, int timeout)
{
	(void)timeout;
	CHECK_EQ(pfd->events, POLLOUT);
	CHECK_EQ(doorbells, 1);
	consume_one();
	pfd->revents = POLLOUT;
	return 1;
}

static void tx_submit_rings_when_needed(void)
{
	NEED(begin(poll_never));
	CHECK_EQ(mytun_tx_submit(&rig.queue), 0);
	CHECK_EQ(doorbells, 0);
	put_tx(100);
	CHECK_EQ(mytun_tx_submit(&rig.queue), 0);
	CHECK_EQ(doorbells, 1);
	put_tx(100);
	CHECK_EQ(mytun_tx_submit(&rig.queue), 0);
	CHECK_EQ(doorbells, 1);
	end();

	NEED(begin(poll_never));
	doorbell_answer = -EIO;
	put_tx(100);
	CHECK_EQ(mytun_tx_submit(&rig.queue), -EIO);
	end();
}

static void tx_wait_sleeps_until_it_fits(void)
{
	NEED(begin(poll_consumes));
	CHECK_EQ(mytun_tx_wait(&rig.queue, 4000, -1), 1);
	CHECK_EQ(polls, 0);
	put_tx(4000);
	/* It publishes by itself, or it would wait for its own record. */
	CHECK_EQ(mytun_tx_wait(&rig.queue, 4000, -1), 1);
	CHECK_EQ(polls, 1);
	CHECK(mytun_tx_reserve(&rig.queue.tx, 4000));
	end();
}

static void tx_wait_errors(void)
{
	NEED(begin(poll_signal));
	put_tx(4000);
	CHECK_EQ(mytun_tx_wait(&rig.queue, 4000, -1), -EINTR);
	CHECK_EQ(mytun_tx_wait(&rig.queue, 5000, -1), -EMSGSIZE);
	end();

	NEED(begin(poll_detached));
	put_tx(4000);
	CHECK_EQ(mytun_tx_wait(&rig.queue, 4000, -1), -EBADFD);
	end();

	NEED(begin(poll_never));
	doorbell_answer = -EIO;
	put_tx(4000);
	CHECK_EQ(mytun_tx_wait(&rig.queue, 4000, -1), -EIO);
	end();

	NEED(begin(poll_quiet));
	doorbell_answer = -ENETDOWN;
	put_tx(4000);
	CHECK_EQ(mytun_tx_wait(&rig.queue, 4000, 5), 0);
	end();
}

static void rx_done_rings_when_needed(void)
{
	char packet[1000];

	memset(packet, 1, sizeof(packet));
	NEED(begin(poll_never));
	for (int on = 0; on < 2; on++) {
		rig.queue.rx.backpressure = on;
		for (int n = 0; n < 3; n++)
			CHECK(fake_rx_put(&rig.kernel, packet, sizeof(packet)) >= 0);
		CHECK(fake_rx_stop(&rig.kernel));
		while (mytun_rx_peek(&rig.queue.rx))
			;
		CHECK_EQ(mytun_rx_done(&rig.queue), 0);
		CHECK_EQ(mytun_rx_done(&rig.queue), 0);
		CHECK_EQ(rx_doorbells, on);
		CHECK_EQ(rig.kernel.rx_cons->pos, rig.kernel.rx_pos);
	}
	for (int n = 0; n < 3; n++)
		CHECK(fake_rx_put(&rig.kernel, packet, sizeof(packet)) >= 0);
	CHECK(fake_rx_stop(&rig.kernel));
	while (mytun_rx_peek(&rig.queue.rx))
		;
	doorbell_answer = -EBADFD;
	CHECK_EQ(mytun_rx_done(&rig.queue), -EBADFD);
	CHECK_EQ(doorbells, 0);
	end();
}

static void tx_wait_never_spins(void)
{
	NEED(begin(poll_always_in_vain));
	put_tx(4000);
	CHECK_EQ(mytun_tx_wait(&rig.queue, 4000, 20), 0);
	CHECK(polls <= 8 + 20 + 2);
	end();
}

const struct test wait_tests[] = {
	{ "rx_wait_no_sleep_when_ready", rx_wait_no_sleep_when_ready },
	{ "rx_wait_times_out", rx_wait_times_out },
	{ "rx_wait_wakes", rx_wait_wakes },
	{ "rx_wait_never_spins", rx_wait_never_spins },
	{ "rx_wait_errors", rx_wait_errors },
	{ "rx_wait_packet_before_the_end", rx_wait_packet_before_the_end },
	{ "rx_done_rings_when_needed", rx_done_rings_when_needed },
	{ "tx_submit_rings_when_needed", tx_submit_rings_when_needed },
	{ "tx_wait_sleeps_until_it_fits", tx_wait_sleeps_until_it_fits },
	{ "tx_wait_errors", tx_wait_errors },
	{ "tx_wait_never_spins", tx_wait_never_spins },
	{ NULL, NULL },
};
