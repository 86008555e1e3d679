// SPDX-License-Identifier: MIT
/* Doorbells from several threads while everything about their queues changes. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "ring.h"

enum {
	QUEUES = 3,
	RINGERS = 2 /* of each queue */
};

struct queue {
	struct tun t;
	struct ring r;
	struct packet p;
	pthread_mutex_t lock; /* of the program's end of the ring */
	uint64_t sent;
};

static volatile bool stop;

/* Rings whether needed or not; what a doorbell may say is all that matters. */
static void *ring_on(void *arg)
{
	struct queue *q = arg;

	while (!stop) {
		pthread_mutex_lock(&q->lock);
		for (int i = 0; i < 20 && ring_tx_room(&q->r) > 512; i++, q->sent++)
			ring_tx_packet(&q->r, q->p.bytes, q->p.len);
		ring_tx_publish(&q->r);
		pthread_mutex_unlock(&q->lock);
		if (ring_doorbell(&q->r) && errno != ENETDOWN && errno != EBADFD)
			fail("doorbell: %s", strerrorname(errno));
	}
	return NULL;
}

static void *change_modes(void *arg)
{
	struct queue *q = arg;

	for (unsigned int i = 0; !stop; i++) {
		if (inject_try(q[i % QUEUES].t.fd, i / QUEUES % 3) && errno != EBADFD)
			fail("SET_MODE: %s", strerrorname(errno));
		if (i % 8 == 0)
			sched_yield();
	}
	return NULL;
}

static void *change_service(void *arg)
{
	struct queue *q = arg;

	for (unsigned int i = 0; !stop; i++) {
		struct ifreq ifr = { .ifr_flags = i & 1 ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		/* EINVAL: the interface went, and came back with no queue out of service. */
		if (ioctl(q[i / 2 % QUEUES].t.fd, TUNSETQUEUE, &ifr) && errno != EINVAL)
			fail("TUNSETQUEUE: %s", strerrorname(errno));
		sleep_ms(1);
	}
	return NULL;
}

static void open_all(struct queue q[QUEUES])
{
	for (int i = 0; i < QUEUES; i++) {
		if (i)
			q[i].t = tun_open(q[0].t.name, IFF_TUN | IFF_MULTI_QUEUE);
		else
			q[i].t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
		q[i].r = ring_new(q[i].t.fd, ring_args(1 << 14));
		q[i].sent = 0;
		pthread_mutex_init(&q[i].lock, NULL);
		/* To nobody: it goes up, and the stack throws it away. */
		packet_inbound(&q[i].p, &q[i].t, AF_INET, "0123456789", 10);
		memset(q[i].p.bytes + 16, 7, 4);
		packet_finish(&q[i].p, false);
	}
}

static void close_all(struct queue q[QUEUES])
{
	for (int i = 0; i < QUEUES; i++) {
		ring_unmap(&q[i].r);
		tun_close(&q[i].t);
	}
}

static void run_all(struct queue q[QUEUES], unsigned int ms, void (*meanwhile)(struct queue *q))
{
	pthread_t threads[QUEUES * RINGERS + 2];
	unsigned int n = 0;

	stop = false;
	for (; n < QUEUES * RINGERS; n++)
		pthread_create(&threads[n], NULL, ring_on, &q[n / RINGERS]);
	pthread_create(&threads[n++], NULL, change_modes, q);
	pthread_create(&threads[n++], NULL, change_service, q);
	sleep_ms(ms);
	if (meanwhile)
		meanwhile(q);
	sleep_ms(ms / 4);
	stop = true;
	while (n)
		pthread_join(threads[--n], NULL);
}

static void down_and_up(struct queue *q)
{
	for (int i = 0; i < 20; i++) {
		iface_down(q[0].t.name);
		sleep_ms(3);
		iface_up_bare(q[0].t.name);
		sleep_ms(10);
	}
}

TEST_WITHIN(120, no_record_is_lost_by_any_change)
{
	struct queue q[QUEUES];
	uint64_t sent = 0;
	pid_t pid;

	open_all(q);
	run_all(q, lab_seconds(3) * 1000, down_and_up);
	for (int i = 0; i < QUEUES; i++) {
		struct ifreq ifr = { .ifr_flags = IFF_ATTACH_QUEUE };

		ioctl(q[i].t.fd, TUNSETQUEUE, &ifr);
		ring_doorbell(&q[i].r);
	}
	for (int i = 0; i < QUEUES; i++) {
		eventually(load_acquire(&q[i].r.tx_cons->pos) == q[i].r.tx);
		expect_eq(q[i].r.tx_cons->flags, 0);
		sent += q[i].sent;
	}
	printf("# %llu records, %llu dropped while it was down\n", (unsigned long long)sent,
	       (unsigned long long)iface_stats(q[0].t.name).rx_dropped);
	fflush(stdout);
	expect_eq(iface_stats(q[0].t.name).rx_packets + iface_stats(q[0].t.name).rx_dropped, sent);
	close_all(q);
	eventually(kernel_threads("mytun/", &pid) == 0);
}

static void delete_first(struct queue *q)
{
	iface_del(q[0].t.name);
}

TEST_WITHIN(120, interfaces_can_be_deleted_meanwhile)
{
	struct queue q[QUEUES];
	pid_t pid;

	for (int round = 0; round < 12; round++) {
		open_all(q);
		run_all(q, 20 + round * 17, delete_first);
		for (int i = 0; i < QUEUES; i++)
			expect_errno(ring_doorbell(&q[i].r), EBADFD);
		close_all(q);
		eventually(kernel_threads("mytun/", &pid) == 0);
	}
}

/* Whoever completes an instance starts its timer after he has given it back. */
TEST_WITHIN(120, no_timer_outlives_its_queue)
{
	struct queue q[QUEUES];
	pid_t pid;

	sysfs_here();
	for (int round = 0; round < 40; round++) {
		open_all(q);
		iface_knob(q[0].t.name, "napi_defer_hard_irqs", "2");
		iface_knob(q[0].t.name, "gro_flush_timeout", "3000000000");
		run_all(q, 10, round & 1 ? delete_first : NULL);
		close_all(q);
		eventually(kernel_threads("mytun/", &pid) == 0);
	}
	sleep_ms(3100); /* those that did are among others' memory now */
}

static void detach(struct queue *q)
{
	for (int i = 0; i < QUEUES; i++) {
		must(ioctl(q[i].t.fd, MYTUN_IOC_DETACH, 0));
		sleep_ms(2);
	}
}

TEST_WITHIN(120, queues_can_be_detached_meanwhile)
{
	struct queue q[QUEUES];
	pid_t pid;

	for (int round = 0; round < 12; round++) {
		open_all(q);
		run_all(q, 20 + round * 17, detach);
		expect(!iface_exists(q[0].t.name));
		close_all(q);
		eventually(kernel_threads("mytun/", &pid) == 0);
	}
}

/* A program that produces for ever keeps nobody else waiting for ever. */
static void *lie_on(void *arg)
{
	struct queue *q = arg;

	/* All of the ring is one record of no packet, again and again. */
	while (!stop) {
		uint32_t pos = load_acquire(&q->r.tx_cons->pos) + q->r.g.tx_size;

		store_release(&q->r.tx_prod->pos, pos);
	}
	return NULL;
}

TEST_WITHIN(60, an_endless_producer_keeps_nobody_waiting)
{
	struct queue q[QUEUES];
	pthread_t liar, ringer;

	open_all(q);
	for (uint32_t at = 0; at < q[0].r.g.tx_size; at += 64) {
		struct mytun_rec *rec = (void *)(q[0].r.tx_data + at);

		*rec = (struct mytun_rec){ .size = 64, .flags = MYTUN_REC_F_SKIP };
	}
	stop = false;
	for (uint32_t mode = 0; mode < 3; mode++) {
		inject(q[0].t.fd, mode);
		stop = false;
		pthread_create(&liar, NULL, lie_on, &q[0]);
		pthread_create(&ringer, NULL, ring_on, &q[1]);
		for (int i = 0; i < 20; i++) {
			must(ring_doorbell(&q[0].r));
			inject(q[0].t.fd, (mode + i) % 3);
		}
		stop = true;
		pthread_join(liar, NULL);
		pthread_join(ringer, NULL);
		expect_eq(q[0].r.tx_cons->flags, 0);
	}
	iface_del(q[0].t.name);
	close_all(q);
}
