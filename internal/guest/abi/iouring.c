// SPDX-License-Identifier: MIT
/* io_uring on a queue's file: reads and writes without rings, and waiting with them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "slow.h"
#include "uring.h"

static struct io_uring_sqe rw(int op, int fd, const void *at, unsigned int len)
{
	return (struct io_uring_sqe){
		.opcode = op,
		.fd = fd,
		.addr = (uintptr_t)at,
		.len = len,
	};
}

static struct io_uring_sqe poll_add(int fd, unsigned int events, bool multishot)
{
	return (struct io_uring_sqe){
		.opcode = IORING_OP_POLL_ADD,
		.fd = fd,
		.len = multishot ? IORING_POLL_ADD_MULTI : 0,
		.poll32_events = events,
	};
}

static void cancel(struct uring *u, uint64_t id)
{
	uring_submit(u, (struct io_uring_sqe){ .opcode = IORING_OP_ASYNC_CANCEL, .addr = id },
		     1000 + id);
}

/* A cancelled request and its cancellation complete in either order. */
static void expect_cancelled(struct uring *u, uint64_t id)
{
	bool cancelled = false;

	for (int i = 0; i < 2; i++) {
		struct uring_done done = uring_wait(u);

		if (done.id == id) {
			if (done.res != -ECANCELED && done.res != -EINTR)
				fail("the cancelled request completes with %d", done.res);
			cancelled = true;
		} else {
			expect_eq(done.id, 1000 + id);
			if (done.res != 0 && done.res != -EALREADY)
				fail("the cancellation completes with %d", done.res);
		}
	}
	expect(cancelled);
}

/* Reads and writes. */

TEST(a_read_takes_the_packet_that_is_there)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	uint8_t buf[100];

	udp_send(udp, "there", 5);
	uring_submit(&u, rw(IORING_OP_READ, t.fd, buf, sizeof(buf)), 1);
	uring_expect(&u, 1, UDP4 + 5);
	expect(!memcmp(buf + UDP4, "there", 5));
}

TEST(reads_wait_for_packets_without_threads)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	static uint8_t bufs[32][100];
	struct iovec iov[32];
	unsigned int seen = 0;

	for (int i = 0; i < 32; i++) {
		iov[i] = (struct iovec){ bufs[i], sizeof(bufs[i]) };
		if (i % 2)
			uring_submit(&u, rw(IORING_OP_READ, t.fd, bufs[i], sizeof(bufs[i])), i);
		else
			uring_submit(&u, rw(IORING_OP_READV, t.fd, &iov[i], 1), i);
	}
	uring_expect_none(&u);
	expect_eq(uring_workers(), 0);
	for (int i = 0; i < 32; i++) {
		struct uring_done done;

		udp_send(udp, "woken", 5);
		done = uring_wait(&u);
		expect_eq(done.res, UDP4 + 5);
		expect(!(seen & 1U << done.id));
		seen |= 1U << done.id;
		expect(!memcmp(bufs[done.id] + UDP4, "woken", 5));
	}
	expect_eq(uring_workers(), 0);
}

TEST(a_read_of_a_nonblocking_file_waits_all_the_same)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	uint8_t buf[100];

	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	uring_submit(&u, rw(IORING_OP_READ, t.fd, buf, sizeof(buf)), 1);
	uring_expect_none(&u);
	udp_send(udp, "x", 1);
	uring_expect(&u, 1, UDP4 + 1);
	expect_eq(uring_workers(), 0);
}

TEST(a_read_that_must_not_wait_does_not)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	struct io_uring_sqe sqe;
	uint8_t buf[100];
	struct iovec iov = { buf, sizeof(buf) };

	expect_errno(preadv2(t.fd, &iov, 1, -1, RWF_NOWAIT), EAGAIN);
	sqe = rw(IORING_OP_READ, t.fd, buf, sizeof(buf));
	sqe.rw_flags = RWF_NOWAIT;
	uring_submit(&u, sqe, 1);
	uring_expect(&u, 1, -EAGAIN);
	udp_send(udp, "x", 1);
	expect_eq(must(preadv2(t.fd, &iov, 1, -1, RWF_NOWAIT)), UDP4 + 1);
}

TEST(writes_go_up_the_stack)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	struct packet p;
	struct iovec iov[2];

	packet_inbound(&p, &t, AF_INET, "written", 7);
	uring_submit(&u, rw(IORING_OP_WRITE, t.fd, p.bytes, p.len), 1);
	uring_expect(&u, 1, p.len);
	udp_expect(udp, "written", 7);
	iov[0] = (struct iovec){ p.bytes, 11 };
	iov[1] = (struct iovec){ p.bytes + 11, p.len - 11 };
	uring_submit(&u, rw(IORING_OP_WRITEV, t.fd, iov, 2), 2);
	uring_expect(&u, 2, p.len);
	udp_expect(udp, "written", 7);
	uring_submit(&u, rw(IORING_OP_WRITE, t.fd, p.bytes, 0), 3);
	uring_expect(&u, 3, -EINVAL);
	expect_eq(uring_workers(), 0);
}

TEST(records_are_read_and_written)
{
	struct tun t = tun_open_up(IFF_TUN);
	static struct records r, w;
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	struct packet p;
	struct uring_done done;

	records_on(t.fd);
	for (int i = 0; i < 100; i++) {
		packet_inbound(&p, &t, AF_INET, "0123456789", 1 + i % 10);
		records_add(&w, &p);
	}
	uring_submit(&u, rw(IORING_OP_WRITE, t.fd, w.bytes, w.len), 1);
	uring_expect(&u, 1, w.len);
	for (int i = 0; i < 100; i++)
		udp_expect(udp, "0123456789", 1 + i % 10);

	uring_submit(&u, rw(IORING_OP_READ, t.fd, r.bytes, sizeof(r.bytes)), 2);
	uring_expect_none(&u);
	udp_send(udp, "x", 1);
	done = uring_wait(&u);
	expect_eq(done.id, 2);
	expect_eq(records_parse(&r, done.res), 1);
	for (int i = 0; i < 30; i++)
		udp_send(udp, "x", 1);
	uring_submit(&u, rw(IORING_OP_READ, t.fd, r.bytes, sizeof(r.bytes)), 3);
	done = uring_wait(&u);
	expect_eq(records_parse(&r, done.res), 30);
	udp_send(udp, "x", 1);
	uring_submit(&u, rw(IORING_OP_READ, t.fd, r.bytes, 63), 4);
	uring_expect(&u, 4, -EMSGSIZE);
	expect_eq(uring_workers(), 0);
}

TEST(a_write_waits_for_room_without_a_thread)
{
	struct tun t = slow_open(20000);
	struct uring u = uring_new();
	struct packet p;

	slow_frame(&p);
	slow_fill_up(&t, &p);
	must(fcntl(t.fd, F_SETFL, 0));
	uring_submit(&u, rw(IORING_OP_WRITE, t.fd, p.bytes, p.len), 1);
	uring_expect_none(&u);
	expect_eq(uring_workers(), 0);
	slow_release();
	uring_expect(&u, 1, p.len);
}

TEST(records_wait_for_room_without_a_thread)
{
	struct tun t = slow_open(20000);
	static struct records r;
	struct uring u = uring_new();
	struct uring_done done;
	struct packet p;

	slow_frame(&p);
	records_on(t.fd);
	for (int i = 0; i < 50; i++)
		records_add(&r, &p);
	/* What there is room for. */
	uring_submit(&u, rw(IORING_OP_WRITE, t.fd, r.bytes, r.len), 1);
	done = uring_wait(&u);
	if (done.res <= 0 || done.res >= (int)r.len || done.res % r.rec[0]->size)
		fail("the first write completes with %d", done.res);
	/* And what one frame that went its way left. */
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	while (write(t.fd, r.bytes, r.len) > 0)
		;
	must(fcntl(t.fd, F_SETFL, 0));
	uring_submit(&u, rw(IORING_OP_WRITE, t.fd, r.bytes, r.rec[0]->size), 2);
	uring_expect_none(&u);
	expect_eq(uring_workers(), 0);
	slow_release();
	uring_expect(&u, 2, r.rec[0]->size);
}

/* Waiting. */

TEST(a_poll_completes_once)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	char buf[100];

	uring_submit(&u, poll_add(t.fd, POLLIN, false), 1);
	uring_expect_none(&u);
	udp_send(udp, "x", 1);
	uring_expect(&u, 1, POLLIN);
	udp_send(udp, "x", 1);
	uring_expect_none(&u);
	uring_submit(&u, poll_add(t.fd, POLLIN, false), 2);
	uring_expect(&u, 2, POLLIN);
	for (int i = 0; i < 2; i++)
		must(read(t.fd, buf, sizeof(buf)));
	uring_submit(&u, poll_add(t.fd, POLLOUT, false), 3);
	uring_expect(&u, 3, POLLOUT);
}

static void expect_more(struct uring *u, uint64_t id, int res)
{
	struct uring_done done = uring_wait(u);

	expect_eq(done.id, id);
	expect_eq(done.res, res);
	if (!(done.flags & IORING_CQE_F_MORE))
		skip("this kernel has no multishot poll");
}

TEST(a_multishot_poll_completes_for_each_packet)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	char buf[100];

	uring_submit(&u, poll_add(t.fd, POLLIN, true), 1);
	uring_expect_none(&u);
	for (int i = 0; i < 20; i++) {
		udp_send(udp, "x", 1);
		expect_more(&u, 1, POLLIN);
		must(read(t.fd, buf, sizeof(buf)));
		uring_expect_none(&u);
	}
	cancel(&u, 1);
	expect_cancelled(&u, 1);
}

static struct ring new_ring(struct tun *t, uint32_t flags)
{
	struct mytun_rings args = ring_args(1 << 12);

	args.flags = flags;
	return ring_new(t->fd, args);
}

TEST(a_multishot_poll_hears_each_record_of_a_ring)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = new_ring(&t, 0);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);

	uring_submit(&u, poll_add(t.fd, POLLIN, true), 1);
	uring_expect_none(&u);
	for (int i = 0; i < 20; i++) {
		udp_send(udp, "x", 1);
		expect_more(&u, 1, POLLIN);
		expect_eq(ring_rx_drain(&r), 1);
	}
	expect_eq(iface_ethtool(t.name, "rx_q0_wakeups"), 20);
}

TEST(with_the_event_index_a_poll_completes_when_the_position_is_passed)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = new_ring(&t, MYTUN_RINGS_F_EVENT_IDX);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);

	for (int round = 1; round <= 10; round++) {
		r.rx_cons->event = r.rx + 2 * 64;
		full_barrier();
		uring_submit(&u, poll_add(t.fd, POLLIN, false), round);
		for (int i = 0; i < 2; i++) {
			udp_send(udp, "x", 1);
			uring_expect_none(&u);
		}
		udp_send(udp, "x", 1);
		uring_expect(&u, round, POLLIN);
		expect_eq(iface_ethtool(t.name, "rx_q0_wakeups"), round);
		expect_eq(ring_rx_drain(&r), 3);
	}
}

TEST(with_the_event_index_a_multishot_poll_completes_when_the_position_is_passed)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = new_ring(&t, MYTUN_RINGS_F_EVENT_IDX);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);

	uring_submit(&u, poll_add(t.fd, POLLIN, true), 1);
	for (int round = 1; round <= 10; round++) {
		r.rx_cons->event = r.rx + 64;
		full_barrier();
		udp_send(udp, "x", 1);
		uring_expect_none(&u);
		udp_send(udp, "x", 1);
		expect_more(&u, 1, POLLIN);
		expect_eq(ring_rx_drain(&r), 2);
	}
}

TEST(a_poll_waits_for_room_in_the_ring)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = new_ring(&t, MYTUN_RINGS_F_EVENT_IDX);
	struct uring u = uring_new();
	struct packet p;

	sleep_ms(10); /* NAPI looks once on account of the new rings */
	packet_inbound(&p, &t, AF_INET, "x", 1);
	for (int i = 0; i < 64; i++)
		ring_tx_packet(&r, p.bytes, p.len);
	r.tx_prod->event = 64 - 1; /* one record's room */
	ring_tx_publish(&r);
	uring_submit(&u, poll_add(t.fd, POLLOUT, false), 1);
	uring_expect_none(&u);
	must(ring_doorbell(&r));
	uring_expect(&u, 1, POLLOUT);
}

/* The end of things. */

TEST(what_waits_can_be_cancelled)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	int udp = udp_here(AF_INET);
	char buf[100];

	uring_submit(&u, rw(IORING_OP_READ, t.fd, buf, sizeof(buf)), 1);
	uring_expect_none(&u);
	cancel(&u, 1);
	expect_cancelled(&u, 1);
	uring_submit(&u, poll_add(t.fd, POLLIN, false), 2);
	uring_expect_none(&u);
	cancel(&u, 2);
	expect_cancelled(&u, 2);
	/* A cancelled read takes no packet. */
	udp_send(udp, "x", 1);
	uring_expect_none(&u);
	expect_eq(must(read(t.fd, buf, sizeof(buf))), UDP4 + 1);
}

/* Whether poll(2) would say POLLIN or POLLERR beside it, or the one who wakes did. */
static void expect_end(struct uring *u, uint64_t id)
{
	struct uring_done done = uring_wait(u);

	expect_eq(done.id, id);
	if (done.res < 0 || !(done.res & POLLHUP))
		fail("the poll completes with %d", done.res);
}

TEST(what_waits_ends_when_the_queue_is_detached)
{
	struct uring u = uring_new();
	char buf[100];

	for (int records = 0; records < 2; records++) {
		struct tun t = tun_open_up(IFF_TUN);

		if (records)
			records_on(t.fd);
		uring_submit(&u, rw(IORING_OP_READ, t.fd, buf, sizeof(buf)), 1);
		uring_expect_none(&u);
		must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		uring_expect(&u, 1, -EBADFD);
		uring_submit(&u, rw(IORING_OP_WRITE, t.fd, buf, sizeof(buf)), 2);
		uring_expect(&u, 2, -EBADFD);

		t = tun_open_up(IFF_TUN);
		uring_submit(&u, poll_add(t.fd, POLLIN, false), 3);
		uring_expect_none(&u);
		iface_del(t.name);
		expect_end(&u, 3);

		t = tun_open_up(IFF_TUN);
		new_ring(&t, MYTUN_RINGS_F_EVENT_IDX);
		uring_submit(&u, poll_add(t.fd, POLLIN, false), 4);
		uring_expect_none(&u);
		must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		expect_end(&u, 4);
	}
}

TEST(a_read_that_waits_learns_of_rings)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct uring u = uring_new();
	char buf[100];

	uring_submit(&u, rw(IORING_OP_READ, t.fd, buf, sizeof(buf)), 1);
	uring_expect_none(&u);
	new_ring(&t, 0);
	uring_expect(&u, 1, -EBUSY);
}

static void submit_and_leave(void *arg)
{
	struct tun t = tun_open_up(IFF_TUN), with_ring = tun_open("", IFF_TUN);
	struct uring u = uring_new();
	static char buf[100];

	(void)arg;
	new_ring(&with_ring, 0);
	uring_submit(&u, rw(IORING_OP_READ, t.fd, buf, sizeof(buf)), 1);
	uring_submit(&u, poll_add(t.fd, POLLIN, true), 2);
	uring_submit(&u, poll_add(t.fd, POLLIN, false), 3);
	uring_submit(&u, poll_add(with_ring.fd, POLLIN, true), 4);
	uring_expect_none(&u);
	/* Requests hold the file: it goes with them, not with its descriptor. */
	close(t.fd);
	expect(iface_exists(t.name));
	uring_expect_none(&u);
}

TEST(files_go_with_the_last_request)
{
	for (int i = 0; i < 5; i++) {
		spawn_wait(spawn(submit_and_leave, NULL));
		eventually(!iface_exists("tun0") && !iface_exists("tun1"));
	}
}

TEST(a_killed_process_leaves_nothing)
{
	uring_new(); /* or skip */
	for (int i = 0; i < 5; i++) {
		struct uring u;
		struct tun t;
		char buf[100];
		int status;
		pid_t pid = must(fork());

		if (!pid) {
			t = tun_open_up(IFF_TUN);
			u = uring_new();
			uring_submit(&u, rw(IORING_OP_READ, t.fd, buf, sizeof(buf)), 1);
			uring_submit(&u, poll_add(t.fd, POLLIN, true), 2);
			raise(SIGKILL);
		}
		must(waitpid(pid, &status, 0));
		expect(WIFSIGNALED(status));
		eventually(!iface_exists("tun0"));
	}
}
