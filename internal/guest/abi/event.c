// SPDX-License-Identifier: MIT
/*
 * Who is woken when: event positions in both directions, poll and epoll. An epoll
 * item that is edge-triggered comes up once for each wake-up, and so shows them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

struct watched {
	struct tun t;
	struct ring r;
	int udp;
	int epoll;
};

static struct watched watch(uint32_t flags, uint32_t events)
{
	struct epoll_event e = { .events = events };
	struct watched w = { .t = tun_open_up(IFF_TUN) };
	struct mytun_rings args = ring_args(1 << 12);

	args.flags = flags;
	w.r = ring_new(w.t.fd, args);
	w.udp = udp_here(AF_INET);
	w.epoll = must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(w.epoll, EPOLL_CTL_ADD, w.t.fd, &e));
	must(epoll_wait(w.epoll, &e, 1, 0)); /* how it was when it came in */
	return w;
}

/* The events that came up since the last call. */
static uint32_t came_up(struct watched *w)
{
	struct epoll_event e;

	return must(epoll_wait(w->epoll, &e, 1, 0)) ? e.events : 0;
}

static short poll_now(const struct ring *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN | POLLOUT };

	must(poll(&p, 1, 0));
	return p.revents;
}

static long long rx_wakeups(struct watched *w)
{
	return iface_ethtool(w->t.name, "rx_q0_wakeups");
}

static long long tx_wakeups(struct watched *w)
{
	return iface_ethtool(w->t.name, "tx_q0_wakeups");
}

/* Each of these is a record of 64 bytes, in either direction. */
static void one_rx(struct watched *w)
{
	udp_send(w->udp, "x", 1);
}

static void tx_records(struct watched *w, int n)
{
	struct packet p;

	packet_inbound(&p, &w->t, AF_INET, "x", 1);
	while (n--)
		ring_tx_packet(&w->r, p.bytes, p.len);
}

TEST(a_packet_wakes_only_when_it_passes_the_event_position)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN | EPOLLET);

	w.r.rx_cons->event = 2 * 64;
	for (int i = 0; i < 6; i++) {
		one_rx(&w);
		expect_eq(came_up(&w), i == 2 ? EPOLLIN : 0);
		expect_eq(rx_wakeups(&w), i >= 2);
	}
}

TEST(an_event_position_within_a_record_counts_as_that_records)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN | EPOLLET);

	for (uint32_t off = 0; off < 64; off += 9) {
		w.r.rx_cons->event = w.r.rx_prod->pos + 64 + off;
		one_rx(&w);
		expect_eq(came_up(&w), 0);
		one_rx(&w);
		expect_eq(came_up(&w), EPOLLIN);
		one_rx(&w);
		expect_eq(came_up(&w), 0);
		ring_rx_drain(&w.r);
	}
	expect_eq(rx_wakeups(&w), 8);
}

TEST(the_own_position_as_event_wakes_at_the_next_packet)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN | EPOLLET);

	for (int i = 0; i < 100; i++) {
		expect(!ring_rx(&w.r));
		w.r.rx_cons->event = w.r.rx;
		full_barrier();
		one_rx(&w);
		expect_eq(came_up(&w), EPOLLIN);
		one_rx(&w);
		expect_eq(came_up(&w), 0);
		expect_eq(ring_rx_drain(&w.r), 2);
	}
	expect_eq(rx_wakeups(&w), 100);
}

TEST(an_event_position_that_was_passed_long_ago_wakes_nobody)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN | EPOLLET);

	for (int i = 0; i < 200; i++) {
		one_rx(&w);
		expect_eq(came_up(&w), i == 0 ? EPOLLIN : 0);
		expect_eq(ring_rx_drain(&w.r), 1);
	}
	expect_eq(rx_wakeups(&w), 1);
}

TEST(poll_sees_a_record_that_woke_nobody)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN | EPOLLET);

	w.r.rx_cons->event = 1 << 20;
	expect_eq(poll_now(&w.r), POLLOUT);
	one_rx(&w);
	expect_eq(poll_now(&w.r), POLLIN | POLLOUT);
	ring_rx_drain(&w.r);
	expect_eq(poll_now(&w.r), POLLOUT);
}

TEST(without_the_flag_every_packet_wakes)
{
	struct watched w = watch(0, EPOLLIN | EPOLLET);

	w.r.rx_cons->event = 1 << 20; /* not looked at */
	for (int i = 1; i <= 20; i++) {
		one_rx(&w);
		expect_eq(came_up(&w), EPOLLIN);
		expect_eq(rx_wakeups(&w), i);
	}
}

TEST(level_triggered_epoll_reports_until_the_ring_is_empty)
{
	struct watched w = watch(0, EPOLLIN);

	expect_eq(came_up(&w), 0);
	one_rx(&w);
	one_rx(&w);
	for (int i = 0; i < 5; i++)
		expect_eq(came_up(&w), EPOLLIN);
	ring_rx_done(&w.r);
	expect_eq(came_up(&w), EPOLLIN);
	ring_rx_done(&w.r);
	expect_eq(came_up(&w), 0);
}

TEST(a_program_that_keeps_records_polls_for_the_one_after_them)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN | EPOLLET);

	one_rx(&w);
	one_rx(&w);
	w.r.rx_cons->event = 2 * 64; /* rx_cons->pos stays at 0 */
	expect_eq(poll_now(&w.r) & POLLIN, 0);
	came_up(&w);
	one_rx(&w);
	expect_eq(poll_now(&w.r) & POLLIN, POLLIN);
	expect_eq(came_up(&w), EPOLLIN);
	w.r.rx_cons->event = 3 * 64;
	expect_eq(poll_now(&w.r) & POLLIN, 0);
	expect_eq(ring_rx_drain(&w.r), 3);
	expect_eq(poll_now(&w.r) & POLLIN, 0);
	one_rx(&w);
	expect_eq(poll_now(&w.r) & POLLIN, POLLIN);
	/* Its headers are its own meanwhile. */
	memset(w.r.rx_data, 0xff, 3 * 64);
	expect_eq(poll_now(&w.r) & POLLIN, POLLIN);
}

static void send_when_asleep(void *arg)
{
	wait_asleep(getppid());
	one_rx(arg);
}

TEST(poll_without_the_flag_sleeps_until_a_packet_comes)
{
	struct watched w = watch(0, EPOLLIN);
	struct pollfd p = { .fd = w.t.fd, .events = POLLIN };
	pid_t child = spawn(send_when_asleep, &w);

	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect_eq(p.revents, POLLIN);
	expect(ring_rx(&w.r));
	spawn_wait(child);
}

TEST(poll_with_the_own_position_as_event_sleeps_until_a_packet_comes)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN);
	struct pollfd p = { .fd = w.t.fd, .events = POLLIN };
	pid_t child;

	one_rx(&w); /* not at the very beginning */
	ring_rx_drain(&w.r);
	w.r.rx_cons->event = w.r.rx;
	full_barrier();
	child = spawn(send_when_asleep, &w);
	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect_eq(p.revents, POLLIN);
	spawn_wait(child);
}

static volatile sig_atomic_t sigio;

static void on_sigio(int sig)
{
	sigio += sig == SIGIO;
}

TEST(a_packet_in_a_ring_sends_sigio)
{
	struct watched w = watch(0, EPOLLIN);

	signal(SIGIO, on_sigio);
	must(fcntl(w.t.fd, F_SETOWN, getpid()));
	must(fcntl(w.t.fd, F_SETFL, O_ASYNC | O_NONBLOCK));
	one_rx(&w);
	eventually(sigio == 1);
}

/* Transmitting: room, and the kernel's position. */

TEST(there_is_room_to_send_while_half_of_the_ring_is_free)
{
	struct watched w = watch(0, EPOLLOUT);

	expect_eq(poll_now(&w.r), POLLOUT);
	tx_records(&w, 32); /* half */
	ring_tx_publish(&w.r);
	expect_eq(poll_now(&w.r), POLLOUT);
	tx_records(&w, 1);
	ring_tx_publish(&w.r);
	expect_eq(poll_now(&w.r), 0);
	tx_records(&w, 31);
	ring_tx_publish(&w.r);
	expect_eq(poll_now(&w.r), 0);
	ring_tx_flush(&w.r);
	expect_eq(poll_now(&w.r), POLLOUT);
}

TEST(a_passed_event_position_is_room_to_send)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLOUT);

	tx_records(&w, 5);
	ring_tx_flush(&w.r); /* the kernel's position is 320 */
	tx_records(&w, 64);
	w.r.tx_prod->event = 5 * 64; /* passed when it is at more */
	ring_tx_publish(&w.r);
	expect_eq(poll_now(&w.r), 0);
	w.r.tx_prod->event = 5 * 64 - 1;
	expect_eq(poll_now(&w.r), POLLOUT);
	w.r.tx_prod->event = 60 * 64;
	expect_eq(poll_now(&w.r), 0);
}

TEST(a_sender_that_needs_more_than_half_waits_for_more_than_half)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLOUT);

	tx_records(&w, 10); /* 54 are free */
	w.r.tx_prod->event = 10 * 64 - 1; /* and it wants 64 */
	ring_tx_publish(&w.r);
	expect_eq(poll_now(&w.r), 0);
	ring_tx_flush(&w.r);
	expect_eq(poll_now(&w.r), POLLOUT);
}

TEST(without_the_flag_the_senders_event_position_is_ignored)
{
	struct watched w = watch(0, EPOLLOUT);

	tx_records(&w, 5);
	ring_tx_flush(&w.r);
	tx_records(&w, 64);
	w.r.tx_prod->event = 1;
	ring_tx_publish(&w.r);
	expect_eq(poll_now(&w.r), 0);
}

TEST(a_sender_is_woken_only_when_the_kernel_passes_its_event_position)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLOUT | EPOLLET);

	w.r.tx_prod->event = 7 * 64 - 1; /* wait for position 7 * 64 */
	tx_records(&w, 3);
	ring_tx_flush(&w.r);
	expect_eq(came_up(&w), 0);
	tx_records(&w, 3);
	ring_tx_flush(&w.r);
	expect_eq(came_up(&w), 0);
	expect_eq(tx_wakeups(&w), 0);
	tx_records(&w, 3);
	ring_tx_flush(&w.r);
	expect_eq(came_up(&w), EPOLLOUT);
	expect_eq(tx_wakeups(&w), 1);
	tx_records(&w, 3);
	ring_tx_flush(&w.r);
	expect_eq(came_up(&w), 0);
	expect_eq(tx_wakeups(&w), 1);
}

TEST(without_the_flag_a_waiting_sender_is_woken_at_every_batch)
{
	struct watched w = watch(0, EPOLLOUT | EPOLLET);

	w.r.tx_prod->event = 1 << 20; /* not looked at */
	for (int i = 1; i <= 10; i++) {
		tx_records(&w, 3);
		ring_tx_flush(&w.r);
		expect_eq(came_up(&w), EPOLLOUT);
		expect_eq(tx_wakeups(&w), i);
	}
}

static void ring_when_asleep(void *arg)
{
	struct watched *w = arg;

	wait_asleep(getppid());
	must(ring_doorbell(&w->r));
}

TEST(a_sender_sleeps_until_there_is_room)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN);
	struct pollfd p = { .fd = w.t.fd, .events = POLLOUT };
	pid_t child;

	tx_records(&w, 64);
	w.r.tx_prod->event = 64 - 1; /* one record's room */
	ring_tx_publish(&w.r);
	child = spawn(ring_when_asleep, &w);
	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect_eq(p.revents, POLLOUT);
	spawn_wait(child);
}

TEST(a_doorbell_is_wanted_when_the_kernel_has_consumed_all)
{
	struct watched w = watch(MYTUN_RINGS_F_EVENT_IDX, EPOLLIN);

	for (int i = 0; i < 300; i++) {
		uint32_t old = w.r.tx;

		tx_records(&w, 1 + i % 5);
		ring_tx_publish(&w.r);
		full_barrier();
		if (!mytun_need_event(load_acquire(&w.r.tx_cons->event), w.r.tx, old))
			fail("round %d: event %u, from %u to %u", i, w.r.tx_cons->event, old,
			     w.r.tx);
		must(ring_doorbell(&w.r));
		eventually(load_acquire(&w.r.tx_cons->pos) == w.r.tx);
		/* The kernel may still be on its way to sleep. */
		eventually(load_acquire(&w.r.tx_cons->event) == w.r.tx);
	}
}
