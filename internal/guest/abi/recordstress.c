// SPDX-License-Identifier: MIT
/* Records by system calls from several threads, and while the queue changes. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "records.h"
#include "ring.h"

enum {
	SECONDS = 4,
	READERS = 4,
	NUMBERS = 1 << 22
};

static volatile bool stop;

/* Which packets came; each may come once. */
static uint8_t came[NUMBERS];

struct reader {
	pthread_t thread;
	struct tun *t;
	bool nonblock;
	uint64_t got;
	struct records r;
};

static void take_number(struct mytun_rec *rec)
{
	uint32_t number;

	memcpy(&number, (char *)rec_packet(rec) + UDP4, sizeof(number));
	if (number >= NUMBERS)
		fail("number %u was never sent", number);
	if (__atomic_exchange_n(&came[number], 1, __ATOMIC_RELAXED))
		fail("packet %u came twice", number);
}

/* With buffers for one record and for many; until the queue is detached. */
static void *read_numbers(void *arg)
{
	struct pollfd p = { .events = POLLIN };
	struct reader *r = arg;

	p.fd = r->t->fd;
	for (unsigned int n = 0;; n++) {
		size_t room = n % 3 ? sizeof(r->r.bytes) : 100 + n % 50;
		ssize_t len = read(r->t->fd, r->r.bytes, room);

		if (len < 0 && errno == EBADFD)
			return NULL;
		if (len < 0 && errno == EAGAIN) {
			poll(&p, 1, 100);
			continue;
		}
		must(len);
		r->got += records_parse(&r->r, len);
		for (size_t i = 0; i < r->r.n; i++)
			take_number(r->r.rec[i]);
	}
}

/* Readers that wait in poll share the file with readers that wait in read. */
static void no_packet_comes_twice(bool nonblock)
{
	static struct reader readers[READERS];
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	uint64_t got = 0;
	double end = now() + lab_seconds(SECONDS);
	uint32_t sent = 0, last = rounds(NUMBERS, 100000);

	records_on(t.fd);
	if (nonblock)
		must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < READERS; i++) {
		readers[i].t = &t;
		pthread_create(&readers[i].thread, NULL, read_numbers, &readers[i]);
	}
	while (now() < end && sent < last) {
		udp_send(udp, &sent, sizeof(sent));
		if (++sent % 50 == 0)
			sleep_ms(1);
	}
	sleep_ms(300);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		got += readers[i].got;
	}
	printf("# %u packets sent, %llu received\n", sent, (unsigned long long)got);
	fflush(stdout);
	expect(got > 1000);
}

/* One packet a call. */
static void *read_packets(void *arg)
{
	struct reader *r = arg;

	while (read(r->t->fd, r->r.bytes, sizeof(r->r.bytes)) > 0)
		r->got++;
	expect_eq(errno, EBADFD);
	return NULL;
}

/* A socket with a port of its own, so that several use several queues. It never waits for packets
 * that a queue holds.
 */
static int udp_flow(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT_THERE) };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){ 1 << 22 }, sizeof(int)));
	expect_eq(inet_pton(AF_INET, THERE4, &to.sin_addr), 1);
	must(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	return fd;
}

/* What got lost must be counted: keep the interface for that, and another queue for its carrier.
 * The readers' queue leaves @after so many packets, while they read and packets come.
 */
static void no_packet_is_lost(bool records, uint32_t after)
{
	static struct reader readers[READERS];
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE), other;
	int udp[8];
	struct rtnl_link_stats64 s;
	uint64_t got = 0;

	memset(readers, 0, sizeof(readers));
	memset(came, 0, sizeof(came));
	for (size_t i = 0; i < ARRAY_SIZE(udp); i++)
		udp[i] = udp_flow();
	other = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	if (records)
		records_on(t.fd);
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	for (int i = 0; i < READERS; i++) {
		readers[i].t = &t;
		pthread_create(&readers[i].thread, NULL, records ? read_numbers : read_packets,
			       &readers[i]);
	}
	for (uint32_t sent = 0; sent < after + 100; sent++) {
		if (sent == after)
			must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		if (sent % 100 == 0)
			sleep_ms(1);
		udp_send(udp[sent % ARRAY_SIZE(udp)], &sent, sizeof(sent));
	}
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		got += readers[i].got;
	}
	must(ioctl(other.fd, MYTUN_IOC_DETACH, 0));
	s = iface_stats(t.name);
	expect_eq(s.tx_packets, got);
	expect_eq(s.tx_packets + s.tx_dropped, after + 100);
	iface_del(t.name);
	tun_close(&t);
	tun_close(&other);
	for (size_t i = 0; i < ARRAY_SIZE(udp); i++)
		close(udp[i]);
}

TEST_WITHIN(60, several_readers_get_each_packet_once)
{
	no_packet_comes_twice(false);
}

TEST_WITHIN(60, several_readers_that_poll_get_each_packet_once)
{
	no_packet_comes_twice(true);
}

TEST_WITHIN(60, what_no_reader_got_is_counted)
{
	for (uint32_t round = 0; round < 20; round++)
		no_packet_is_lost(round & 1, 200 + 37 * round);
}

/* Everything at once. */

struct scene {
	struct tun t;
	int udp;
	struct packet p;
};

static void *send_all_the_time(void *arg)
{
	struct scene *s = arg;

	while (!stop)
		for (int i = 0; i < 20; i++)
			if (send(s->udp, "0123456789", 10, 0) < 0)
				sleep_ms(1);
	return NULL;
}

static void *read_all_the_time(void *arg)
{
	struct scene *s = arg;
	char buf[5000];

	while (!stop)
		if (read(s->t.fd, buf, sizeof(buf)) < 0)
			usleep(100);
	return NULL;
}

static void *write_all_the_time(void *arg)
{
	struct records *r = calloc(1, sizeof(*r));
	struct scene *s = arg;

	for (int i = 0; i < 100; i++)
		records_add(r, &s->p);
	while (!stop)
		if (write(s->t.fd, r->bytes, r->len) < 0)
			usleep(100);
	free(r);
	return NULL;
}

static void *switch_all_the_time(void *arg)
{
	struct mytun_mode mode = {};
	struct scene *s = arg;

	while (!stop) {
		mode.flags ^= MYTUN_MODE_F_RECORDS;
		if (ioctl(s->t.fd, MYTUN_IOC_SET_MODE, &mode) < 0)
			usleep(100);
	}
	return NULL;
}

/* The queue is taken out of service and back, its interface goes down and up. */
static void *disturb_all_the_time(void *arg)
{
	struct scene *s = arg;

	for (unsigned int i = 0; !stop; i++) {
		struct ifreq ifr = { .ifr_flags = i % 2 ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		ioctl(s->t.fd, TUNSETQUEUE, &ifr);
		usleep(2000);
	}
	return NULL;
}

static void changed_under_traffic(int round)
{
	static void *(*const runs[])(void *) = { send_all_the_time, read_all_the_time,
						 read_all_the_time, write_all_the_time,
						 switch_all_the_time, disturb_all_the_time };
	struct scene s = { .t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE) };
	struct mytun_rings args = ring_args(1 << 12);
	pthread_t threads[ARRAY_SIZE(runs)];
	struct ifreq ifr;

	s.udp = udp_here(AF_INET);
	must(fcntl(s.t.fd, F_SETFL, O_NONBLOCK));
	packet_inbound(&s.p, &s.t, AF_INET, "x", 1);
	stop = false;
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		pthread_create(&threads[i], NULL, runs[i], &s);
	sleep_ms(200);
	switch (round % 4) {
	case 0:
		must(ioctl(s.t.fd, MYTUN_IOC_RINGS, &args));
		break;
	case 1:
		must(ioctl(s.t.fd, MYTUN_IOC_DETACH, 0));
		break;
	case 2:
		iface_del(s.t.name);
		break;
	case 3: /* a queue that comes back */
		must(ioctl(s.t.fd, MYTUN_IOC_DETACH, 0));
		must(tun_set_iff(s.t.fd, "again0", IFF_TUN | IFF_NO_PI, &ifr));
		break;
	}
	sleep_ms(50);
	stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	close(s.udp);
	close(s.t.fd);
	eventually(!iface_exists(s.t.name) && !iface_exists("again0"));
}

TEST_WITHIN(180, the_queue_changes_under_readers_and_writers)
{
	for (int round = 0; round < 12; round++)
		changed_under_traffic(round);
}
