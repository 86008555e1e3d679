// SPDX-License-Identifier: MIT
/* Mistakes that others have paid for: memory that goes too early, or never. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "leak.h"
#include "mode.h"
#include "packet.h"
#include "records.h"
#include "ring.h"

enum {
	FLIGHT = 50,
	ROUNDS = 240
};

/* Packets of a ring wait in the stack, and all that they came from goes. */
TEST(ring_freed_with_packets_in_flight_CVE_2026_80841)
{
	struct tun keep = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun t = tun_open(keep.name, IFF_TUN | IFF_MULTI_QUEUE), u;
	struct ring r = ring_small(t.fd), other;
	int udp = udp_here(AF_INET);
	uint8_t payload[1000];
	struct packet p;

	for (unsigned int i = 0; i < FLIGHT; i++) {
		fill(payload, sizeof(payload), i);
		packet_inbound(&p, &t, AF_INET, payload, sizeof(payload));
		ring_tx_packet(&r, p.bytes, p.len);
	}
	ring_tx_flush(&r);
	memset(r.tx_data, 0xff, r.g.tx_size);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	ring_unmap(&r);
	tun_close(&t);
	/* Who comes next gets the memory that is free. */
	u = tun_open(keep.name, IFF_TUN | IFF_MULTI_QUEUE);
	other = ring_new(u.fd, ring_args(1 << 20));
	memset(other.tx_data, 0xff, other.g.tx_size);
	memset(other.rx_data, 0xff, other.g.rx_size);
	for (unsigned int i = 0; i < FLIGHT; i++) {
		fill(payload, sizeof(payload), i);
		udp_expect(udp, payload, sizeof(payload));
	}
	udp_expect_none(udp);
}

static void expect_pattern(const char *map, size_t len, unsigned int seed)
{
	static uint8_t want[1 << 16];

	fill(want, len, seed);
	if (memcmp(map, want, len))
		fail("the memory is another's");
}

/* All of the queue is gone but its mapping, and then but a page in a pipe. */
TEST(mmap_outliving_its_memory_CVE_2024_0582)
{
	static uint8_t got[4096];
	uint8_t want[4096];
	int pipes[2];

	must(pipe(pipes));
	for (int round = 0; round < 6; round++) {
		struct tun t = tun_open_up(IFF_TUN), u;
		struct ring r = ring_small(t.fd), others;
		struct iovec iov = { r.tx_data + 4096, 4096 };

		if (round % 3 == 0)
			iface_del(t.name);
		else if (round % 3 == 1)
			must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		tun_close(&t);
		fill(r.tx_data, r.g.tx_size, round);
		fill(r.rx_data, r.g.rx_size, round + 100);
		must(vmsplice(pipes[1], &iov, 1, 0));
		u = tun_open("", IFF_TUN);
		others = ring_new(u.fd, ring_args(1 << 20));
		memset(others.rx_data, 0xff, others.g.rx_size);
		expect_pattern(r.tx_data, r.g.tx_size, round);
		expect_pattern(r.rx_data, r.g.rx_size, round + 100);
		memcpy(want, r.tx_data + 4096, 4096);
		ring_unmap(&r);
		memset(others.tx_data, 0xff, others.g.tx_size);
		ring_unmap(&others);
		tun_close(&u);
		u = tun_open("", IFF_TUN);
		others = ring_new(u.fd, ring_args(1 << 20));
		memset(others.rx_data, 0xff, others.g.rx_size);
		expect_eq(must(read(pipes[0], got, sizeof(got))), sizeof(got));
		if (memcmp(got, want, sizeof(got)))
			fail("the page in the pipe is another's");
		ring_unmap(&others);
		tun_close(&u);
	}
}

/* Rings have one size for ever; everything else that changes sizes leaves them alone. */
TEST(resize_under_a_mapping)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct mytun_rings larger = ring_args(1 << 20), smaller = ring_args(1 << 12);
	int udp = udp_here(AF_INET);
	struct ifreq ifr;

	fill(r.tx_data, r.g.tx_size, 1);
	fill(r.rx_data, r.g.rx_size, 2);
	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, &larger), EBUSY);
	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, &smaller), EBUSY);
	expect_errno(tun_set_iff(t.fd, t.name, IFF_TUN | IFF_NO_PI, &ifr), EEXIST);
	must(iface_set_txqueuelen(t.name, 5000));
	must(iface_set_txqueuelen(t.name, 1));
	iface_set_mtu(t.name, 65535);
	iface_set_mtu(t.name, 1500);
	expect(mremap(r.map, r.g.map_size, r.g.map_size + 4096, MREMAP_MAYMOVE) == MAP_FAILED);
	expect_pattern(r.tx_data, r.g.tx_size, 1);
	expect_pattern(r.rx_data, r.g.rx_size, 2);
	/* Around it, where the sizes were to be others. */
	for (unsigned int i = 0; i < 3000; i++) {
		struct mytun_rec *rec;

		udp_send(udp, &i, sizeof(i));
		rec = ring_rx_wait(&r);
		expect(!memcmp((char *)rec_packet(rec) + UDP4, &i, sizeof(i)));
		ring_rx_done(&r);
	}
}

/* Two pages, the second of which is not there. */
static uint8_t *hole(void)
{
	uint8_t *p = (void *)must((intptr_t)mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE,
						 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	must(munmap(p + (1 << 16), 1 << 16));
	return p + (1 << 16);
}

static void fail_rings(struct tun *t, uint8_t *edge)
{
	struct mytun_rings *g = (void *)edge;
	struct mytun_rings *readonly = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mytun_rings bad = ring_args(1 << 20);

	*readonly = ring_args(1 << 20);
	must(mprotect(readonly, 4096, PROT_READ));
	expect_errno(ioctl(t->fd, MYTUN_IOC_RINGS, readonly), EFAULT);
	expect_errno(ioctl(t->fd, MYTUN_IOC_RINGS, g), EFAULT);
	bad.reserved[0] = 1;
	expect_errno(ioctl(t->fd, MYTUN_IOC_RINGS, &bad), EINVAL);
	munmap(readonly, 4096);
}

/* Packets of 60000 bytes that are given up when they have their memory. */
static void fail_writes(struct tun *t, uint8_t *edge)
{
	struct mytun_rec *rec = (void *)(edge - 30000);
	struct virtio_net_hdr *vnet = (void *)(edge - 60010);

	memset(edge - 60010, 0, 60010);
	edge[-60000] = 0x45;
	vnet->gso_type = 0x7f; /* refused when the packet is there */
	vnet->gso_size = 1;
	expect_errno(write(t->fd, edge - 60010, 60010), EINVAL);
	vnet->gso_type = 0;
	vnet->gso_size = 0;
	edge[-30000] = 0x45;
	expect_errno(write(t->fd, edge - 30000, 60000), EFAULT);
	records_on(t->fd);
	*rec = (struct mytun_rec){ .size = 60000, .len = 59000, .off = sizeof(*rec) };
	expect_errno(write(t->fd, rec, 60000), EFAULT);
	must(ioctl(t->fd, MYTUN_IOC_SET_MODE, &(struct mytun_mode){}));
}

static void fail_records(struct ring *r, unsigned int lie)
{
	struct mytun_rec *rec = ring_tx(r, 60000);

	*(uint8_t *)rec_packet(rec) = lie ? 0x45 : 0x15;
	if (lie) {
		rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		rec->csum_start = 20;
		rec->gso_type = lie;
		rec->gso_size = lie == 4 ? 0 : 1;
	}
	ring_tx_flush(r);
}

/* Every error comes when there is already something to be given back. */
TEST_WITHIN(120, page_leaks_on_error_paths_CVE_2026_46321_CVE_2026_46322)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_VNET_HDR), u = tun_open("", IFF_TUN);
	struct ring r = ring_new(u.fd, ring_args(1 << 18));
	struct leak_figures before, after;
	uint8_t *edge = hole();

	iface_up_bare(u.name);
	for (int round = 0; round < ROUNDS; round++) {
		/* The first are for caches that then stay. */
		if (round == ROUNDS / 3) {
			leak_settle();
			before = leak_figures();
		}
		fail_rings(&t, edge);
		fail_writes(&t, edge);
		for (unsigned int lie = 0; lie < 5; lie++)
			fail_records(&r, lie);
	}
	expect_eq(r.tx_cons->drops, ROUNDS * 5);
	leak_settle();
	after = leak_figures();
	before.module_users = after.module_users = 0; /* two files, as before */
	/* Each round gives up hundreds of pages. */
	leak_compare(&before, &after, 400);
}

/* Doorbells for ever, from a thread that does not know what becomes of the queue. */
struct ringer {
	pthread_t thread;
	struct ring r;
	struct packet p;
	bool stop;
};

static void *ring_on(void *arg)
{
	struct ringer *rg = arg;

	while (!__atomic_load_n(&rg->stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 30 && ring_tx_room(&rg->r) > 1024; i++)
			ring_tx_packet(&rg->r, rg->p.bytes, rg->p.len);
		ring_tx_publish(&rg->r);
		if (ring_doorbell(&rg->r))
			sleep_ms(1);
	}
	return NULL;
}

static void expect_silent(const struct ring *r)
{
	for (int i = 0; i < 5; i++) {
		uint32_t pos = load_acquire(&r->tx_cons->pos);

		sleep_ms(1);
		expect_eq(load_acquire(&r->tx_cons->pos), pos);
	}
}

static void detach_under_load(uint32_t mode, int how)
{
	struct tun keep = tun_open("load0", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun t = tun_open("load0", IFF_TUN | IFF_MULTI_QUEUE);
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	static struct ringer rg;

	rg = (struct ringer){ .r = ring_small(t.fd) };
	inject(t.fd, mode);
	iface_up_bare("load0");
	iface_addr("load0", AF_INET, HERE4, 24);
	packet_inbound(&rg.p, &t, AF_INET, "0123456789", 10);
	pthread_create(&rg.thread, NULL, ring_on, &rg);
	eventually(load_acquire(&rg.r.tx_cons->pos) > 0);
	if (how == 0) {
		must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	} else if (how == 1) {
		iface_del("load0");
	} else {
		must(ioctl(t.fd, TUNSETQUEUE, &off));
		expect_silent(&rg.r); /* though doorbells do come through */
		inject(t.fd, (mode + 1) % 3);
		expect_silent(&rg.r);
		must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	}
	expect_silent(&rg.r);
	__atomic_store_n(&rg.stop, true, __ATOMIC_RELAXED);
	pthread_join(rg.thread, NULL);
	ring_unmap(&rg.r);
	tun_close(&t);
	tun_close(&keep);
	eventually(!iface_exists("load0"));
}

TEST_WITHIN(60, napi_still_running_at_detach)
{
	for (uint32_t mode = 0; mode < 3; mode++)
		for (int how = 0; how < 3; how++)
			detach_under_load(mode, how);
}

/* Whatever refers to a queue, let go in every order. */
TEST_WITHIN(60, use_after_free_and_double_free_at_detach)
{
	long before = leak_figures().module_users, vmaps = leak_figures().vmaps;

	for (int order = 0; order < 24; order++) {
		struct tun t = tun_open("", IFF_TUN);
		int e = eventfd(0, 0), twin = must(dup(t.fd)), raw;
		struct mytun_eventfds fds = { e, e, {} };
		bool rings = order % 3, inside = order & 1;
		struct ring r = {};

		iface_up_bare(t.name);
		raw = raw_socket(t.name);
		must(ioctl(t.fd, MYTUN_IOC_EVENTFDS, &fds));
		must(fcntl(t.fd, F_SETFL, O_ASYNC | O_NONBLOCK));
		must(fcntl(t.fd, F_SETOWN, 0));
		if (rings)
			r = ring_small(t.fd);
		for (int i = 0; i < 5; i++)
			raw_send(raw, 0x88b5, "left behind", 11);
		close(e);
		if (order & 2)
			iface_del(t.name);
		if (order & 4) {
			int ret = ioctl(t.fd, MYTUN_IOC_DETACH, 0);

			expect_eq(ret, order & 2 ? -1 : 0);
			expect_errno(ioctl(t.fd, MYTUN_IOC_DETACH, 0), EBADFD);
		}
		if (rings && inside)
			ring_unmap(&r);
		close(t.fd);
		if (order & 8)
			iface_del_if_there(t.name);
		close(twin);
		if (rings && !inside)
			ring_unmap(&r);
		expect(!iface_exists(t.name));
		close(raw);
	}
	eventually(leak_figures().module_users == before);
	eventually(leak_figures().vmaps == vmaps);
}
