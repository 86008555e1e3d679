// SPDX-License-Identifier: MIT
/* IFF_NAPI: what write(2) brings goes up by NAPI and GRO, as on the built-in driver of 6.1. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <mytun.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "segment.h"
#include "tun.h"

static unsigned int tun_flags(int fd)
{
	struct ifreq ifr = {};

	must(ioctl(fd, TUNGETIFF, &ifr));
	return (unsigned short)ifr.ifr_flags;
}

static void set_queue(int fd, int flag)
{
	struct ifreq ifr = { .ifr_flags = flag };

	must(ioctl(fd, TUNSETQUEUE, &ifr));
}

/* Until the next poll of the instance that is later than this: see napi.c. */
static void gro_flush_timeout(const struct tun *t, const char *ns)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/gro_flush_timeout", t->name);
	must(write_file(path, ns));
}

static void write_packet(const struct tun *t, const struct packet *p)
{
	expect_eq(must(write(t->fd, p->bytes, p->len)), p->len);
}

static void write_text(const struct tun *t, const char *text)
{
	struct packet p;

	packet_inbound(&p, t, AF_INET, text, strlen(text));
	write_packet(t, &p);
}

TEST(the_flag_is_offered_taken_and_reported)
{
	struct tun with = tun_open("", IFF_TUN | IFF_NAPI);
	struct tun without = tun_open("", IFF_TUN);
	unsigned int features;

	must(ioctl(with.fd, TUNGETFEATURES, &features));
	expect(features & IFF_NAPI);
	expect(tun_flags(with.fd) & IFF_NAPI);
	expect(!(tun_flags(without.fd) & IFF_NAPI));
}

TEST(the_first_file_of_an_interface_decides_what_is_reported)
{
	struct tun first = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun second = tun_open(first.name, IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);

	expect(!(tun_flags(first.fd) & IFF_NAPI));
	expect(!(tun_flags(second.fd) & IFF_NAPI));
}

static void datagrams_arrive(int flags, int family)
{
	const size_t sizes[] = { 0, 1, 18, 1000, 1472, 4000, 9000, 65000 };
	struct tun t = tun_open_up(flags | IFF_NAPI);
	static uint8_t payload[65536];
	static struct packet p;
	int udp = udp_here(family);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(payload, sizes[i], i);
		packet_inbound(&p, &t, family, payload, sizes[i]);
		write_packet(&t, &p);
		udp_expect(udp, payload, sizes[i]);
	}
	expect_eq(iface_stats(t.name).rx_packets, ARRAY_SIZE(sizes));
}

TEST(datagrams_arrive_tun)
{
	datagrams_arrive(IFF_TUN, AF_INET);
}

TEST(datagrams_arrive_tun_ipv6)
{
	datagrams_arrive(IFF_TUN, AF_INET6);
}

TEST(datagrams_arrive_tap)
{
	datagrams_arrive(IFF_TAP, AF_INET);
}

TEST(bad_packets_are_refused_as_without_the_flag)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_NAPI);

	expect_errno(write(t.fd, "", 0), EINVAL);
	expect_errno(write(t.fd, "\x05", 1), EINVAL);
	expect_eq(iface_stats(t.name).rx_packets, 0);
	iface_down(t.name);
	expect_errno(write(t.fd, "\x45", 1), EIO);
}

/* Lengths of the next two packets that go up; 0 for one that does not come. */
static void captured(int raw, size_t lens[2])
{
	char bytes[4096];

	for (int i = 0; i < 2; i++) {
		struct pollfd pfd = { .fd = raw, .events = POLLIN };

		lens[i] = must(poll(&pfd, 1, 1000)) ? recv(raw, bytes, sizeof(bytes), 0) : 0;
	}
}

static void two_segments(int flags, size_t lens[2])
{
	struct tun t = tun_open_up(IFF_TUN | flags);
	struct conn c = conn_here(AF_INET);
	int raw = raw_socket(t.name);
	char payload[500];
	struct packet p;

	gro_flush_timeout(&t, "300000000");
	c.to = "10.9.0.77"; /* nobody: it only shall go up */
	fill(payload, sizeof(payload), 1);
	for (int i = 0; i < 2; i++) {
		segment(&p, &c, TH_ACK, payload, sizeof(payload));
		write_packet(&t, &p);
	}
	captured(raw, lens);
	close(raw);
	tun_close(&t);
}

TEST(written_segments_are_merged)
{
	size_t lens[2];

	sysfs_here();
	/* What is there when a jiffy begins goes up alone. */
	for (int round = 0; round < 5; round++) {
		two_segments(IFF_NAPI, lens);
		if (lens[0] == TCP4 + 1000)
			break;
	}
	expect_eq(lens[0], TCP4 + 1000);
	expect_eq(lens[1], 0);
}

TEST(without_the_flag_they_are_not)
{
	size_t lens[2];

	sysfs_here();
	two_segments(0, lens);
	expect_eq(lens[0], TCP4 + 500);
	expect_eq(lens[1], TCP4 + 500);
}

TEST(a_queue_out_of_service_takes_nothing)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);
	struct tun u = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);
	int udp = udp_here(AF_INET);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "off", 3);
	for (int i = 0; i < 10; i++) {
		write_text(&t, "on");
		udp_expect(udp, "on", 2);
		set_queue(t.fd, IFF_DETACH_QUEUE);
		expect_errno(write(t.fd, p.bytes, p.len), EBUSY);
		write_text(&u, "other");
		udp_expect(udp, "other", 5);
		set_queue(t.fd, IFF_ATTACH_QUEUE);
	}
	udp_expect_none(udp);
	set_queue(t.fd, IFF_DETACH_QUEUE);
	tun_close(&t);
	write_text(&u, "alone");
	udp_expect(udp, "alone", 5);
}

TEST(queues_with_and_without_the_flag_share_an_interface)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun u = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);
	int udp = udp_here(AF_INET);

	for (int i = 0; i < 10; i++) {
		write_text(&t, "without");
		udp_expect(udp, "without", 7);
		write_text(&u, "with");
		udp_expect(udp, "with", 4);
	}
	tun_close(&t);
	write_text(&u, "with");
	udp_expect(udp, "with", 4);
}

/* What waits for GRO's timeout is in nobody's way. */
TEST(interfaces_go_with_packets_that_wait)
{
	char payload[500] = "";
	struct packet p;

	sysfs_here();
	for (int i = 0; i < 20; i++) {
		struct tun t = tun_open_up(IFF_TUN | IFF_NAPI);
		struct conn c = conn_here(AF_INET);

		gro_flush_timeout(&t, "10000000000");
		for (int n = 0; n < 5; n++) {
			c.sport++;
			segment(&p, &c, TH_ACK, payload, sizeof(payload));
			write_packet(&t, &p);
		}
		if (i & 1) {
			iface_del(t.name);
			expect_errno(write(t.fd, p.bytes, p.len), EBADFD);
		}
		if (i & 2)
			sleep_ms(1);
		tun_close(&t);
	}
}

TEST(a_file_changes_interfaces_with_and_without_the_flag)
{
	struct tun t = { .fd = tun_open_file() };
	struct ifreq ifr;

	for (int i = 0; i < 10; i++) {
		int udp;

		must(tun_set_iff(t.fd, "", IFF_TUN | IFF_NO_PI | (i & 1 ? IFF_NAPI : 0), &ifr));
		memcpy(t.name, ifr.ifr_name, IFNAMSIZ);
		iface_up(t.name);
		udp = udp_here(AF_INET);
		write_text(&t, "text");
		udp_expect(udp, "text", 4);
		close(udp);
		iface_del(t.name);
	}
}

static volatile bool stop;

static void *write_on(void *arg)
{
	const struct tun *t = arg;
	struct packet p;

	packet_inbound(&p, t, AF_INET, "written", 7);
	while (!stop) {
		if (write(t->fd, p.bytes, p.len) < 0 && errno != EBUSY && errno != EBADFD &&
		    errno != EIO)
			fail("write: %s", strerrorname(errno));
	}
	return NULL;
}

TEST(writers_survive_what_happens_to_their_queue)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);
	struct tun u = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, write_on, &t);
	for (int i = 0; i < 100; i++) {
		set_queue(t.fd, IFF_DETACH_QUEUE);
		if (i % 10 == 0)
			iface_down(t.name);
		set_queue(t.fd, IFF_ATTACH_QUEUE);
		if (i % 10 == 0)
			iface_up_bare(t.name);
		sleep_ms(1);
	}
	expect(iface_stats(t.name).rx_packets > 0);
	iface_del(t.name);
	sleep_ms(5);
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	tun_close(&u);
}

struct once {
	const struct tun *t;
	unsigned int rounds, wanted, written;
};

/* Each time that it is wanted, one packet, as soon as the queue takes it. */
static void *write_once(void *arg)
{
	struct once *o = arg;
	struct packet p;

	packet_inbound(&p, o->t, AF_INET, "written", 7);
	while (o->written < o->rounds) {
		if (__atomic_load_n(&o->wanted, __ATOMIC_ACQUIRE) == o->written)
			continue;
		while (write(o->t->fd, p.bytes, p.len) != p.len)
			expect_eq(errno, EBUSY);
		__atomic_store_n(&o->written, o->written + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

TEST(a_packet_for_a_queue_that_comes_into_service_does_not_wait_for_the_next)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);
	struct once o = { .t = &t, .rounds = 200 };
	pthread_t thread;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip("needs two CPUs");
	pthread_create(&thread, NULL, write_once, &o);
	for (unsigned int i = 1; i <= o.rounds; i++) {
		set_queue(t.fd, IFF_DETACH_QUEUE);
		__atomic_store_n(&o.wanted, i, __ATOMIC_RELEASE);
		set_queue(t.fd, IFF_ATTACH_QUEUE);
		while (__atomic_load_n(&o.written, __ATOMIC_ACQUIRE) != i)
			sched_yield();
		eventually(iface_stats(t.name).rx_packets == i);
	}
	pthread_join(thread, NULL);
}

/* Rings take the place of all of it: IFF_NAPI says nothing about them. */

TEST(rings_take_over)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_NAPI);
	int udp = udp_here(AF_INET);
	struct packet p;
	struct ring r;

	if (strcmp(tun_path, "/dev/net/mytun"))
		skip("the built-in driver has no rings");
	write_text(&t, "written");
	udp_expect(udp, "written", 7);
	r = ring_small(t.fd);
	packet_inbound(&p, &t, AF_INET, "ring", 4);
	for (int i = 0; i < 100; i++)
		ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	for (int i = 0; i < 100; i++)
		udp_expect(udp, "ring", 4);
	expect_errno(write(t.fd, p.bytes, p.len), EBUSY);
	expect_eq(r.tx_cons->drops, 0);
	expect(tun_flags(t.fd) & IFF_NAPI);
}

TEST(rings_take_over_out_of_service)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_NAPI | IFF_MULTI_QUEUE);
	struct tun u = tun_open(t.name, IFF_TUN | IFF_NAPI | IFF_MULTI_QUEUE);
	int udp = udp_here(AF_INET);
	struct packet p;
	struct ring r;

	if (strcmp(tun_path, "/dev/net/mytun"))
		skip("the built-in driver has no rings");
	set_queue(t.fd, IFF_DETACH_QUEUE);
	r = ring_small(t.fd);
	packet_inbound(&p, &t, AF_INET, "ring", 4);
	ring_tx_packet(&r, p.bytes, p.len);
	set_queue(t.fd, IFF_ATTACH_QUEUE);
	ring_tx_flush(&r);
	udp_expect(udp, "ring", 4);
	tun_close(&u);
}

TEST_WITHIN(60, rings_take_over_from_writers)
{
	if (strcmp(tun_path, "/dev/net/mytun"))
		skip("the built-in driver has no rings");
	sysfs_here();
	for (int i = 0; i < 30; i++) {
		struct tun t = tun_open_up(IFF_TUN | IFF_NAPI);
		int udp = udp_here(AF_INET);
		pthread_t threads[2];
		struct packet p;
		struct ring r;

		if (i & 1)
			gro_flush_timeout(&t, "1000000000");
		stop = false;
		for (int n = 0; n < 2; n++)
			pthread_create(&threads[n], NULL, write_on, &t);
		sleep_ms(i);
		r = ring_small(t.fd);
		stop = true;
		packet_inbound(&p, &t, AF_INET, "ring", 4);
		ring_tx_packet(&r, p.bytes, p.len);
		ring_tx_flush(&r);
		for (int n = 0; n < 2; n++)
			pthread_join(threads[n], NULL);
		expect_eq(iface_ethtool(t.name, "tx_q0_packets"), 1);
		close(udp);
		tun_close(&t);
		ring_unmap(&r);
	}
}
