// SPDX-License-Identifier: MIT
/* MYTUN_IOC_EVENTFDS: who waits on an eventfd hears what poll(2) would hear. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "ring.h"
#include "slow.h"

static int set_eventfds(int fd, int rx, int tx)
{
	struct mytun_eventfds arg = { .rx = rx, .tx = tx };

	return ioctl(fd, MYTUN_IOC_EVENTFDS, &arg);
}

static int new_eventfd(void)
{
	return must(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

/* How often it was signalled since the last call. */
static long long signals(int efd)
{
	uint64_t n;

	if (read(efd, &n, sizeof(n)) == sizeof(n))
		return n;
	expect_eq(errno, EAGAIN);
	return 0;
}

/* A queue with both eventfds, none signalled any more. */
struct told {
	struct tun t;
	struct ring r;
	int udp;
	int rx;
	int tx;
};

static struct told told_plain(int flags)
{
	struct told w = { .t = tun_open_up(flags) };

	w.udp = udp_here(AF_INET);
	w.rx = new_eventfd();
	w.tx = new_eventfd();
	must(set_eventfds(w.t.fd, w.rx, w.tx));
	expect_eq(signals(w.rx), 1);
	expect_eq(signals(w.tx), 1);
	return w;
}

static struct told told_ring(uint32_t flags)
{
	struct told w = told_plain(IFF_TUN);
	struct mytun_rings args = ring_args(1 << 12);

	args.flags = flags;
	w.r = ring_new(w.t.fd, args);
	/* Whoever slept in read(2) or write(2) has to look anew. */
	expect_eq(signals(w.rx), 1);
	expect_eq(signals(w.tx), 1);
	return w;
}

static void tx_records(struct told *w, int n)
{
	struct packet p;

	packet_inbound(&p, &w->t, AF_INET, "x", 1);
	while (n--)
		ring_tx_packet(&w->r, p.bytes, p.len);
	ring_tx_flush(&w->r);
}

TEST(both_are_signalled_when_they_are_registered)
{
	int rx = new_eventfd(), tx = new_eventfd(), fd = tun_open_file();

	must(set_eventfds(fd, rx, -1)); /* before the file is attached, too */
	expect_eq(signals(rx), 1);
	must(set_eventfds(fd, rx, tx));
	expect_eq(signals(rx), 1);
	expect_eq(signals(tx), 1);
	must(set_eventfds(fd, rx, rx));
	expect_eq(signals(rx), 2);
	must(set_eventfds(fd, -1, -1));
	expect_eq(signals(rx) + signals(tx), 0);
}

TEST(what_is_no_eventfd_is_refused_and_changes_nothing)
{
	struct told w = told_plain(IFF_TUN);
	struct mytun_eventfds arg = { .rx = -1, .tx = -1 };
	int pipes[2], closed = new_eventfd();

	must(pipe2(pipes, O_CLOEXEC));
	must(close(closed));
	expect_errno(set_eventfds(w.t.fd, pipes[0], -1), EINVAL);
	expect_errno(set_eventfds(w.t.fd, -1, pipes[0]), EINVAL);
	expect_errno(set_eventfds(w.t.fd, w.rx, w.t.fd), EINVAL);
	expect_errno(set_eventfds(w.t.fd, closed, -1), EBADF);
	expect_errno(set_eventfds(w.t.fd, w.rx, closed), EBADF);
	expect_errno(set_eventfds(w.t.fd, -2, -1), EBADF);
	for (size_t i = 0; i < ARRAY_SIZE(arg.reserved); i++) {
		arg.reserved[i] = 1;
		expect_errno(ioctl(w.t.fd, MYTUN_IOC_EVENTFDS, &arg), EINVAL);
		arg.reserved[i] = 0;
	}
	expect_errno(ioctl(w.t.fd, MYTUN_IOC_EVENTFDS, NULL), EFAULT);
	udp_send(w.udp, "x", 1);
	expect_eq(signals(w.rx), 1);
}

TEST(each_packet_for_a_plain_file_signals)
{
	struct told w = told_plain(IFF_TUN);

	for (int i = 1; i < 5; i++) {
		for (int n = 0; n < i; n++)
			udp_send(w.udp, "x", 1);
		expect_eq(signals(w.rx), i);
	}
	expect_eq(signals(w.tx), 0);
}

TEST(a_plain_file_signals_when_there_is_room_to_write_again)
{
	struct tun t = slow_open(20000);
	int tx = new_eventfd(), rx = new_eventfd();
	struct pollfd p = { .fd = tx, .events = POLLIN };
	struct packet frame;

	must(set_eventfds(t.fd, rx, tx));
	slow_frame(&frame);
	signals(tx);
	slow_fill_up(&t, &frame); /* and nobody polled the file */
	expect_eq(signals(tx), 0);
	run("(sleep 0.2; tc qdisc del dev slow root) &");
	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect_eq(must(write(t.fd, frame.bytes, frame.len)), frame.len);
}

TEST(without_the_event_index_each_record_signals)
{
	struct told w = told_ring(0);

	for (int i = 1; i < 10; i++) {
		udp_send(w.udp, "x", 1);
		expect_eq(signals(w.rx), 1);
		expect_eq(iface_ethtool(w.t.name, "rx_q0_wakeups"), i);
	}
	for (int i = 1; i < 10; i++) {
		tx_records(&w, 3);
		expect_eq(signals(w.tx), 1);
		expect_eq(iface_ethtool(w.t.name, "tx_q0_wakeups"), i);
	}
	expect_eq(signals(w.rx), 0);
}

TEST(one_eventfd_alone_counts_as_someone_who_waits)
{
	struct told w = told_ring(0);

	must(set_eventfds(w.t.fd, -1, w.tx));
	signals(w.tx);
	tx_records(&w, 1);
	expect_eq(signals(w.tx), 1);
	must(set_eventfds(w.t.fd, w.rx, -1));
	signals(w.rx);
	udp_send(w.udp, "x", 1);
	expect_eq(signals(w.rx), 1);
	tx_records(&w, 1);
	expect_eq(signals(w.rx) + signals(w.tx), 0);
}

TEST(with_the_event_index_a_signal_comes_when_the_position_is_passed)
{
	struct told w = told_ring(MYTUN_RINGS_F_EVENT_IDX);

	w.r.rx_cons->event = 2 * 64;
	for (int i = 0; i < 6; i++) {
		udp_send(w.udp, "x", 1);
		expect_eq(signals(w.rx), i == 2);
	}
	w.r.tx_prod->event = 7 * 64 - 1;
	for (int i = 0; i < 6; i++) {
		tx_records(&w, 3);
		expect_eq(signals(w.tx), i == 2);
	}
}

TEST(a_detached_queue_signals_both)
{
	struct told w = told_ring(MYTUN_RINGS_F_EVENT_IDX);

	must(ioctl(w.t.fd, MYTUN_IOC_DETACH, 0));
	expect_eq(signals(w.rx), 1);
	expect_eq(signals(w.tx), 1);
	/* It goes on as a file. */
	must(set_eventfds(w.t.fd, w.rx, w.tx));
	expect_eq(signals(w.rx), 1);

	close(w.udp);
	w = told_plain(IFF_TAP);
	iface_del(w.t.name);
	expect_eq(signals(w.rx), 1);
	expect_eq(signals(w.tx), 1);
}

TEST(a_fault_signals_both)
{
	struct told w = told_ring(MYTUN_RINGS_F_EVENT_IDX);

	w.r.tx_prod->pos = 8;
	ring_expect_fault(&w.r);
	expect_eq(signals(w.rx), 1);
	expect_eq(signals(w.tx), 1);
}

TEST(an_eventfd_that_was_replaced_or_removed_hears_no_more)
{
	struct told w = told_ring(0);
	int other = new_eventfd();

	must(set_eventfds(w.t.fd, other, -1));
	signals(other);
	udp_send(w.udp, "x", 1);
	tx_records(&w, 1);
	expect_eq(signals(other), 1);
	expect_eq(signals(w.rx) + signals(w.tx), 0);
	must(set_eventfds(w.t.fd, -1, -1));
	udp_send(w.udp, "x", 1);
	expect_eq(signals(other), 0);
	/* As before it was there: nobody waits, nobody is woken. */
	expect_eq(iface_ethtool(w.t.name, "rx_q0_wakeups"), 1);
}

TEST(a_full_counter_stops_nothing)
{
	struct told w = told_plain(IFF_TUN);
	uint64_t most = UINT64_MAX - 1;

	expect_eq(must(write(w.rx, &most, sizeof(most))), sizeof(most));
	for (int i = 0; i < 3; i++)
		udp_send(w.udp, "x", 1);
	for (int i = 0; i < 3; i++) {
		char buf[100];

		expect_eq(must(read(w.t.fd, buf, sizeof(buf))), UDP4 + 1);
	}
}

/* The lowest number that no eventfd of the system has is the next one's. */
static long eventfd_id(int efd)
{
	const char *line;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", efd);
	line = strstr(read_file(path), "eventfd-id:");
	return line ? atol(line + strlen("eventfd-id:")) : -1;
}

TEST(closed_files_keep_no_eventfd)
{
	long first = -1;

	for (int i = 0; i < 50; i++) {
		int rx = new_eventfd(), tx = new_eventfd();
		struct tun t = tun_open("", IFF_TUN);

		if (i == 0)
			first = eventfd_id(tx);
		else if (eventfd_id(tx) > first + 10)
			fail("round %d: id %ld, it began with %ld", i, eventfd_id(tx), first);
		must(set_eventfds(t.fd, rx, tx));
		must(set_eventfds(t.fd, tx, tx));
		if (i % 3 == 0)
			must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		must(set_eventfds(t.fd, rx, i % 2 ? tx : -1));
		close(rx);
		close(tx);
		close(t.fd);
	}
	if (first < 0)
		skip("this kernel does not number eventfds");
}

/* The eventfds and the file itself in one epoll, that in another, and those polled. */
TEST(nested_epolls_hear_all)
{
	struct told w = told_ring(0);
	int inner = must(epoll_create1(EPOLL_CLOEXEC));
	int outer = must(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	struct pollfd p = { .fd = outer, .events = POLLIN };

	must(epoll_ctl(inner, EPOLL_CTL_ADD, w.rx, &e));
	must(epoll_ctl(inner, EPOLL_CTL_ADD, w.tx, &e));
	e.events = EPOLLIN | EPOLLOUT | EPOLLET;
	must(epoll_ctl(inner, EPOLL_CTL_ADD, w.t.fd, &e));
	e.events = EPOLLIN;
	must(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &e));
	must(epoll_ctl(outer, EPOLL_CTL_ADD, w.rx, &e));
	for (int i = 0; i < 200; i++) {
		struct epoll_event out[8];

		while (must(epoll_wait(inner, out, ARRAY_SIZE(out), 0)))
			;
		expect_eq(must(poll(&p, 1, 0)), 0);
		udp_send(w.udp, "x", 1);
		tx_records(&w, 1);
		expect_eq(must(poll(&p, 1, 5000)), 1);
		expect_eq(must(epoll_wait(inner, out, ARRAY_SIZE(out), 0)), 3);
		expect_eq(signals(w.rx), 1);
		expect_eq(signals(w.tx), 1);
		ring_rx_drain(&w.r);
	}
}

/* Stress. */

enum {
	SECONDS = 4
};

static volatile bool stop;
static volatile uint64_t sent;

static void *send_all_the_time(void *arg)
{
	while (!stop) {
		/* No buffer, no route any more: the ring does not see these. */
		if (send(*(int *)arg, "0123456789", 10, 0) < 0)
			sleep_ms(1);
		else if (++sent % 97 == 0)
			sleep_ms(1);
	}
	return NULL;
}

TEST_WITHIN(60, no_signal_of_a_packet_is_lost)
{
	struct told w = told_ring(MYTUN_RINGS_F_EVENT_IDX);
	struct pollfd p = { .fd = w.rx, .events = POLLIN };
	uint64_t got = 0, slept = 0, last = rounds(1000000, 20000);
	double end = now() + SECONDS;
	pthread_t thread;

	pthread_create(&thread, NULL, send_all_the_time, &w.udp);
	while (now() < end && slept < last) {
		got += ring_rx_drain(&w.r);
		__atomic_store_n(&w.r.rx_cons->event, w.r.rx, __ATOMIC_RELAXED);
		full_barrier();
		if (ring_rx(&w.r))
			continue;
		slept++;
		if (must(poll(&p, 1, 2000)) == 0)
			fail("asleep at %u, there is %u", w.r.rx, w.r.rx_prod->pos);
		signals(w.rx);
	}
	stop = true;
	pthread_join(thread, NULL);
	got += ring_rx_drain(&w.r);
	/* A full ring is an error of send(2) too. */
	expect(got <= sent + w.r.rx_prod->drops && got + w.r.rx_prod->drops >= sent);
	expect(got > 500 && slept > 10);
}

static void *replace_all_the_time(void *arg)
{
	const struct told *w = arg;
	unsigned int seed = (uintptr_t)&seed;
	int own = new_eventfd();

	while (!stop) {
		const int fds[] = { w->rx, w->tx, own, -1 };
		int fd = rand_r(&seed) % 4;

		must(set_eventfds(w->t.fd, fds[fd], fds[rand_r(&seed) % 4]));
		if (fds[fd] == own && rand_r(&seed) % 2) {
			close(own); /* the queue has the last reference */
			own = new_eventfd();
		}
	}
	close(own);
	return NULL;
}

static void *transmit_all_the_time(void *arg)
{
	struct told *w = arg;
	struct packet p;

	packet_inbound(&p, &w->t, AF_INET, "x", 1);
	while (!stop) {
		if (!w->r.map) {
			if (write(w->t.fd, p.bytes, p.len) < 0)
				sleep_ms(1);
			continue;
		}
		if (ring_tx_room(&w->r) > 1024)
			ring_tx_packet(&w->r, p.bytes, p.len);
		ring_tx_publish(&w->r);
		ring_doorbell(&w->r);
		ring_rx_drain(&w->r);
	}
	return NULL;
}

/* Until the queue has gone in one way or the other, and a while longer. */
static void replaced_under_traffic(int round)
{
	struct told w = round % 2 ? told_plain(IFF_TUN) : told_ring(0);
	pthread_t threads[4];

	stop = false;
	pthread_create(&threads[0], NULL, send_all_the_time, &w.udp);
	pthread_create(&threads[1], NULL, transmit_all_the_time, &w);
	pthread_create(&threads[2], NULL, replace_all_the_time, &w);
	pthread_create(&threads[3], NULL, replace_all_the_time, &w);
	sleep_ms(200);
	switch (round % 3) {
	case 0:
		must(ioctl(w.t.fd, MYTUN_IOC_DETACH, 0));
		break;
	case 1:
		iface_del(w.t.name);
		break;
	}
	sleep_ms(20);
	stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	if (w.r.map)
		ring_unmap(&w.r);
	close(w.t.fd);
	close(w.udp);
	close(w.rx);
	close(w.tx);
	eventually(!iface_exists("tun0"));
}

TEST_WITHIN(60, eventfds_come_and_go_under_traffic)
{
	for (int round = 0; round < 12; round++)
		replaced_under_traffic(round);
}
