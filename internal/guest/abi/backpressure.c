// SPDX-License-Identifier: MIT
/* MYTUN_MODE_F_BACKPRESSURE: what finds no room waits, and nothing is lost. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "super.h"

static void flags(int fd, uint32_t on)
{
	struct mytun_mode mode = { .flags = on };

	must(ioctl(fd, MYTUN_IOC_SET_MODE, &mode));
}

static bool bell_wanted(const struct ring *r, uint32_t old)
{
	full_barrier();
	return mytun_need_event(load_acquire(&r->rx_prod->event), r->rx, old);
}

static void bell(const struct ring *r)
{
	must(ioctl(r->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX));
}

/* The next record, which is given back and the kernel told if it wants to be; or 0. */
static size_t take(struct ring *r, void *packet)
{
	struct mytun_rec *rec = ring_rx(r);
	uint32_t old = r->rx;
	size_t len;

	if (!rec)
		return 0;
	len = rec->len;
	if (packet)
		memcpy(packet, rec_packet(rec), len);
	ring_rx_done(r);
	if (bell_wanted(r, old))
		bell(r);
	return len;
}

static unsigned int take_all(struct ring *r)
{
	unsigned int n = 0;

	while (take(r, NULL))
		n++;
	return n;
}

static void send_number(int udp, uint32_t n)
{
	uint8_t payload[100] = {};

	memcpy(payload, &n, sizeof(n));
	udp_send(udp, payload, sizeof(payload));
}

static void take_number(struct ring *r, uint32_t n)
{
	uint8_t packet[2000];
	uint32_t got;

	eventually(ring_rx(r));
	expect_eq(take(r, packet), UDP4 + 100);
	memcpy(&got, packet + UDP4, sizeof(got));
	expect_eq(got, n);
}

/* 32 + 28 + 100 is 160 bytes a record: so many fit a ring of a page. */
enum {
	RECORD = 160,
	FIT = 4096 / RECORD,
	SENT = 100
};

/* An interface that is up, with a discipline. */
static struct tun tun_held(int tun_flags, uint32_t mode)
{
	struct tun t = tun_open("", tun_flags);

	flags(t.fd, MYTUN_MODE_F_BACKPRESSURE | mode);
	iface_up(t.name);
	expect_eq(iface_backlog(t.name), 0);
	return t;
}

TEST(what_finds_no_room_waits_and_nothing_is_lost)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);

	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < SENT; i++)
			send_number(udp, i);
		expect(r.rx_prod->pos - r.rx > r.g.rx_size / 2);
		expect(iface_backlog(t.name) >= SENT - FIT);
		for (uint32_t i = 0; i < SENT; i++)
			take_number(&r, i);
		expect(!ring_rx(&r));
		expect_eq(iface_backlog(t.name), 0);
	}
	expect_eq(r.rx_prod->drops, 0);
	expect_eq(iface_stats(t.name).tx_dropped, 0);
	expect_eq(iface_stats(t.name).tx_packets, 20 * SENT);
	expect(iface_ethtool(t.name, "rx_q0_holds") >= 20 * (SENT - FIT) / FIT);
	expect(iface_ethtool(t.name, "rx_q0_doorbells") <= iface_ethtool(t.name, "rx_q0_holds"));
	expect(iface_ethtool(t.name, "rx_q0_doorbells") >= 20);
}

TEST(it_stops_before_the_ring_is_full_and_goes_on_at_half)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 14));
	int udp = udp_here(AF_INET);
	uint32_t pos, old;

	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	pos = load_acquire(&r.rx_prod->pos);
	/* Room for one of the longest packets is left. */
	expect(r.g.rx_size - pos >= 1500 + 32);
	expect(iface_backlog(t.name) > 0);

	/* Whoever rings too early gets one more: it goes on in softirq, and stops again. */
	for (int i = 0; i < 2; i++) {
		pos += RECORD;
		bell(&r);
		eventually(load_acquire(&r.rx_prod->pos) == pos);
	}
	expect(pos <= r.g.rx_size);
	expect_eq(r.rx_prod->drops, 0);

	/* The wish comes when half is free, and not before; nothing moves without. */
	do {
		expect(ring_rx(&r));
		old = r.rx;
		ring_rx_done(&r);
		expect_eq(load_acquire(&r.rx_prod->pos), pos);
	} while (!bell_wanted(&r, old));
	expect(r.g.rx_size - (pos - r.rx) >= r.g.rx_size / 2 - RECORD);
	expect(r.g.rx_size - (pos - r.rx) <= r.g.rx_size / 2 + RECORD);
	bell(&r);
	eventually(load_acquire(&r.rx_prod->pos) != pos);
	expect_eq(r.rx_prod->drops, 0);
}

TEST(without_a_discipline_packets_are_dropped)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);

	flags(t.fd, MYTUN_MODE_F_BACKPRESSURE);
	expect_eq(iface_backlog(t.name), -1);
	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	expect_eq(r.rx_prod->drops, SENT - FIT);
	expect_eq(iface_ethtool(t.name, "rx_q0_holds"), 0);
	for (uint32_t i = 0; i < FIT; i++)
		take_number(&r, i);
}

TEST(an_interface_that_nobody_asked_it_of_has_no_discipline)
{
	struct tun t = tun_open("", IFF_TUN);

	flags(t.fd, MYTUN_MODE_F_RECORDS);
	iface_up(t.name);
	expect_eq(iface_backlog(t.name), -1);
}

/* What waits goes on by itself, and is dropped where there is no room. */
TEST(switched_off_nobody_waits)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);

	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	flags(t.fd, 0);
	eventually(iface_backlog(t.name) == 0);
	eventually(r.rx_prod->drops == SENT - FIT);
	expect_eq(ring_rx_drain(&r), FIT);

	flags(t.fd, MYTUN_MODE_F_BACKPRESSURE);
	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	for (uint32_t i = 0; i < SENT; i++)
		take_number(&r, i);
	expect_eq(r.rx_prod->drops, SENT - FIT);
}

TEST(a_super_packet_waits_whole_for_room)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 17));
	int fd = super_socket(t.name);
	static struct super s;
	unsigned int got = 0;

	super_new(&s, (struct super_kind){}, 1000, 40, 1000);
	for (unsigned int i = 0; i < 8; i++)
		super_send(fd, t.name, &s);
	expect(iface_backlog(t.name) >= 4);
	while (got < 8 * 40) {
		eventually(ring_rx(&r));
		got += take_all(&r);
	}
	expect_eq(got, 8 * 40);
	expect_eq(r.rx_prod->drops, 0);
}

/* The module leaves to the stack what has IPv6 extension headers, and each piece has them all. */
TEST(a_super_packet_of_long_headers_waits_whole_for_room)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 16));
	int fd = super_socket(t.name);
	static struct super s;
	unsigned int got = 0;

	super_new(&s, (struct super_kind){ .ipv6 = true, .extensions = 20 }, 100, 60, 100);
	for (unsigned int i = 0; i < 8; i++)
		super_send(fd, t.name, &s);
	expect(iface_backlog(t.name) >= 4);
	while (got < 8 * 60) {
		eventually(ring_rx(&r) || r.rx_prod->drops);
		expect_eq(r.rx_prod->drops, 0);
		got += take_all(&r);
	}
	expect_eq(got, 8 * 60);
	expect_eq(r.rx_prod->drops, 0);
}

/* One that never fits whole must not wait for ever. */
TEST(a_super_packet_larger_than_the_ring_gives_what_fits)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 14));
	int fd = super_socket(t.name), udp = udp_here(AF_INET);
	static struct super s;
	unsigned int got = 0;

	super_new(&s, (struct super_kind){}, 1000, 40, 1000);
	send_number(udp, 1);
	super_send(fd, t.name, &s);
	send_number(udp, 2);
	take_number(&r, 1);
	eventually(ring_rx(&r));
	while (ring_rx(&r)->len > 1000) {
		take(&r, NULL);
		got++;
		eventually(ring_rx(&r));
	}
	expect(got >= 14);
	take_number(&r, 2);
	expect_eq(got + r.rx_prod->drops, 40);
}

TEST(a_faulted_ring_lets_its_senders_go)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);

	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	expect(iface_backlog(t.name) > 0);
	r.tx_prod->pos = 8;
	ring_expect_fault(&r);
	eventually(iface_backlog(t.name) == 0);
	expect_eq(iface_stats(t.name).tx_packets + iface_stats(t.name).tx_dropped, SENT);
	expect_errno(ioctl(t.fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX), EIO);
}

/* A program that lies about its position is found out, not waited for. */
TEST(a_lie_about_room_is_found_out)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);

	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	r.rx_cons->pos = r.rx_prod->pos + (1U << 30);
	/* It may be found out before this returns. */
	if (ioctl(t.fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX))
		expect_eq(errno, EIO);
	eventually(iface_backlog(t.name) == 0);
	expect(r.rx_prod->flags & MYTUN_END_F_FAULT);
}

static void must_read(int fd, uint32_t want)
{
	uint8_t packet[2000];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint32_t got;

	expect_eq(poll(&p, 1, 5000), 1);
	expect_eq(must(read(fd, packet, sizeof(packet))), UDP4 + 100);
	memcpy(&got, packet + UDP4, sizeof(got));
	expect_eq(got, want);
}

static struct tun plain_held(uint32_t mode, int txqueuelen)
{
	struct tun t = tun_open("", IFF_TUN);
	char tc[100];

	flags(t.fd, MYTUN_MODE_F_BACKPRESSURE | mode);
	iface_up(t.name);
	/* The default discipline would be as short as the queue. */
	snprintf(tc, sizeof(tc), "/usr/sbin/tc qdisc replace dev %s root pfifo limit 1000", t.name);
	expect_eq(system(tc), 0);
	must(iface_set_txqueuelen(t.name, txqueuelen));
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	return t;
}

TEST(what_read_has_not_taken_waits)
{
	const int lengths[] = { 1, 2, 3, 4, 30 };

	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
		struct tun t = plain_held(0, lengths[l]);
		int udp = udp_here(AF_INET);

		for (uint32_t i = 0; i < SENT; i++)
			send_number(udp, i);
		expect(iface_backlog(t.name) > 0);
		for (uint32_t i = 0; i < SENT; i++)
			must_read(t.fd, i);
		expect_eq(iface_stats(t.name).tx_dropped, 0);
		close(udp);
		tun_close(&t);
	}
}

TEST(what_read_has_not_taken_as_records_waits)
{
	struct tun t = plain_held(MYTUN_MODE_F_RECORDS, 5);
	int udp = udp_here(AF_INET);
	static struct records got;
	uint32_t next = 0, number;

	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	expect(iface_backlog(t.name) > 0);
	while (next < SENT) {
		struct pollfd p = { .fd = t.fd, .events = POLLIN };

		expect_eq(poll(&p, 1, 5000), 1);
		for (size_t i = 0, n = records_read(&got, t.fd); i < n; i++) {
			memcpy(&number, (char *)rec_packet(got.rec[i]) + UDP4, sizeof(number));
			expect_eq(number, next++);
		}
	}
	expect_eq(iface_stats(t.name).tx_dropped, 0);
}

TEST(a_longer_queue_for_read_wakes)
{
	struct tun t = plain_held(0, 4);
	int udp = udp_here(AF_INET);
	uint8_t packet[2000];
	uint32_t got;

	for (uint32_t i = 0; i < 30; i++)
		send_number(udp, i);
	expect_eq(iface_backlog(t.name), 26);
	/* What has not come by when the core resets the discipline, a little later, is lost. */
	must(iface_set_txqueuelen(t.name, 64));
	for (uint32_t i = 0; i < 20; i++)
		send_number(udp, SENT + i);
	/* None is read. */
	eventually(iface_backlog(t.name) == 0);
	do {
		expect_eq(must(read(t.fd, packet, sizeof(packet))), UDP4 + 100);
		memcpy(&got, packet + UDP4, sizeof(got));
	} while (got != SENT);
	for (uint32_t i = 1; i < 20; i++)
		must_read(t.fd, SENT + i);

	must(iface_set_txqueuelen(t.name, 2));
	for (uint32_t i = 0; i < 20; i++)
		send_number(udp, i);
	for (uint32_t i = 0; i < 20; i++)
		must_read(t.fd, i);
}

TEST(rings_wake_who_waits_for_read)
{
	struct tun t = plain_held(0, 4);
	int udp = udp_here(AF_INET);
	struct ring r;

	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	r = ring_new(t.fd, ring_args(1 << 16));
	/* Four went with the queue that they were in. */
	for (uint32_t i = 4; i < SENT; i++)
		take_number(&r, i);
	expect_eq(iface_backlog(t.name), 0);
}

/* A queue without rings, beside one with, gets a super-packet as the packets that it stands
 * for; they wait together.
 */
TEST(a_super_packet_waits_until_read_has_room_for_all_of_it)
{
	struct tun a = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_new(a.fd, ring_args(1 << 20));
	unsigned int want = 0, got = 0, by_read = 0;
	static struct super s;
	static uint8_t packet[1 << 16];
	char tc[100];
	int fd;

	flags(a.fd, MYTUN_MODE_F_BACKPRESSURE);
	flags(b.fd, MYTUN_MODE_F_BACKPRESSURE);
	must(fcntl(b.fd, F_SETFL, O_NONBLOCK));
	iface_up_bare(a.name);
	snprintf(tc, sizeof(tc), "/usr/sbin/tc qdisc replace dev %s root pfifo limit 1000", a.name);
	expect_eq(system(tc), 0);
	must(iface_set_txqueuelen(a.name, 64));
	fd = super_socket(a.name);
	for (unsigned int i = 0; i < 64; i++) {
		srandom(i);
		super_random(&s, (struct super_kind){}, 40);
		want += (s.len - s.headers + s.mss - 1) / s.mss;
		super_send(fd, a.name, &s);
	}
	for (int quiet = 0; got < want && quiet < 1000; quiet++) {
		unsigned int n = take_all(&r);

		while (read(b.fd, packet, sizeof(packet)) > 0) {
			by_read++;
			n++;
		}
		got += n;
		if (n)
			quiet = 0;
		sleep_ms(1);
	}
	expect_eq(got, want);
	expect(by_read > 128);
	expect(by_read < want);
	expect_eq(iface_stats(a.name).tx_dropped, 0);
}

/* A super-packet of more packets than the read queue holds, which is empty. */
TEST(an_empty_read_queue_takes_what_it_can)
{
	struct tun a = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_new(a.fd, ring_args(1 << 16));
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct pollfd p = { .fd = b.fd, .events = POLLIN };
	static struct super s;
	static uint8_t packet[1 << 16];
	unsigned int got = 0;
	char tc[100];
	int fd;

	(void)r;
	flags(b.fd, MYTUN_MODE_F_BACKPRESSURE);
	must(fcntl(b.fd, F_SETFL, O_NONBLOCK));
	iface_up_bare(a.name);
	snprintf(tc, sizeof(tc), "/usr/sbin/tc qdisc replace dev %s root pfifo limit 1000", a.name);
	expect_eq(system(tc), 0);
	must(iface_set_txqueuelen(a.name, 40));
	/* Its rings make the interface take super-packets, and the other serves them. */
	must(ioctl(a.fd, TUNSETQUEUE, &off));
	fd = super_socket(a.name);

	super_new(&s, (struct super_kind){}, 1000, 2, 1000);
	super_send(fd, a.name, &s);
	while (read(b.fd, packet, sizeof(packet)) > 0)
		got++;
	expect_eq(got, 2);

	super_new(&s, (struct super_kind){}, 1000, 45, 1000);
	super_send(fd, a.name, &s);
	if (poll(&p, 1, 3000) != 1)
		fail("nothing to read, and %d wait in the discipline", iface_backlog(a.name));
}

/* Sends to many flows, until both queues hold. */
static unsigned int fill_queues(const struct ring *a, const struct ring *b)
{
	unsigned int sent = 0;

	for (uint16_t port = 2000; port < 2300; port++) {
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
		int udp = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

		to.sin_addr.s_addr = htonl(0x0a090002);
		must(sendto(udp, (char[100]){}, 100, 0, (struct sockaddr *)&to, sizeof(to)));
		close(udp);
		sent++;
	}
	expect(a->rx_prod->pos - a->rx > a->g.rx_size / 2);
	expect(b->rx_prod->pos - b->rx > b->g.rx_size / 2);
	return sent;
}

/* The indexes of queues change while their senders wait. */
TEST(queues_come_and_go_and_nobody_waits_for_ever)
{
	struct tun a = tun_held(IFF_TUN | IFF_MULTI_QUEUE, 0);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring ra = ring_new(a.fd, ring_args(1 << 12));
	struct ring rb = ring_new(b.fd, ring_args(1 << 12));
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct ifreq on = { .ifr_flags = IFF_ATTACH_QUEUE };

	flags(b.fd, MYTUN_MODE_F_BACKPRESSURE);
	for (int round = 0; round < 10; round++) {
		unsigned int sent, got;

		sent = fill_queues(&ra, &rb);
		expect(iface_backlog(a.name) > 0);
		/* The first, whose place the second takes, or the second. */
		must(ioctl(round % 2 ? a.fd : b.fd, TUNSETQUEUE, &off));
		got = 0;
		for (int quiet = 0; quiet < 20; quiet++) {
			unsigned int n = take_all(round % 2 ? &rb : &ra);

			if (n)
				quiet = 0;
			got += n;
			sleep_ms(1);
		}
		expect_eq(iface_backlog(a.name), 0);
		expect(got > FIT);
		expect(got <= sent);
		must(ioctl(round % 2 ? a.fd : b.fd, TUNSETQUEUE, &on));
		take_all(&ra);
		take_all(&rb);
	}
	expect_eq(ra.rx_prod->drops + rb.rx_prod->drops, 0);
}

/* A flow that the program has sent on a queue. */
static void flow_of(const struct tun *t, struct ring *r, uint16_t port)
{
	struct packet p;

	packet_inbound(&p, t, AF_INET, "f", 1);
	((struct udphdr *)(p.bytes + sizeof(struct iphdr)))->source = htons(port);
	packet_finish(&p, false);
	ring_tx_packet(r, p.bytes, p.len);
	ring_tx_flush(r);
}

static void send_to(int udp, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	to.sin_addr.s_addr = htonl(0x0a090002);
	must(sendto(udp, (char[100]){}, 100, 0, (struct sockaddr *)&to, sizeof(to)));
}

/* Two queues, of which the one of @hold has senders that wait, and the other has nothing. */
struct two {
	struct tun t[2];
	struct ring r[2];
	int udp;
};

static void two_open(struct two *two, int hold)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT_HERE) };

	here.sin_addr.s_addr = htonl(0x0a090001);
	two->t[0] = tun_held(IFF_TUN | IFF_MULTI_QUEUE, 0);
	two->t[1] = tun_open(two->t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
	flags(two->t[1].fd, MYTUN_MODE_F_BACKPRESSURE);
	two->udp = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	must(bind(two->udp, (struct sockaddr *)&here, sizeof(here)));
	for (int i = 0; i < 2; i++) {
		two->r[i] = ring_new(two->t[i].fd, ring_args(1 << 13));
		flow_of(&two->t[i], &two->r[i], 3000 + i);
	}
	for (int i = 0; i < SENT; i++)
		send_to(two->udp, 3000 + hold);
	expect(iface_backlog(two->t[0].name) > 0);
	expect(!ring_rx(&two->r[!hold]));
}

/* It takes a place whose senders wait, and would not be rung for: there is room. */
TEST(a_queue_that_moves_does_not_wait_for_the_one_that_left)
{
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct two two;

	two_open(&two, 0);
	must(ioctl(two.t[0].fd, TUNSETQUEUE, &off));
	send_to(two.udp, 3001);
	eventually(take_all(&two.r[1]));
}

/* Nor for the one that moved away. */
TEST(a_queue_that_comes_does_not_wait_for_the_one_that_moved)
{
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct ifreq on = { .ifr_flags = IFF_ATTACH_QUEUE };
	struct two two;

	two_open(&two, 1);
	must(ioctl(two.t[0].fd, TUNSETQUEUE, &off));
	must(ioctl(two.t[0].fd, TUNSETQUEUE, &on));
	flow_of(&two.t[0], &two.r[0], 3000);
	send_to(two.udp, 3000);
	eventually(ring_rx(&two.r[0]));
}

TEST(a_file_that_comes_does_not_wait_for_the_queue_that_moved)
{
	struct packet p;
	struct two two;
	struct tun third;
	char buf[2000];

	two_open(&two, 1);
	must(ioctl(two.t[0].fd, MYTUN_IOC_DETACH, 0));
	third = tun_open(two.t[1].name, IFF_TUN | IFF_MULTI_QUEUE);
	must(fcntl(third.fd, F_SETFL, O_NONBLOCK));
	packet_inbound(&p, &third, AF_INET, "f", 1);
	((struct udphdr *)(p.bytes + sizeof(struct iphdr)))->source = htons(3000);
	packet_finish(&p, false);
	must(write(third.fd, p.bytes, p.len));
	send_to(two.udp, 3000);
	eventually(read(third.fd, buf, sizeof(buf)) > 0);
}

/* A queue that leaves for good while it holds has no heirs. */
TEST(a_persistent_interface_carries_on_with_another_file)
{
	struct tun t = tun_held(IFF_TUN, 0);
	struct ring r = ring_new(t.fd, ring_args(1 << 12));
	int udp = udp_here(AF_INET);
	struct tun u;

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	for (uint32_t i = 0; i < SENT; i++)
		send_number(udp, i);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	u = tun_open(t.name, IFF_TUN);
	r = ring_new(u.fd, ring_args(1 << 14));
	/* The mode is a file's, and this one drops. */
	eventually(iface_backlog(u.name) == 0);
	ring_rx_drain(&r);
	send_number(udp, 5);
	take_number(&r, 5);
	must(ioctl(u.fd, TUNSETPERSIST, 0));
}

TEST(an_interface_goes_while_senders_wait)
{
	for (int round = 0; round < 10; round++) {
		struct tun t = tun_held(IFF_TUN, 0);
		struct ring r = ring_new(t.fd, ring_args(1 << 12));
		int udp = udp_here(AF_INET);

		for (uint32_t i = 0; i < SENT; i++)
			send_number(udp, i);
		if (round % 2) {
			iface_del(t.name);
			expect_errno(ioctl(t.fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX), EBADFD);
		} else {
			iface_down(t.name);
			bell(&r);
		}
		ring_unmap(&r);
		tun_close(&t);
		close(udp);
	}
}

struct storm {
	struct tun t;
	struct ring r;
	bool stop;
	unsigned int sent;
};

static void *storm_send(void *arg)
{
	struct storm *s = arg;
	int udp = udp_here(AF_INET);

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
		send_number(udp, s->sent++);
	close(udp);
	return NULL;
}

/* Who reads takes and rings as it should, now quickly, now slowly; and the sender, which a
 * lost wake-up would leave waiting for ever, sends all along.
 */
TEST_WITHIN(60, a_sender_and_a_reader_never_wait_for_each_other)
{
	struct storm s = { .t = tun_held(IFF_TUN, 0) };
	unsigned int got = 0;
	pthread_t thread;

	s.r = ring_new(s.t.fd, ring_args(1 << 13));
	pthread_create(&thread, NULL, storm_send, &s);
	for (unsigned int i = 0; got < 60000; i++) {
		eventually(ring_rx(&s.r));
		for (unsigned int n = i * 2654435761u >> 27; n && take(&s.r, NULL); n--)
			got++;
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	while (iface_backlog(s.t.name) || ring_rx(&s.r))
		got += take_all(&s.r);
	pthread_join(thread, NULL);
	got += take_all(&s.r);
	/* What the sender was too fast for, the discipline has dropped. */
	expect_eq(got, iface_stats(s.t.name).tx_packets);
	expect_eq(iface_stats(s.t.name).tx_dropped, 0);
	expect_eq(s.r.rx_prod->drops, 0);
}

/* The same by read(2), which wakes by itself. */
TEST_WITHIN(60, a_sender_and_read_never_wait_for_each_other)
{
	struct storm s = { .t = plain_held(0, 20) };
	struct pollfd p = { .fd = s.t.fd, .events = POLLIN };
	pthread_t thread;

	pthread_create(&thread, NULL, storm_send, &s);
	for (uint32_t i = 0; i < 30000; i++) {
		expect_eq(poll(&p, 1, 5000), 1);
		expect_eq(must(read(s.t.fd, (uint8_t[2000]){}, 2000)), UDP4 + 100);
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	do {
		while (read(s.t.fd, (uint8_t[2000]){}, 2000) > 0)
			continue;
	} while (iface_backlog(s.t.name) || poll(&p, 1, 10) == 1);
	pthread_join(thread, NULL);
	expect_eq(iface_stats(s.t.name).tx_dropped, 0);
}
