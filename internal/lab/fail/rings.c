// SPDX-License-Identifier: MIT
/* Rings, their mapping, and whatever one waits by. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "iface.h"
#include "leak.h"
#include "nth.h"
#include "state.h"

/* Pages enough that some are had before one fails, and few enough to try each. */
#define RING_SIZE (1 << 14)

static void rings(const char *what, int flags)
{
	struct failing f = failing(what);

	while (fail_next(&f)) {
		struct tun t = tun_open("ring0", flags);
		struct ring r = { .fd = t.fd, .g = ring_args(RING_SIZE) };
		long before = leak_figures().vmaps;

		must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
		iface_up_bare(t.name);
		under(&f, ioctl(t.fd, MYTUN_IOC_RINGS, &r.g));
		if (!fail_done(&f, ENOMEM, EFAULT)) {
			/* It is a plain file as before, and can have others. */
			expect_eq(leak_figures().vmaps, before);
			carry_plain(&t);
			r.g = ring_args(2 * RING_SIZE);
			must(ioctl(t.fd, MYTUN_IOC_RINGS, &r.g));
		}
		expect_eq(leak_figures().vmaps, before + 1);
		must((intptr_t)ring_map(&r));
		carry_ring(&t, &r);
		ring_unmap(&r);
		tun_close(&t);
		eventually(leak_figures().vmaps == before);
	}
}

TEST_WITHIN(300, rings_come_or_do_not)
{
	rings("MYTUN_IOC_RINGS", IFF_TUN);
}

TEST_WITHIN(300, rings_come_in_place_of_napi_or_do_not)
{
	rings("MYTUN_IOC_RINGS, IFF_NAPI", IFF_TAP | IFF_NAPI);
}

struct ringed {
	struct tun t;
	struct ring r;
};

static struct ringed ringed(void)
{
	struct ringed q = { .t = tun_open("ring0", IFF_TUN) };

	q.r = ring_new(q.t.fd, ring_args(RING_SIZE));
	iface_up_bare(q.t.name);
	return q;
}

TEST_WITHIN(300, rings_are_mapped_or_not)
{
	struct failing f = failing("mmap");
	struct ringed q = ringed();

	while (fail_next(&f)) {
		struct ring r = q.r;

		under(&f, (intptr_t)ring_map(&r));
		if (fail_done(&f, ENOMEM)) {
			carry_ring(&q.t, &r);
			ring_unmap(&r);
			q.r.rx = r.rx;
			q.r.tx = r.tx;
		}
		carry_ring(&q.t, &q.r);
	}
}

TEST_WITHIN(300, rings_are_unmapped_or_not)
{
	struct failing f = failing("munmap");
	struct ringed q = ringed();

	while (fail_next(&f)) {
		under(&f, munmap(q.r.map, q.r.g.map_size));
		if (fail_done(&f, ENOMEM))
			must((intptr_t)ring_map(&q.r));
		carry_ring(&q.t, &q.r);
	}
}

/* A hole makes two mappings of one, and one of them need not come about. */
TEST_WITHIN(300, a_page_of_rings_is_unmapped_or_not)
{
	struct failing f = failing("munmap, a page in the middle");
	struct ringed q = ringed();
	long page = sysconf(_SC_PAGESIZE);

	while (fail_next(&f)) {
		struct ring r = q.r;
		char *hole;

		must((intptr_t)ring_map(&r));
		hole = r.map + r.g.rx_data + page;
		under(&f, munmap(hole, page));
		if (!fail_done(&f, ENOMEM))
			*(volatile char *)hole = 1;
		ring_unmap(&r);
		carry_ring(&q.t, &q.r);
	}
}

static pid_t fork_and_end(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid;
}

TEST_WITHIN(300, a_process_with_rings_forks_or_does_not)
{
	struct failing f = failing("fork");
	struct ringed q = ringed();

	while (fail_next(&f)) {
		under(&f, fork_and_end());
		if (fail_done(&f, ENOMEM, EAGAIN))
			must(waitpid(f.ret, NULL, 0));
		carry_ring(&q.t, &q.r);
	}
}

static void expect_readable(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	expect_eq(must(poll(&p, 1, 1000)), 1);
	expect_eq(p.revents, events);
}

static void send_one(const struct tun *t)
{
	static struct frame frame;
	int raw = frame_socket(t->name);

	frame_new(&frame, t->tap, 200, 9);
	must(frame_out(raw, &frame));
	close(raw);
}

TEST_WITHIN(300, poll_tells_or_fails)
{
	struct failing f = failing("poll");
	struct ringed q = ringed();
	struct pollfd p = { .fd = q.t.fd, .events = POLLIN };

	send_one(&q.t);
	while (fail_next(&f)) {
		p.revents = 0;
		under(&f, poll(&p, 1, 0));
		if (fail_done(&f, EFAULT, ENOMEM))
			expect(f.ret == 1 && p.revents == POLLIN);
	}
	expect_eq(ring_rx_drain(&q.r), 1);
	carry_ring(&q.t, &q.r);
}

TEST_WITHIN(300, epoll_watches_or_does_not)
{
	struct failing f = failing("EPOLL_CTL_ADD");
	struct ringed q = ringed();
	int ep = must(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event e = { .events = EPOLLIN }, got;

	while (fail_next(&f)) {
		under(&f, epoll_ctl(ep, EPOLL_CTL_ADD, q.t.fd, &e));
		if (!fail_done(&f, EFAULT, ENOMEM))
			must(epoll_ctl(ep, EPOLL_CTL_ADD, q.t.fd, &e));
		expect_eq(must(epoll_wait(ep, &got, 1, 0)), 0);
		send_one(&q.t);
		expect_eq(must(epoll_wait(ep, &got, 1, 1000)), 1);
		expect_eq(ring_rx_drain(&q.r), 1);
		must(epoll_ctl(ep, EPOLL_CTL_DEL, q.t.fd, NULL));
	}
}

TEST_WITHIN(300, signals_are_asked_for_or_not)
{
	struct failing f = failing("F_SETFL, O_ASYNC");
	struct ringed q = ringed();

	while (fail_next(&f)) {
		under(&f, fcntl(q.t.fd, F_SETFL, O_ASYNC));
		if (!fail_done(&f, ENOMEM)) {
			expect(!(fcntl(q.t.fd, F_GETFL) & O_ASYNC));
			must(fcntl(q.t.fd, F_SETFL, O_ASYNC));
		}
		expect(fcntl(q.t.fd, F_GETFL) & O_ASYNC);
		must(fcntl(q.t.fd, F_SETFL, 0));
		carry_ring(&q.t, &q.r);
	}
}

static int set_eventfds(int fd, int rx, int tx)
{
	struct mytun_eventfds arg = { .rx = rx, .tx = tx };

	return ioctl(fd, MYTUN_IOC_EVENTFDS, &arg);
}

static bool signalled(int efd)
{
	eventfd_t n;

	return !eventfd_read(efd, &n);
}

TEST_WITHIN(300, eventfds_are_replaced_or_not)
{
	struct failing f = failing("MYTUN_IOC_EVENTFDS");
	struct ringed q = ringed();
	int old = must(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	int new = must(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

	while (fail_next(&f)) {
		bool done;

		must(set_eventfds(q.t.fd, old, -1));
		expect(signalled(old));
		under(&f, set_eventfds(q.t.fd, new, -1));
		done = fail_done(&f, EFAULT);
		expect_eq(signalled(new), done);
		send_one(&q.t);
		expect_eq(signalled(new), done);
		expect_eq(signalled(old), !done);
		expect_eq(ring_rx_drain(&q.r), 1);
	}
}

/* A file that others wait on can always go. */
TEST_WITHIN(300, a_queue_with_rings_can_always_detach)
{
	struct failing f = failing("MYTUN_IOC_DETACH, rings, a thread, epoll and SIGIO");
	struct mytun_mode mode = { .inject = MYTUN_INJECT_THREAD };

	while (fail_next(&f)) {
		struct ringed q = ringed();
		int ep = must(epoll_create1(EPOLL_CLOEXEC));
		struct epoll_event e = { .events = EPOLLIN };

		must(ioctl(q.t.fd, MYTUN_IOC_SET_MODE, &mode));
		must(epoll_ctl(ep, EPOLL_CTL_ADD, q.t.fd, &e));
		under(&f, ioctl(q.t.fd, MYTUN_IOC_DETACH, 0));
		fail_cannot(&f);
		expect_eq(must(epoll_wait(ep, &e, 1, 0)), 1);
		expect_readable(q.t.fd, POLLIN | POLLHUP);
		expect(!iface_exists(q.t.name));
		close(ep);
		ring_unmap(&q.r);
		tun_close(&q.t);
	}
}
