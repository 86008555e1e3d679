// SPDX-License-Identifier: MIT
/* The knobs that an administrator turns on any NIC: threaded, gro_flush_timeout. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "ring.h"
#include "segment.h"

/* The length of the next packet that goes up, 0 when none comes in time. */
static size_t captured(int raw, int ms)
{
	struct pollfd pfd = { .fd = raw, .events = POLLIN };
	char bytes[65536];

	return must(poll(&pfd, 1, ms)) ? recv(raw, bytes, sizeof(bytes), 0) : 0;
}

static void next_segment(struct ring *r, struct conn *c)
{
	char payload[500];
	struct packet p;

	fill(payload, sizeof(payload), c->seq);
	segment(&p, c, TH_ACK, payload, sizeof(payload));
	ring_tx_packet(r, p.bytes, p.len);
	ring_tx_flush(r);
}

static struct conn conn_to_nobody(void)
{
	struct conn c = conn_here(AF_INET);

	c.to = "10.9.0.77"; /* it only shall go up */
	return c;
}

/* GRO does not hold what is there when a jiffy begins: each of these may take another try. */
enum {
	TRIES = 5
};

static void expect_merged(struct ring *r, struct conn *c, int raw)
{
	for (int i = 0; i < TRIES; i++) {
		size_t len;

		next_segment(r, c);
		next_segment(r, c);
		len = captured(raw, 5000);
		if (len == TCP4 + 1000)
			return;
		expect_eq(len, TCP4 + 500);
		expect_eq(captured(raw, 5000), TCP4 + 500);
	}
	fail("no two segments were merged");
}

/* A segment that nothing has been heard of for @ms. */
static void expect_held(struct ring *r, struct conn *c, int raw, int ms)
{
	for (int i = 0; i < TRIES; i++) {
		next_segment(r, c);
		if (!captured(raw, ms))
			return;
	}
	fail("no segment was held");
}

static void doorbells_are_merged(uint32_t mode, const char *threaded)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct conn c = conn_to_nobody();
	int raw = raw_socket(t.name);

	sysfs_here();
	inject(t.fd, mode);
	if (threaded)
		iface_knob(t.name, "threaded", threaded);
	/* Without it each goes by itself. */
	next_segment(&r, &c);
	next_segment(&r, &c);
	expect_eq(captured(raw, 5000), TCP4 + 500);
	expect_eq(captured(raw, 5000), TCP4 + 500);

	iface_knob(t.name, "gro_flush_timeout", "300000000");
	expect_merged(&r, &c, raw);

	/* And what is alone comes, though no doorbell follows. */
	expect_held(&r, &c, raw, 50);
	expect_eq(captured(raw, 5000), TCP4 + 500);

	/* The same with the interrupts, had it any, deferred. */
	iface_knob(t.name, "napi_defer_hard_irqs", "2");
	expect_merged(&r, &c, raw);
	next_segment(&r, &c);
	expect_eq(captured(raw, 5000), TCP4 + 500);
	expect_eq(r.tx_cons->drops, 0);
}

TEST(doorbells_are_merged_by_softirq)
{
	doorbells_are_merged(MYTUN_INJECT_SOFTIRQ, NULL);
}

TEST(doorbells_are_merged_by_a_thread)
{
	doorbells_are_merged(MYTUN_INJECT_THREAD, NULL);
}

TEST(doorbells_are_merged_by_the_cores_thread)
{
	doorbells_are_merged(MYTUN_INJECT_SOFTIRQ, "1");
}

TEST(doorbells_are_merged_by_a_thread_beside_the_cores)
{
	doorbells_are_merged(MYTUN_INJECT_THREAD, "1");
}

/* What GRO holds was sent earlier. */
TEST(nothing_overtakes_what_gro_holds)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct conn c = conn_to_nobody();
	int raw = raw_socket(t.name);
	struct packet p;

	sysfs_here();
	iface_knob(t.name, "gro_flush_timeout", "2000000000");
	expect_held(&r, &c, raw, 50);
	/* The next is of another length, to be told from it, and waits for the change. */
	segment(&p, &c, TH_ACK, "short", 5);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_publish(&r);
	inject(t.fd, MYTUN_INJECT_DIRECT);
	expect_eq(captured(raw, 1000), TCP4 + 500);
	expect_eq(captured(raw, 1000), TCP4 + 5);
}

TEST(an_interface_goes_with_packets_that_gro_holds)
{
	sysfs_here();
	for (int i = 0; i < 12; i++) {
		struct tun t = tun_open_up(IFF_TUN);
		struct ring r = ring_small(t.fd);
		struct conn c = conn_to_nobody();

		inject(t.fd, i % 2 ? MYTUN_INJECT_THREAD : MYTUN_INJECT_SOFTIRQ);
		iface_knob(t.name, "gro_flush_timeout", "10000000000");
		next_segment(&r, &c);
		if (i % 3 == 0)
			iface_del(t.name);
		if (i % 3 == 1)
			ring_unmap(&r);
		tun_close(&t);
	}
}

TEST(both_kinds_of_threads_come_and_go)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	sysfs_here();
	packet_inbound(&p, &t, AF_INET, "x", 1);
	for (int i = 0; i < 12; i++) {
		iface_knob(t.name, "threaded", i & 1 ? "1" : "0");
		inject(t.fd, i % 3);
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_flush(&r);
		udp_expect(udp, "x", 1);
		iface_knob(t.name, "threaded", i & 2 ? "1" : "0");
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_flush(&r);
		udp_expect(udp, "x", 1);
	}
}

/* The same with the interrupts deferred, within one tick of the clock. */
TEST(nothing_overtakes_what_gro_holds_with_deferred_interrupts)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct conn c = conn_to_nobody();
	int raw = raw_socket(t.name);
	struct packet p;

	sysfs_here();
	iface_knob(t.name, "gro_flush_timeout", "2000000000");
	iface_knob(t.name, "napi_defer_hard_irqs", "100");
	for (int i = 0; i < 20; i++) {
		inject(t.fd, MYTUN_INJECT_SOFTIRQ);
		sleep_ms(5);
		next_segment(&r, &c);
		segment(&p, &c, TH_ACK, "short", 5);
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_publish(&r);
		inject(t.fd, MYTUN_INJECT_DIRECT);
		expect_eq(captured(raw, 5000), TCP4 + 500);
		expect_eq(captured(raw, 5000), TCP4 + 5);
	}
}

/* Numbers in their order, by a socket that polls the queue's instance while there is none. */
struct busy {
	int udp;
	uint32_t numbers;
};

static void poll_busily(void *arg)
{
	const struct busy *b = arg;
	struct timeval wait = { .tv_sec = 10 };
	int usecs = 20000;
	uint32_t n;

	if (setsockopt(b->udp, SOL_SOCKET, SO_BUSY_POLL, &usecs, sizeof(usecs)))
		skip("this kernel's sockets do not poll");
	must(setsockopt(b->udp, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)));
	/* Before the thread that is about to end. */
	must(setpriority(PRIO_PROCESS, 0, -20));
	for (uint32_t i = 0; i < b->numbers; i++) {
		expect_eq(must(recv(b->udp, &n, sizeof(n), 0)), sizeof(n));
		expect_eq(n, i);
	}
}

TEST_WITHIN(60, nothing_is_lost_when_the_mode_changes_under_a_busy_poller)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct busy b = { .udp = udp_here(AF_INET), .numbers = 400 };
	struct packet p;
	pid_t pid;

	if (strstr(read_file("/proc/cpuinfo"), "User Mode Linux"))
		skip("its clock goes back under who looks at it all the time, and it stops");
	pin(0);
	pid = spawn(poll_busily, &b);
	for (uint32_t i = 0; i < b.numbers; i++) {
		/* What comes directly names no instance that could be polled. */
		inject(t.fd, i & 1 ? MYTUN_INJECT_DIRECT : MYTUN_INJECT_THREAD);
		packet_inbound(&p, &t, AF_INET, &i, sizeof(i));
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_flush(&r);
		sleep_ms(1);
	}
	spawn_wait(pid);
	expect_eq(r.tx_cons->drops, 0);
}

struct two {
	struct tun t[2];
	struct ring r[2];
	int udp;
};

static struct two two_queues(int flags, bool rings)
{
	struct two two = { .t = { tun_open_up(flags | IFF_MULTI_QUEUE) } };

	two.t[1] = tun_open(two.t[0].name, flags | IFF_MULTI_QUEUE);
	for (int i = 0; i < 2 && rings; i++)
		two.r[i] = ring_small(two.t[i].fd);
	two.udp = udp_here(AF_INET);
	return two;
}

static void in_service(const struct two *two, int queue, bool yes)
{
	struct ifreq ifr = { .ifr_flags = yes ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	must(ioctl(two->t[queue].fd, TUNSETQUEUE, &ifr));
}

static void expect_carried(struct two *two, int queue)
{
	struct packet p;

	packet_inbound(&p, &two->t[queue], AF_INET, "x", 1);
	if (two->r[queue].tx_data) {
		ring_tx_packet(&two->r[queue], p.bytes, p.len);
		ring_tx_flush(&two->r[queue]);
	} else {
		must(write(two->t[queue].fd, p.bytes, p.len));
	}
	udp_expect(two->udp, "x", 1);
}

static void threads_off(void *arg)
{
	const struct two *two = arg;

	iface_knob(two->t[0].name, "threaded", "0");
}

/* The core waits for each instance, and others for the core. */
static void threads_go_while_a_queue_is_out_of_service(int flags, bool rings)
{
	struct two two = two_queues(flags, rings);

	sysfs_here();
	for (int i = 0; i < 4; i++) {
		iface_knob(two.t[0].name, "threaded", "1");
		in_service(&two, i % 2, false);
		spawn_wait(spawn(threads_off, &two));
		if (i / 2)
			iface_knob(two.t[0].name, "threaded", "1");
		in_service(&two, i % 2, true);
		expect_carried(&two, 0);
		expect_carried(&two, 1);
	}
}

TEST(threads_go_while_a_queue_with_rings_is_out_of_service)
{
	threads_go_while_a_queue_is_out_of_service(IFF_TUN, true);
}

TEST(threads_go_while_a_queue_without_rings_is_out_of_service)
{
	threads_go_while_a_queue_is_out_of_service(IFF_TUN | IFF_NAPI, false);
}

static volatile bool stop;

static void *threads_come_and_go(void *arg)
{
	const struct two *two = arg;

	for (int i = 0; !stop; i++)
		iface_knob(two->t[0].name, "threaded", i % 2 ? "0" : "1");
	return NULL;
}

TEST_WITHIN(60, threads_come_and_go_while_queues_do)
{
	struct two two = two_queues(IFF_TUN, true);
	pthread_t thread;

	sysfs_here();
	iface_knob(two.t[0].name, "threaded", "1");
	stop = false;
	pthread_create(&thread, NULL, threads_come_and_go, &two);
	for (int i = 0; i < 20; i++) {
		struct tun third = tun_open(two.t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
		struct ring r = ring_small(third.fd);

		inject(two.t[0].fd, i % 3);
		in_service(&two, 1, false);
		in_service(&two, 1, true);
		expect_carried(&two, 0);
		expect_carried(&two, 1);
		ring_unmap(&r);
		close(third.fd);
	}
	stop = true;
	pthread_join(thread, NULL);
}
