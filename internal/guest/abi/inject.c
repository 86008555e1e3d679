// SPDX-License-Identifier: MIT
/* Who takes the packets up: MYTUN_IOC_SET_MODE's injections. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "ring.h"
#include "segment.h"

static const uint32_t injections[] = { MYTUN_INJECT_SOFTIRQ, MYTUN_INJECT_THREAD,
				       MYTUN_INJECT_DIRECT };

static int threads(void)
{
	pid_t pid;

	return kernel_threads("mytun/", &pid);
}

TEST(what_is_served_is_said)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_mode mode;
	struct mytun_info info;

	must(ioctl(t.fd, MYTUN_IOC_INFO, &info));
	expect_eq(info.injections, 7);
	for (size_t i = 0; i < ARRAY_SIZE(injections); i++) {
		inject(t.fd, injections[i]);
		must(ioctl(t.fd, MYTUN_IOC_GET_MODE, &mode));
		expect_eq(mode.inject, injections[i]);
	}
}

TEST(what_is_not_served_is_refused_and_changes_nothing)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_mode mode;

	expect_errno(inject_try(tun_open_file(), MYTUN_INJECT_THREAD), EBADFD);
	inject(t.fd, MYTUN_INJECT_THREAD);
	expect_errno(inject_try(t.fd, 3), EINVAL);
	expect_errno(inject_try(t.fd, 31), EINVAL);
	expect_errno(inject_try(t.fd, 32), EINVAL);
	expect_errno(inject_try(t.fd, ~0u), EINVAL);
	must(ioctl(t.fd, MYTUN_IOC_GET_MODE, &mode));
	expect_eq(mode.inject, MYTUN_INJECT_THREAD);
	expect_eq(threads(), 1);
}

static void send_and_expect(struct ring *r, const struct tun *t, int udp, int n)
{
	struct packet p;

	for (int i = 0; i < n; i++) {
		packet_inbound(&p, t, AF_INET, &i, sizeof(i));
		ring_tx_packet(r, p.bytes, p.len);
	}
	ring_tx_flush(r);
	for (int i = 0; i < n; i++)
		udp_expect(udp, &i, sizeof(i));
	udp_expect_none(udp);
}

static void every_packet_arrives(uint32_t mode, int flags)
{
	struct tun t = tun_open_up(flags);
	int udp = udp_here(AF_INET);
	struct ring r;

	inject(t.fd, mode); /* before there are rings, as well as after */
	r = ring_new(t.fd, ring_args(1 << 19));
	send_and_expect(&r, &t, udp, 1);
	send_and_expect(&r, &t, udp, 63);
	send_and_expect(&r, &t, udp, 64);
	send_and_expect(&r, &t, udp, 65);
	send_and_expect(&r, &t, udp, 5000);
	expect_eq(r.tx_cons->drops, 0);
	expect_eq(iface_stats(t.name).rx_packets, 1 + 63 + 64 + 65 + 5000);
}

TEST(every_packet_arrives_by_a_thread)
{
	every_packet_arrives(MYTUN_INJECT_THREAD, IFF_TUN);
}

TEST(every_packet_arrives_by_a_thread_tap)
{
	every_packet_arrives(MYTUN_INJECT_THREAD, IFF_TAP);
}

TEST(every_packet_arrives_by_the_caller)
{
	every_packet_arrives(MYTUN_INJECT_DIRECT, IFF_TUN);
}

TEST(every_packet_arrives_by_the_caller_tap)
{
	every_packet_arrives(MYTUN_INJECT_DIRECT, IFF_TAP);
}

TEST(the_threads_name_tells_its_queue)
{
	struct tun t = tun_open("vpn0", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun u = tun_open("vpn0", IFF_TUN | IFF_MULTI_QUEUE);
	char path[64];
	pid_t pid;

	inject(u.fd, MYTUN_INJECT_THREAD);
	expect_eq(kernel_threads("mytun/", &pid), 1);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	expect(!strcmp(read_file(path), "mytun/vpn0-1\n"));
	inject(t.fd, MYTUN_INJECT_THREAD);
	expect_eq(kernel_threads("mytun/", &pid), 2);
}

/* Nothing that is ready runs on this CPU beside this thread. */
static void keep_the_cpu(bool keep)
{
	struct sched_param p = { .sched_priority = keep ? 1 : 0 };

	must(sched_setscheduler(0, keep ? SCHED_FIFO : SCHED_OTHER, &p));
}

static void pin_thread(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(pid, sizeof(set), &set));
}

/* Where the thread cannot run, nothing happens; so it is the thread that does it. */
TEST(the_thread_pays_and_the_doorbell_only_wakes_it)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct mytun_rings args = ring_args(1 << 16);
	struct packet p;
	struct ring r;
	pid_t pid;

	args.flags = MYTUN_RINGS_F_EVENT_IDX;
	r = ring_new(t.fd, args);
	inject(t.fd, MYTUN_INJECT_THREAD);
	expect_eq(kernel_threads("mytun/", &pid), 1);
	pin(0);
	pin_thread(pid, 0);
	packet_inbound(&p, &t, AF_INET, "t", 1);
	for (int round = 0; round < 20; round++) {
		uint32_t begin = r.tx, old = begin;

		eventually(load_acquire(&r.tx_cons->event) == begin);
		keep_the_cpu(true);
		for (int i = 0; i < 10; i++) {
			ring_tx_packet(&r, p.bytes, p.len);
			ring_tx_publish(&r);
			/* One doorbell is asked for, and none while the thread is at it. */
			expect_eq(!!mytun_need_event(load_acquire(&r.tx_cons->event), r.tx, old),
				  i == 0);
			old = r.tx;
			must(ring_doorbell(&r));
			expect_eq(load_acquire(&r.tx_cons->pos), begin);
		}
		keep_the_cpu(false);
		for (int i = 0; i < 10; i++)
			udp_expect(udp, "t", 1);
		eventually(load_acquire(&r.tx_cons->pos) == r.tx);
	}
}

TEST(the_caller_has_done_it_when_the_doorbell_returns)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 19));
	struct packet p;

	inject(t.fd, MYTUN_INJECT_DIRECT);
	packet_inbound(&p, &t, AF_INET, "d", 1);
	/* The look for early records, which is softirq's, is over, and with it the claim. */
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	sleep_ms(20);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 2000; i++)
			ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_publish(&r);
		must(ring_doorbell(&r));
		expect_eq(load_acquire(&r.tx_cons->pos), r.tx);
	}
}

/* Lengths of the next two packets that go up; 0 for one that does not come. */
static void captured(int raw, size_t lens[2])
{
	char bytes[4096];

	for (int i = 0; i < 2; i++) {
		struct pollfd pfd = { .fd = raw, .events = POLLIN };

		lens[i] = must(poll(&pfd, 1, 500)) ? recv(raw, bytes, sizeof(bytes), 0) : 0;
	}
}

static void two_segments(uint32_t mode, bool merged)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct conn c = conn_here(AF_INET);
	int raw = raw_socket(t.name);
	char payload[500];
	struct packet p;
	size_t lens[2];

	c.to = "10.9.0.77"; /* nobody: it only shall go up */
	fill(payload, sizeof(payload), 1);
	inject(t.fd, mode);
	for (int i = 0; i < 2; i++) {
		segment(&p, &c, TH_ACK, payload, sizeof(payload));
		ring_tx_packet(&r, p.bytes, p.len);
	}
	ring_tx_flush(&r);
	captured(raw, lens);
	expect_eq(lens[0], TCP4 + (merged ? 1000 : 500));
	expect_eq(lens[1], merged ? 0 : TCP4 + 500);
}

TEST(softirq_merges_segments)
{
	two_segments(MYTUN_INJECT_SOFTIRQ, true);
}

TEST(a_thread_merges_segments)
{
	two_segments(MYTUN_INJECT_THREAD, true);
}

TEST(the_caller_merges_nothing)
{
	two_segments(MYTUN_INJECT_DIRECT, false);
}

TEST(a_down_interface_is_said_in_every_mode)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "down", 4);
	iface_down(t.name);
	for (size_t i = 0; i < ARRAY_SIZE(injections); i++) {
		inject(t.fd, injections[i]);
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_publish(&r);
		expect_errno(ring_doorbell(&r), ENETDOWN);
		eventually(load_acquire(&r.tx_cons->pos) == r.tx);
		eventually(r.tx_cons->drops == i + 1);
	}
}

TEST(a_faulted_ring_is_said_in_every_mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(injections); i++) {
		struct tun t = tun_open_up(IFF_TUN);
		struct ring r = ring_small(t.fd);

		inject(t.fd, injections[i]);
		store_release(&r.tx_prod->pos, 7);
		ring_doorbell(&r);
		eventually(load_acquire(&r.tx_cons->flags) & MYTUN_END_F_FAULT);
		expect_errno(ring_doorbell(&r), EIO);
		for (size_t j = 0; j < ARRAY_SIZE(injections); j++) {
			inject(t.fd, injections[j]);
			expect_errno(ring_doorbell(&r), EIO);
		}
		must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		ring_unmap(&r);
		tun_close(&t);
	}
	eventually(threads() == 0);
}

static void set_queue(int fd, int flag)
{
	struct ifreq ifr = { .ifr_flags = flag };

	must(ioctl(fd, TUNSETQUEUE, &ifr));
}

/* The end of a thread, from every side. */

TEST(another_mode_ends_the_thread)
{
	struct tun t = tun_open("", IFF_TUN);

	for (int i = 0; i < 50; i++) {
		inject(t.fd, MYTUN_INJECT_THREAD);
		expect_eq(threads(), 1);
		inject(t.fd, MYTUN_INJECT_THREAD); /* keeps it */
		expect_eq(threads(), 1);
		inject(t.fd, i & 1 ? MYTUN_INJECT_SOFTIRQ : MYTUN_INJECT_DIRECT);
		eventually(threads() == 0);
	}
}

TEST(detaching_ends_the_thread)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);

	inject(t.fd, MYTUN_INJECT_THREAD);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	eventually(threads() == 0);
	expect_errno(ring_doorbell(&r), EBADFD);
	expect_errno(inject_try(t.fd, MYTUN_INJECT_THREAD), EBADFD);
}

TEST(closing_ends_the_thread)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);

	inject(t.fd, MYTUN_INJECT_THREAD);
	tun_close(&t);
	expect_eq(threads(), 1); /* the mapping keeps the file */
	ring_unmap(&r);
	eventually(threads() == 0);
}

TEST(deleting_the_interface_ends_all_its_threads)
{
	struct tun t[4];
	struct ring r;

	t[0] = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	for (int i = 1; i < 4; i++)
		t[i] = tun_open(t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
	for (int i = 0; i < 4; i++)
		inject(t[i].fd, MYTUN_INJECT_THREAD);
	r = ring_small(t[1].fd);
	set_queue(t[1].fd, IFF_DETACH_QUEUE);
	set_queue(t[2].fd, IFF_DETACH_QUEUE);
	expect_eq(threads(), 4);
	iface_del(t[0].name);
	eventually(threads() == 0);
	expect_errno(ring_doorbell(&r), EBADFD);
}

static void threaded_process(void *arg)
{
	struct tun t = tun_open_up(IFF_TUN);

	(void)arg;
	ring_small(t.fd);
	inject(t.fd, MYTUN_INJECT_THREAD);
	pause();
}

TEST(the_threads_queue_dies_with_its_process)
{
	pid_t pid = spawn(threaded_process, NULL);

	eventually(threads() == 1);
	wait_asleep(pid);
	kill(pid, SIGKILL);
	eventually(threads() == 0);
}

TEST(a_thread_cannot_be_killed)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	pid_t pid;

	inject(t.fd, MYTUN_INJECT_THREAD);
	expect_eq(kernel_threads("mytun/", &pid), 1);
	kill(pid, SIGKILL);
	kill(pid, SIGSTOP);
	send_and_expect(&r, &t, udp, 100);
	expect_eq(threads(), 1);
}

TEST(a_mode_ends_with_its_attachment)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_mode mode;
	struct ifreq ifr;

	inject(t.fd, MYTUN_INJECT_THREAD);
	iface_del(t.name);
	expect_errno(ioctl(t.fd, MYTUN_IOC_GET_MODE, &mode), EBADFD);
	must(tun_set_iff(t.fd, "", IFF_TUN | IFF_NO_PI, &ifr));
	must(ioctl(t.fd, MYTUN_IOC_GET_MODE, &mode));
	expect_eq(mode.inject, MYTUN_INJECT_SOFTIRQ);
	eventually(threads() == 0);
}

TEST(out_of_service_records_wait_in_every_mode)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun other = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	for (size_t i = 0; i < ARRAY_SIZE(injections); i++) {
		packet_inbound(&p, &t, AF_INET, "kept", 4);
		set_queue(t.fd, IFF_DETACH_QUEUE);
		/* Also while it is out of service the mode may change. */
		inject(t.fd, injections[i]);
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_publish(&r);
		ring_doorbell(&r);
		sleep_ms(20);
		udp_expect_none(udp);
		set_queue(t.fd, IFF_ATTACH_QUEUE);
		udp_expect(udp, "kept", 4);
		send_and_expect(&r, &t, udp, 100);
	}
	tun_close(&other);
}

TEST(records_that_wait_are_seen_after_a_change_without_a_doorbell)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "seen", 4);
	for (size_t i = 0; i < 9; i++) {
		inject(t.fd, injections[i % 3]);
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_publish(&r);
		inject(t.fd, injections[(i + 1) % 3]);
		udp_expect(udp, "seen", 4);
	}
}

/* Numbered packets while the mode changes all the time: each comes, once, in order. */

struct feed {
	struct tun *t;
	struct ring *r;
	uint32_t got; /* shared */
};

enum {
	FED = 30000,
	AHEAD = 400
};

static void *feed(void *arg)
{
	struct feed *f = arg;
	struct packet p;

	for (uint32_t i = 0; i < FED;) {
		uint32_t old = f->r->tx;

		if (i - load_acquire(&f->got) > AHEAD) {
			sched_yield();
			continue;
		}
		for (int n = 0; n < 17 && i < FED; n++, i++) {
			packet_inbound(&p, f->t, AF_INET, &i, sizeof(i));
			ring_tx_packet(f->r, p.bytes, p.len);
		}
		ring_tx_publish(f->r);
		full_barrier();
		if (mytun_need_event(load_acquire(&f->r->tx_cons->event), f->r->tx, old))
			must(ring_doorbell(f->r));
	}
	return NULL;
}

static void *change(void *arg)
{
	struct feed *f = arg;

	for (unsigned int i = 0; load_acquire(&f->got) < FED; i++) {
		inject(f->t->fd, injections[i % 3]);
		if (i % 4 == 0)
			sched_yield();
	}
	return NULL;
}

TEST_WITHIN(120, changes_lose_nothing_and_keep_the_order)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct mytun_rings args = ring_args(1 << 16);
	int udp = udp_here(AF_INET);
	struct timeval patience = { .tv_sec = 5 };
	struct feed f = { .t = &t };
	pthread_t feeder, changer;
	struct ring r;

	args.flags = MYTUN_RINGS_F_EVENT_IDX;
	r = ring_new(t.fd, args);
	f.r = &r;
	must(setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	pthread_create(&feeder, NULL, feed, &f);
	pthread_create(&changer, NULL, change, &f);
	for (uint32_t i = 0; i < FED; i++) {
		uint32_t number = ~0u;

		if (recv(udp, &number, sizeof(number), 0) != sizeof(number))
			fail("number %u never came; at %u of %u", i, r.tx_cons->pos,
			     r.tx_prod->pos);
		expect_eq(number, i);
		store_release(&f.got, i + 1);
	}
	pthread_join(feeder, NULL);
	pthread_join(changer, NULL);
	expect_eq(r.tx_cons->drops, 0);
}
