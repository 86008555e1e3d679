// SPDX-License-Identifier: MIT
/*
 * The library against the module itself: to be run as root on a machine that can
 * be spared, with the module loaded. "make module-test" builds it, static.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../libmytun.h"
#include "pattern.h"
#include "tap.h"

#define OWN_ADDR  "10.77.0.1"
#define PEER_ADDR "10.77.0.2"
#define PORT	  7777
#define HEADERS	  (sizeof(struct iphdr) + sizeof(struct udphdr))

/* A queue whose interface is up, and a socket of the host behind it. */
struct host {
	struct mytun_queue q;
	struct mytun_rings rings;
	char name[MYTUN_NAME_SIZE];
	int sock;
};

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	inet_pton(AF_INET, text, &sin.sin_addr);
	return sin;
}

static int if_set_address(int sock, struct ifreq *ifr, unsigned long request,
			  const char *text)
{
	struct sockaddr_in sin = address(text);

	memcpy(&ifr->ifr_addr, &sin, sizeof(sin));
	return ioctl(sock, request, ifr);
}

static bool if_set_up(int sock, const char *name, bool up)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	memcpy(ifr.ifr_name, name, MYTUN_NAME_SIZE);
	if (ioctl(sock, SIOCGIFFLAGS, &ifr))
		return false;
	if (up)
		ifr.ifr_flags |= IFF_UP;
	else
		ifr.ifr_flags &= (short)~IFF_UP;
	return !ioctl(sock, SIOCSIFFLAGS, &ifr);
}

static bool host_configure(struct host *h)
{
	struct sockaddr_in own = address(OWN_ADDR);
	struct ifreq ifr = { .ifr_flags = 0 };

	h->sock = socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(ifr.ifr_name, h->name, sizeof(h->name));
	return h->sock >= 0 &&
	       !if_set_address(h->sock, &ifr, SIOCSIFADDR, OWN_ADDR) &&
	       !if_set_address(h->sock, &ifr, SIOCSIFNETMASK, "255.255.255.0") &&
	       if_set_up(h->sock, h->name, true) &&
	       !bind(h->sock, (struct sockaddr *)&own, sizeof(own));
}

static bool host_open_mode(struct host *h, struct mytun_rings rings, uint32_t flags)
{
	int err;

	memset(h, 0, sizeof(*h));
	h->rings = rings;
	strcpy(h->name, "lib%d");
	err = mytun_queue_open(&h->q, NULL, h->name, IFF_TUN | IFF_NO_PI, &h->rings);
	CHECK_EQ(err, 0);
	if (err)
		return false;
	/* Before the interface is up: with backpressure it gets a queueing discipline. */
	if (flags)
		CHECK_EQ(mytun_queue_set_mode(&h->q, flags, MYTUN_INJECT_SOFTIRQ), 0);
	if (host_configure(h))
		return true;
	tap_fail(__FILE__, __LINE__, "can not configure %s", h->name);
	return false;
}

static bool host_open(struct host *h, struct mytun_rings rings)
{
	return host_open_mode(h, rings, 0);
}

static void host_close(struct host *h)
{
	close(h->sock);
	mytun_queue_close(&h->q);
	CHECK_EQ(if_nametoindex(h->name), 0);
}

/* The host sends; the program is to receive. */
static void host_send(struct host *h, uint32_t len, uint32_t n)
{
	struct sockaddr_in peer = address(PEER_ADDR);
	unsigned char packet[1400];

	pattern_fill(packet, len, n);
	CHECK_EQ(sendto(h->sock, packet, len, 0, (struct sockaddr *)&peer, sizeof(peer)), len);
}

/* The next record of a packet that host_send() sent: others are passed over. */
static struct mytun_rec *next_sent(struct mytun_queue *q, int timeout_ms)
{
	struct mytun_rec *rec;
	struct iphdr ip;

	while (mytun_rx_wait(q, timeout_ms) == 1) {
		rec = mytun_rx_peek(&q->rx);
		if (!rec)
			break;
		memcpy(&ip, mytun_rec_data(rec), sizeof(ip));
		if (rec->len > HEADERS && ip.version == 4 && ip.protocol == IPPROTO_UDP)
			return rec;
	}
	return NULL;
}

static uint16_t checksum(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum >> 16) + (sum & 0xffff);
	return htons((uint16_t) ~((sum >> 16) + sum));
}

/* A packet from the other side to the host's socket. */
static void put_packet(unsigned char *at, uint32_t len, uint32_t n)
{
	struct sockaddr_in own = address(OWN_ADDR), peer = address(PEER_ADDR);
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.tot_len = htons((uint16_t)(HEADERS + len)),
		.saddr = peer.sin_addr.s_addr,
		.daddr = own.sin_addr.s_addr,
	};
	struct udphdr udp = {
		.source = htons(PORT),
		.dest = htons(PORT),
		.len = htons((uint16_t)(sizeof(udp) + len)),
	};

	ip.check = checksum(&ip, sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
	memcpy(at + sizeof(ip), &udp, sizeof(udp));
	pattern_fill(at + HEADERS, len, n);
}

static int transmit(struct mytun_queue *q, uint32_t len, uint32_t n)
{
	struct mytun_rec *rec;

	rec = mytun_tx_reserve(&q->tx, (uint32_t)HEADERS + len);
	if (!rec)
		return -ENOBUFS;
	put_packet(mytun_rec_data(rec), len, n);
	mytun_tx_commit(&q->tx, rec, (uint32_t)HEADERS + len);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void *later(void *arg)
{
	struct timespec ts = { .tv_nsec = 50000000 };

	nanosleep(&ts, NULL);
	host_send(arg, 100, 42);
	return NULL;
}

static void *delete_later(void *arg)
{
	struct timespec ts = { .tv_nsec = 50000000 };
	struct host *h = arg;

	nanosleep(&ts, NULL);
	CHECK_EQ(mytun_detach(h->q.fd), 0);
	return NULL;
}

static void info_and_errors(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 4096 };
	char name[MYTUN_NAME_SIZE] = "lib%d", long_name[MYTUN_NAME_SIZE];
	struct mytun_info info;
	void *map;
	int fd;

	CHECK_EQ(mytun_open("/nonexistent"), -ENOENT);
	fd = mytun_open(NULL);
	NEED(fd >= 0);
	CHECK_EQ(mytun_get_info(fd, &info), 0);
	CHECK_EQ(info.abi_version, MYTUN_ABI_VERSION);
	CHECK_EQ(info.ifindex, 0);
	CHECK_EQ(info.queue, UINT32_MAX);
	CHECK_EQ(mytun_set_rings(fd, &rings), -EBADFD);
	CHECK_EQ(mytun_detach(fd), -EBADFD);
	memset(long_name, 'n', sizeof(long_name));
	CHECK_EQ(mytun_attach(fd, long_name, IFF_TUN), -EINVAL);

	CHECK_EQ(mytun_attach(fd, name, IFF_TUN), 0);
	CHECK(!strncmp(name, "lib", 3) && name[3] != '%');
	CHECK_EQ(mytun_get_info(fd, &info), 0);
	CHECK_EQ(info.ifindex, if_nametoindex(name));
	CHECK_EQ(info.queue, 0);
	CHECK_EQ(mytun_map(fd, 4096, &map), -EINVAL);
	CHECK_EQ(mytun_doorbell(fd), -EINVAL);
	rings.rx_size = 5000;
	CHECK_EQ(mytun_set_rings(fd, &rings), -EINVAL);
	rings.rx_size = 4096;
	CHECK_EQ(mytun_set_rings(fd, &rings), 0);
	CHECK_EQ(mytun_set_rings(fd, &rings), -EBUSY);
	CHECK_EQ(mytun_map(fd, rings.map_size, &map), 0);
	CHECK_EQ(mytun_unmap(map, rings.map_size), 0);
	CHECK_EQ(mytun_detach(fd), 0);
	CHECK_EQ(mytun_doorbell(fd), -EBADFD);
	CHECK_EQ(mytun_close(fd), 0);
	CHECK_EQ(mytun_close(fd), -EBADF);
}

static void receives_in_order(void)
{
	struct mytun_rings rings = {
		.rx_size = 1 << 16,
		.tx_size = 4096,
		.rx_headroom = 64,
		.rx_tailroom = 32,
		.flags = MYTUN_RINGS_F_HASH,
	};
	struct mytun_rec *rec;
	struct host h;

	NEED(host_open(&h, rings));
	for (uint32_t n = 0; n < 2000; n++) {
		uint32_t len = pattern_len(n, 1400);

		host_send(&h, len, n);
		rec = next_sent(&h.q, 2000);
		NEED(rec);
		CHECK_EQ(rec->off, sizeof(*rec) + 64);
		CHECK_EQ(rec->len, HEADERS + len);
		CHECK_EQ(rec->proto, htons(0x0800));
		CHECK(rec->hash != 0);
		CHECK(pattern_is(mytun_rec_data(rec) + HEADERS, len, n));
		memset(rec, 0xee, rec->off + rec->len + 32);
		mytun_rx_release(&h.q.rx);
	}
	CHECK_EQ(mytun_ring_drops(h.q.rx.prod), 0);
	host_close(&h);
}

static void full_ring_drops(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 4096 };
	struct mytun_rec *rec;
	int got = 0;
	struct host h;

	NEED(host_open(&h, rings));
	for (uint32_t n = 0; n < 100; n++)
		host_send(&h, 1000, n);
	while ((rec = mytun_rx_peek(&h.q.rx)))
		got++;
	CHECK(got >= 3);
	CHECK(mytun_ring_drops(h.q.rx.prod) >= 96);
	mytun_rx_release(&h.q.rx);
	host_send(&h, 1000, 100);
	rec = next_sent(&h.q, 1000);
	NEED(rec);
	CHECK(pattern_is(mytun_rec_data(rec) + HEADERS, 1000, 100));
	host_close(&h);
}

static void drain(struct host *h)
{
	while (mytun_rx_wait(&h->q, 300) == 1) {
		while (mytun_rx_peek(&h->q.rx))
			;
		mytun_rx_release(&h->q.rx);
	}
}

static void wakes_a_sleeper(void)
{
	struct mytun_rings rings = { .rx_size = 1 << 16, .tx_size = 4096 };
	pthread_t thread;
	struct host h;
	int64_t begun;

	NEED(host_open(&h, rings));
	drain(&h);
	begun = now_ms();
	CHECK_EQ(mytun_rx_wait(&h.q, 30), 0);
	CHECK(now_ms() - begun >= 29);
	for (int i = 0; i < 5; i++) {
		pthread_create(&thread, NULL, later, &h);
		begun = now_ms();
		CHECK(next_sent(&h.q, 3000));
		CHECK(now_ms() - begun < 2000);
		mytun_rx_release(&h.q.rx);
		pthread_join(thread, NULL);
	}
	host_close(&h);
}

/* Records that are kept, and whose headers the program used for itself. */
static void wakes_with_records_kept(void)
{
	struct mytun_rings rings = { .rx_size = 1 << 16, .tx_size = 4096 };
	struct mytun_rec *rec;
	pthread_t thread;
	int64_t begun;
	struct host h;

	NEED(host_open(&h, rings));
	drain(&h);
	host_send(&h, 100, 1);
	rec = next_sent(&h.q, 1000);
	NEED(rec);
	memset(rec, 0xff, sizeof(*rec));
	begun = now_ms();
	CHECK_EQ(mytun_rx_wait(&h.q, 30), 0);
	CHECK(now_ms() - begun >= 29);
	pthread_create(&thread, NULL, later, &h);
	begun = now_ms();
	CHECK(next_sent(&h.q, 3000));
	CHECK(now_ms() - begun < 2000);
	pthread_join(thread, NULL);
	host_close(&h);
}

static void transmits_in_order(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 1 << 14 };
	unsigned char packet[2000];
	struct host h;
	ssize_t got;

	NEED(host_open(&h, rings));
	for (uint32_t n = 0; n < 2000; n += 4) {
		for (uint32_t i = n; i < n + 4; i++)
			CHECK_EQ(transmit(&h.q, pattern_len(i, 1300), i), 0);
		CHECK_EQ(mytun_tx_submit(&h.q), 0);
		for (uint32_t i = n; i < n + 4; i++) {
			got = recv(h.sock, packet, sizeof(packet), 0);
			CHECK_EQ(got, pattern_len(i, 1300));
			CHECK(got > 0 && pattern_is(packet, (uint32_t)got, i));
		}
		CHECK_EQ(mytun_tx_wait(&h.q, 4 * 1400, 1000), 1);
	}
	CHECK_EQ(mytun_ring_drops(h.q.tx.cons), 0);
	host_close(&h);
}

static void waits_for_room(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 4096 };
	uint32_t most = 4096 - sizeof(struct mytun_rec);
	struct host h;

	NEED(host_open(&h, rings));
	/* To be dropped by the stack: the ring's room is what counts. */
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(mytun_tx_wait(&h.q, most, 2000), 1);
		CHECK_EQ(transmit(&h.q, 1000, 1), 0);
		CHECK_EQ(transmit(&h.q, 1000, 2), 0);
		CHECK_EQ(transmit(&h.q, 1000, 3), 0);
	}
	CHECK_EQ(mytun_tx_submit(&h.q), 0);
	CHECK_EQ(mytun_tx_wait(&h.q, most + 1, 0), -EMSGSIZE);
	host_close(&h);
}

static void down_consumes_and_tells(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 4096 };
	struct host h;

	NEED(host_open(&h, rings));
	CHECK(if_set_up(h.sock, h.name, false));
	CHECK_EQ(transmit(&h.q, 1000, 1), 0);
	CHECK_EQ(mytun_tx_submit(&h.q), -ENETDOWN);
	CHECK_EQ(mytun_tx_wait(&h.q, 4000, 1000), 1);
	CHECK_EQ(mytun_ring_drops(h.q.tx.cons), 1);
	CHECK(if_set_up(h.sock, h.name, true));
	CHECK_EQ(transmit(&h.q, 1000, 2), 0);
	CHECK_EQ(mytun_tx_submit(&h.q), 0);
	host_close(&h);
}

static void detach_ends_waiting(void)
{
	struct mytun_rings rings = { .rx_size = 1 << 16, .tx_size = 4096 };
	pthread_t thread;
	struct host h;
	int ret;

	NEED(host_open(&h, rings));
	pthread_create(&thread, NULL, delete_later, &h);
	while ((ret = mytun_rx_wait(&h.q, 3000)) == 1) {
		while (mytun_rx_peek(&h.q.rx))
			;
		mytun_rx_release(&h.q.rx);
	}
	CHECK_EQ(ret, -EBADFD);
	pthread_join(thread, NULL);
	CHECK_EQ(mytun_tx_wait(&h.q, 4000, 1000), 1);
	CHECK_EQ(transmit(&h.q, 3000, 1), 0);
	CHECK_EQ(mytun_tx_submit(&h.q), -EBADFD);
	host_close(&h);
}

static void lie_is_a_fault(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 4096 };
	struct host h;

	NEED(host_open(&h, rings));
	drain(&h);
	CHECK_EQ(transmit(&h.q, 100, 1), 0);
	/* A record that says that it is longer than what was published. */
	((struct mytun_rec *)h.q.tx.data)->size = 2048;
	CHECK_EQ(mytun_tx_submit(&h.q), -EIO);
	CHECK_EQ(mytun_rx_wait(&h.q, 1000), -EIO);
	CHECK_EQ(mytun_ring_error(h.q.tx.cons), -EIO);
	host_close(&h);
}

static void modes(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 4096 };
	struct mytun_mode mode;
	struct mytun_info info;
	unsigned char packet[2000];
	struct host h;

	NEED(host_open(&h, rings));
	CHECK_EQ(mytun_get_info(h.q.fd, &info), 0);
	CHECK_EQ(info.mode_flags, MYTUN_MODE_F_ALL);
	for (uint32_t inject = MYTUN_INJECT_SOFTIRQ; inject <= MYTUN_INJECT_DIRECT; inject++) {
		/* Some kernels have no threads for it. */
		if (!(info.injections & 1U << inject) && inject == MYTUN_INJECT_THREAD)
			continue;
		CHECK_EQ(mytun_queue_set_mode(&h.q, 0, inject), 0);
		memset(&mode, 0xff, sizeof(mode));
		CHECK_EQ(mytun_get_mode(h.q.fd, &mode), 0);
		CHECK_EQ(mode.flags, 0);
		CHECK_EQ(mode.inject, inject);
		CHECK_EQ(transmit(&h.q, 100, inject), 0);
		CHECK_EQ(mytun_tx_submit(&h.q), 0);
		CHECK_EQ(recv(h.sock, packet, sizeof(packet), 0), 100);
		CHECK(pattern_is(packet, 100, inject));
	}
	CHECK_EQ(mytun_queue_set_mode(&h.q, MYTUN_MODE_F_RECORDS, 0), -EINVAL);
	CHECK_EQ(mytun_queue_set_mode(&h.q, 1U << 31, 0), -EINVAL);
	CHECK_EQ(mytun_queue_set_mode(&h.q, 0, 31), -EINVAL);
	CHECK(!h.q.rx.backpressure);
	CHECK_EQ(mytun_queue_set_mode(&h.q, MYTUN_MODE_F_BACKPRESSURE, 0), 0);
	CHECK(h.q.rx.backpressure);
	CHECK_EQ(mytun_queue_set_mode(&h.q, 0, 0), 0);
	CHECK(!h.q.rx.backpressure);
	host_close(&h);
}

#define HELD_PACKETS 1000

static void *send_many(void *arg)
{
	for (uint32_t n = 0; n < HELD_PACKETS; n++)
		host_send(arg, 1000, n);
	return NULL;
}

/* The sender blocks in send(2), and no packet is lost. */
static void backpressure_holds(void)
{
	struct mytun_rings rings = { .rx_size = 1 << 14, .tx_size = 4096 };
	struct mytun_rec *rec;
	pthread_t thread;
	struct host h;

	NEED(host_open_mode(&h, rings, MYTUN_MODE_F_BACKPRESSURE));
	pthread_create(&thread, NULL, send_many, &h);
	for (uint32_t n = 0; n < HELD_PACKETS; n++) {
		rec = next_sent(&h.q, 3000);
		if (!rec) {
			tap_fail(__FILE__, __LINE__, "packet %u does not come", n);
			break;
		}
		CHECK(pattern_is(mytun_rec_data(rec) + HEADERS, 1000, n));
		/* Some are kept for a while. */
		if (n % 4 == 0)
			CHECK_EQ(mytun_rx_done(&h.q), 0);
	}
	mytun_rx_done(&h.q);
	pthread_join(thread, NULL);
	CHECK_EQ(mytun_ring_drops(h.q.rx.prod), 0);
	host_close(&h);
}

static bool signalled(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&pfd, 1, 500) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void eventfds(void)
{
	struct mytun_rings rings = { .rx_size = 1 << 16, .tx_size = 4096 };
	int rx = eventfd(0, EFD_NONBLOCK), tx = eventfd(0, EFD_NONBLOCK);
	struct host h;

	NEED(host_open(&h, rings));
	CHECK_EQ(mytun_set_eventfds(h.q.fd, h.sock, -1), -EINVAL);
	CHECK_EQ(mytun_set_eventfds(h.q.fd, 1000, -1), -EBADF);
	CHECK_EQ(mytun_set_eventfds(h.q.fd, rx, tx), 0);
	/* Nothing that came before is missed. */
	CHECK(signalled(rx));
	CHECK(signalled(tx));
	drain(&h);
	signalled(rx);
	CHECK_EQ(mytun_rx_arm(&h.q.rx), 0);
	host_send(&h, 100, 1);
	CHECK(signalled(rx));
	CHECK(next_sent(&h.q, 0));
	CHECK_EQ(mytun_set_eventfds(h.q.fd, -1, -1), 0);
	CHECK_EQ(mytun_set_eventfds(h.q.fd, rx, -1), 0);
	signalled(rx);
	CHECK_EQ(mytun_detach(h.q.fd), 0);
	CHECK(signalled(rx));
	close(rx);
	close(tx);
	host_close(&h);
}

static void records_both_ways(void)
{
	struct mytun_mode mode = { .flags = MYTUN_MODE_F_RECORDS };
	_Alignas(struct mytun_rec) unsigned char buf[16384];
	struct host h = { .name = "lib%d" };
	bool empty = false;
	size_t used = 0, pos = 0;
	uint32_t next = 0;
	ssize_t got;

	h.q.fd = mytun_open(NULL);
	NEED(h.q.fd >= 0);
	CHECK_EQ(mytun_attach(h.q.fd, h.name, IFF_TUN | IFF_NO_PI), 0);
	CHECK_EQ(mytun_set_mode(h.q.fd, &mode), 0);
	NEED(host_configure(&h));

	for (uint32_t n = 0; n < 8; n++) {
		uint32_t len = pattern_len(n, 1000);
		struct mytun_rec *rec = mytun_records_put(buf, sizeof(buf), &used,
							  (uint32_t)HEADERS + len);

		NEED(rec);
		put_packet(mytun_rec_data(rec), len, n);
	}
	CHECK_EQ(write(h.q.fd, buf, used), used);
	for (uint32_t n = 0; n < 8; n++) {
		got = recv(h.sock, buf, sizeof(buf), 0);
		CHECK_EQ(got, pattern_len(n, 1000));
		CHECK(got > 0 && pattern_is(buf, (uint32_t)got, n));
	}

	for (uint32_t n = 0; n < 8; n++)
		host_send(&h, 100, n);
	while (!empty) {
		struct mytun_rec *rec;
		struct iphdr ip;

		got = read(h.q.fd, buf, sizeof(buf));
		if (got < 0) {
			CHECK_EQ(errno, EAGAIN);
			empty = true;
			continue;
		}
		for (pos = 0; (rec = mytun_records_next(buf, (size_t)got, &pos));) {
			memcpy(&ip, mytun_rec_data(rec), sizeof(ip));
			if (ip.version != 4 || ip.protocol != IPPROTO_UDP)
				continue;
			CHECK_EQ(rec->len, HEADERS + 100);
			CHECK(pattern_is(mytun_rec_data(rec) + HEADERS, 100, next++));
		}
		CHECK_EQ(pos, got);
	}
	CHECK_EQ(next, 8);
	mytun_close(h.q.fd);
	close(h.sock);
}

static void offload(void)
{
	struct mytun_rings rings = { .rx_size = 4096, .tx_size = 4096 };
	struct host h;

	NEED(host_open(&h, rings));
	CHECK_EQ(mytun_set_offload(h.q.fd, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), 0);
	CHECK_EQ(mytun_set_offload(h.q.fd, 1U << 31), -EINVAL);
	CHECK_EQ(mytun_set_offload(h.q.fd, 0), 0);
	host_close(&h);
	CHECK_EQ(mytun_set_offload(-1, 0), -EBADF);
}

static const struct test module_tests[] = {
	{ "info_and_errors", info_and_errors },
	{ "receives_in_order", receives_in_order },
	{ "full_ring_drops", full_ring_drops },
	{ "wakes_a_sleeper", wakes_a_sleeper },
	{ "wakes_with_records_kept", wakes_with_records_kept },
	{ "transmits_in_order", transmits_in_order },
	{ "waits_for_room", waits_for_room },
	{ "down_consumes_and_tells", down_consumes_and_tells },
	{ "detach_ends_waiting", detach_ends_waiting },
	{ "lie_is_a_fault", lie_is_a_fault },
	{ "modes", modes },
	{ "backpressure_holds", backpressure_holds },
	{ "eventfds", eventfds },
	{ "records_both_ways", records_both_ways },
	{ "offload", offload },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	tap_run("csrc/", module_tests, argc > 1 ? argv[1] : NULL);
	return tap_end();
}
