// SPDX-License-Identifier: MIT
/* Mistakes that others have paid for: what a program writes into shared memory is believed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "fetch.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "super.h"

struct scene {
	struct tun t;
	struct ring r;
	int udp;
};

static struct scene scene_new(int flags, uint32_t size)
{
	struct scene s = { .t = tun_open_up(flags) };

	s.r = ring_new(s.t.fd, ring_args(size));
	s.udp = udp_here(AF_INET);
	return s;
}

static struct mytun_rec *add(struct scene *s, const char *text)
{
	struct packet p;

	packet_inbound(&p, &s->t, AF_INET, text, strlen(text));
	return ring_tx_packet(&s->r, p.bytes, p.len);
}

/* Both directions go on where they were. */
static void exchange(struct scene *s, unsigned int n)
{
	struct packet p;

	packet_inbound(&p, &s->t, AF_INET, &n, sizeof(n));
	ring_tx_packet(&s->r, p.bytes, p.len);
	ring_tx_publish(&s->r);
	must(ring_doorbell(&s->r));
	udp_expect(s->udp, &n, sizeof(n));
	udp_send(s->udp, &n, sizeof(n));
}

/* The kernel's positions stand in pages that the program can write as well: they are for
 * telling, and never read back.
 */
TEST(ring_index_in_memory_that_the_program_writes_CVE_2024_41009)
{
	static const uint32_t lies[] = { 0, 8, 16, 64, 4096, 1u << 31, -16u, ~0u };
	struct scene s = scene_new(IFF_TUN, 1 << 12);
	uint32_t at = 0;

	/* Many times around the ring. */
	for (unsigned int i = 0; i < 400; i++) {
		struct mytun_rec *rec = (void *)(s.r.rx_data + at % 4096);
		uint32_t lie = lies[i % ARRAY_SIZE(lies)];

		store_release(&s.r.tx_cons->pos, s.r.tx); /* what ring_tx_room() looks at */
		exchange(&s, i);
		expect_eq(rec->len, UDP4 + sizeof(i));
		expect(!memcmp((char *)rec_packet(rec) + UDP4, &i, sizeof(i)));
		at += rec->size;
		expect_eq(load_acquire(&s.r.rx_prod->pos), at);
		expect_eq(load_acquire(&s.r.tx_cons->pos), s.r.tx);
		store_release(&s.r.rx_cons->pos, at);
		store_release(&s.r.rx_prod->pos, lie);
		store_release(&s.r.tx_cons->pos, lie);
		store_release(&s.r.rx_prod->flags, ~0u);
		store_release(&s.r.tx_cons->flags, ~0u);
	}
	expect_eq(iface_ethtool(s.t.name, "q0_faulted"), 0);
	expect_eq(iface_stats(s.t.name).rx_packets, 400);
	expect_eq(iface_stats(s.t.name).tx_packets, 400);
}

/* Counts, too, and lengths are compared with what there is. */
TEST(counts_and_lengths_in_memory_that_the_program_writes)
{
	static const uint32_t lengths[] = { 0, 49, 65535, 1u << 16, 1u << 31, ~0u };
	struct scene s = scene_new(IFF_TUN, 1 << 12);

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct mytun_rec *rec = add(&s, "0123456789012345678"); /* 47 bytes of 48 */

		s.r.tx_cons->drops = 1000;
		rec->len = lengths[i];
		add(&s, "good");
		ring_tx_flush(&s.r);
		udp_expect(s.udp, "good", 4);
		udp_expect_none(s.udp);
		expect_eq(s.r.tx_cons->drops, i + 1);
	}
	/* A size may not be more than was published, whatever lies behind it. */
	add(&s, "first")->size += 16;
	ring_tx_publish(&s.r);
	ring_doorbell(&s.r);
	eventually(load_acquire(&s.r.tx_cons->flags) == MYTUN_END_F_FAULT);
	expect_errno(ring_doorbell(&s.r), EIO);
	udp_expect_none(s.udp);
}

/*
 * Metadata read twice, CVE-2026-53250. In a ring another thread changes it all the time;
 * either what it was or what it is, but not a mixture, may come up.
 */
enum {
	TURNS = 4000
};

struct flipper {
	pthread_t thread;
	struct mytun_rec *rec;
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		/* All of them for long enough, where CPUs take turns. */
		for (int i = 0; i < 16; i++) {
			struct mytun_rec *rec = (void *)((char *)f->rec + 512 * (i % 8));
			bool lie = i < 8;

			__atomic_store_n(&rec->len, lie ? 30000 : UDP4 + 100,
					 __ATOMIC_RELAXED);
			__atomic_store_n(&rec->off, lie ? 0xfff0 : sizeof(*rec),
					 __ATOMIC_RELAXED);
			__atomic_store_n(&rec->size, 512 | rec->flags, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

TEST(metadata_read_twice_in_a_ring_CVE_2026_53250)
{
	struct scene s = scene_new(IFF_TUN, 1 << 12);
	struct flipper f = { .rec = (void *)s.r.tx_data };
	uint8_t payload[100];
	uint64_t arrived = 0;
	struct packet p;
	char got[40000];

	fill(payload, sizeof(payload), 1);
	packet_inbound(&p, &s.t, AF_INET, payload, sizeof(payload));
	for (int i = 0; i < 8; i++) {
		struct mytun_rec *rec = ring_tx(&s.r, 512 - sizeof(*rec));

		rec->len = p.len;
		memcpy(rec_packet(rec), p.bytes, p.len);
	}
	pthread_create(&f.thread, NULL, flip, &f);
	for (int i = 0; i < TURNS; i++) {
		ring_tx_publish(&s.r);
		must(ring_doorbell(&s.r));
		eventually(load_acquire(&s.r.tx_cons->pos) == s.r.tx);
		s.r.tx += 4096;
		for (ssize_t n; (n = recv(s.udp, got, sizeof(got), MSG_DONTWAIT)) >= 0; arrived++)
			if (n != sizeof(payload) || memcmp(got, payload, n))
				fail("a packet of %zd bytes that nobody sent", n);
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	pthread_join(f.thread, NULL);
	/* Consumed is not yet delivered: GRO lets go of the last when the poll ends. */
	for (int ms = 0; arrived + s.r.tx_cons->drops < 8 * TURNS && ms < 5000; ms++) {
		sleep_ms(1);
		while (recv(s.udp, got, sizeof(got), MSG_DONTWAIT) >= 0)
			arrived++;
	}
	expect(arrived > 0);
	expect_eq(iface_stats(s.t.name).rx_packets, arrived);
	expect_eq(arrived + s.r.tx_cons->drops, 8 * TURNS);
	expect_eq(s.r.tx_cons->flags, 0);
}

/* What is written is fetched when it is needed: here it changes between a record's header, or a
 * virtio header, and its packet.
 */
static void change_record(void *arg)
{
	struct mytun_rec *rec = arg;

	rec->len = 4000;
	rec->size = 1 << 20;
	rec->flags = MYTUN_REC_F_SKIP;
	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->csum_start = 20;
	rec->csum_offset = 4000;
	rec->proto = 0x1234;
}

TEST(metadata_read_twice_in_a_write_CVE_2026_53250)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct packet p;
	struct mytun_rec rec = { .off = sizeof(rec) };
	struct fetched f = { .packet = p.bytes, .change = change_record, .arg = &rec };
	struct iovec iov[] = { { &rec, sizeof(rec) }, {} };
	pthread_t thread;

	records_on(t.fd);
	packet_inbound(&p, &t, AF_INET, "as it was", 9);
	f.len = rec.len = p.len;
	rec.size = sizeof(rec) + ((p.len + 15) & -16u);
	thread = fetch_later(&f);
	iov[1] = (struct iovec){ f.page, rec.size - sizeof(rec) };
	expect_eq(must(writev(t.fd, iov, 2)), iov[0].iov_len + iov[1].iov_len);
	pthread_join(thread, NULL);
	expect_eq(rec.len, 4000);
	udp_expect(udp, "as it was", 9);
	expect_eq(iface_stats(t.name).rx_bytes, p.len);
	expect_eq(iface_stats(t.name).rx_dropped, 0);
}

static void change_vnet(void *arg)
{
	struct virtio_net_hdr *vnet = arg;

	vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vnet->csum_start = 20;
	vnet->csum_offset = 0xfff0;
	vnet->gso_type = VIRTIO_NET_HDR_GSO_UDP;
	vnet->gso_size = 1;
}

TEST(metadata_read_twice_in_a_virtio_header_CVE_2026_53250)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_VNET_HDR);
	int udp = udp_here(AF_INET);
	struct virtio_net_hdr vnet = {};
	struct packet p;
	struct fetched f = { .packet = p.bytes, .change = change_vnet, .arg = &vnet };
	struct iovec iov[] = { { &vnet, sizeof(vnet) }, {} };
	pthread_t thread;

	packet_inbound(&p, &t, AF_INET, "as it was", 9);
	f.len = p.len;
	thread = fetch_later(&f);
	iov[1] = (struct iovec){ f.page, p.len };
	expect_eq(must(writev(t.fd, iov, 2)), sizeof(vnet) + p.len);
	pthread_join(thread, NULL);
	expect_eq(vnet.gso_size, 1);
	udp_expect(udp, "as it was", 9);
	udp_expect_none(udp);
	expect_eq(iface_stats(t.name).rx_bytes, p.len);
}

TEST(record_larger_than_the_ring_CVE_2021_3489)
{
	struct scene s = scene_new(IFF_TUN, 1 << 12);
	static struct super big;
	uint8_t payload[5000] = {};
	int raw;

	/* To the program: what does not fit is dropped, whole or in pieces. */
	iface_set_mtu(s.t.name, 9000);
	udp_send(s.udp, payload, 4096 - sizeof(struct mytun_rec) - UDP4 + 1);
	expect_eq(s.r.rx_prod->pos, 0);
	expect_eq(s.r.rx_prod->drops, 1);
	udp_send(s.udp, payload, 4096 - sizeof(struct mytun_rec) - UDP4);
	expect_eq(s.r.rx_prod->pos, 4096);
	ring_rx_done(&s.r);
	super_new(&big, (struct super_kind){}, 5000, 3, 5000);
	raw = super_socket(s.t.name);
	super_send(raw, s.t.name, &big);
	expect_eq(s.r.rx_prod->pos, 4096);
	expect_eq(s.r.rx_prod->drops, 4);
	must(ioctl(s.t.fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4));
	super_send(raw, s.t.name, &big);
	expect_eq(s.r.rx_prod->pos, 4096);
	expect_eq(s.r.rx_prod->drops, 5);

	/* From it: it lies, even if the position comes along. */
	add(&s, "big")->size = 4096 + 16;
	store_release(&s.r.tx_prod->pos, 4096 + 16);
	ring_doorbell(&s.r);
	eventually(load_acquire(&s.r.tx_cons->flags) == MYTUN_END_F_FAULT);
	udp_expect_none(s.udp);
}

TEST(sizes_that_overflow_CVE_2020_14386)
{
	static const struct mytun_rings refused[] = {
		{ .rx_size = 1u << 31, .tx_size = 4096 },
		{ .rx_size = 4096, .tx_size = 1u << 31 },
		{ .rx_size = 0, .tx_size = 4096 },
		{ .rx_size = ~0u, .tx_size = 4096 },
		{ .rx_size = 4096, .tx_size = MYTUN_RING_SIZE_MAX * 2 },
		{ .rx_size = 4096, .tx_size = 4096, .rx_headroom = 0xffff },
		{ .rx_size = 4096, .tx_size = 4096, .rx_headroom = MYTUN_ROOM_MAX + 1 },
		{ .rx_size = 4096, .tx_size = 4096, .rx_tailroom = 0xfff0 },
	};
	struct mytun_rings g = { .rx_size = 1 << 12,
				 .tx_size = 1 << 12,
				 .rx_headroom = MYTUN_ROOM_MAX,
				 .rx_tailroom = MYTUN_ROOM_MAX };
	struct scene s = { .t = tun_open_up(IFF_TUN) };
	struct mytun_rec *rec;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct mytun_rings copy = refused[i];

		expect_errno(ioctl(s.t.fd, MYTUN_IOC_RINGS, &copy), EINVAL);
	}
	/* More room than there is ring: nothing ever fits, and nothing is written. */
	s.r = ring_new(s.t.fd, g);
	s.udp = udp_here(AF_INET);
	udp_send(s.udp, "x", 1);
	expect_eq(s.r.rx_prod->drops, 1);
	expect_eq(s.r.rx_prod->pos, 0);
	for (uint32_t i = 0; i < 2 * 4096; i++)
		expect_eq(s.r.rx_data[i], 0);

	/* Sums of 16 and of 32 bits. */
	rec = add(&s, "off and len wrap");
	rec->len = -(uint32_t)rec->off;
	rec = add(&s, "off and len wrap in 16 bits");
	rec->off = 0xffe0;
	rec->len = 0x20 + 44;
	rec = add(&s, "so do checksums");
	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->csum_start = 0xfffe;
	rec->csum_offset = 0x16;
	ring_tx_flush(&s.r);
	udp_expect_none(s.udp);
	expect_eq(s.r.tx_cons->drops, 3);
}

/*
 * Two of the kernel's threads claim one slot, gVisor #210: here many send into one ring, and
 * many ring for another, and each record has one owner.
 */
enum {
	THREADS = 4,
	EACH = 3000
};

struct sender {
	pthread_t thread;
	int id, udp, raw;
	const struct scene *s;
};

static void *send_numbers(void *arg)
{
	struct sender *sn = arg;
	uint32_t number[20] = { sn->id };

	for (uint32_t i = 0; i < EACH; i++) {
		number[1] = i;
		udp_send(sn->udp, number, 8 + i % 70);
		ring_doorbell(&sn->s->r);
	}
	return NULL;
}

TEST_WITHIN(60, two_kernel_threads_claim_one_slot_gVisor_210)
{
	struct scene s = scene_new(IFF_TUN, 1 << 20);
	uint32_t next[THREADS] = {}, up = 0, got[2];
	struct sender senders[THREADS];
	struct mytun_rec *rec;
	unsigned int came = 0;

	/* The doorbells of all are for these: each record goes up once. */
	for (; ring_tx_room(&s.r) > 100 && up < 8000; up++) {
		struct packet p;

		packet_inbound(&p, &s.t, AF_INET, &up, sizeof(up));
		ring_tx_packet(&s.r, p.bytes, p.len);
	}
	ring_tx_publish(&s.r);
	for (int i = 0; i < THREADS; i++) {
		senders[i] = (struct sender){ .id = i, .udp = s.udp, .s = &s };
		pthread_create(&senders[i].thread, NULL, send_numbers, &senders[i]);
	}
	while (came + s.r.rx_prod->drops < THREADS * EACH) {
		rec = ring_rx(&s.r);
		if (!rec)
			continue;
		memcpy(got, (char *)rec_packet(rec) + UDP4, sizeof(got));
		if (got[0] >= THREADS || got[1] < next[got[0]])
			fail("number %u of thread %u came after %u", got[1], got[0],
			     got[0] < THREADS ? next[got[0]] : 0);
		expect_eq(rec->len, UDP4 + 8 + got[1] % 70);
		next[got[0]] = got[1] + 1;
		came++;
		ring_rx_done(&s.r);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(senders[i].thread, NULL);
	expect(!ring_rx(&s.r));
	eventually(load_acquire(&s.r.tx_cons->pos) == s.r.tx);
	for (uint32_t i = 0; i < up; i++)
		udp_expect(s.udp, &i, sizeof(i));
	udp_expect_none(s.udp);
}

/* A batch of frames, one of which is shorter than an Ethernet header: CVE-2024-41091. */
TEST(frame_shorter_than_an_ethernet_header_in_a_batch_CVE_2024_41091)
{
	struct tun t = tun_open_up(IFF_TAP), u;
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	static struct records batch;
	struct packet good;

	packet_inbound(&good, &t, AF_INET, "good", 4);
	for (uint32_t len = 0; len < ETH; len++) {
		ring_tx_packet(&r, good.bytes, good.len);
		ring_tx_packet(&r, good.bytes, good.len)->len = len;
	}
	ring_tx_flush(&r);
	for (int i = 0; i < ETH; i++)
		udp_expect(udp, "good", 4);
	udp_expect_none(udp);
	expect_eq(r.tx_cons->drops, ETH);
	expect_eq(r.tx_cons->flags, 0);

	/* The same by one write(2). */
	close(udp);
	netns_new();
	u = tun_open_up(IFF_TAP);
	udp = udp_here(AF_INET);
	records_on(u.fd);
	packet_inbound(&good, &u, AF_INET, "good", 4);
	records_clear(&batch);
	for (uint32_t len = 0; len < ETH; len++) {
		records_add(&batch, &good);
		records_add(&batch, &good)->len = len;
	}
	expect_eq(must(write(u.fd, batch.bytes, batch.len)), batch.len);
	for (int i = 0; i < ETH; i++)
		udp_expect(udp, "good", 4);
	udp_expect_none(udp);
	expect_eq(iface_stats(u.name).rx_dropped, ETH);
	/* By us: the stack counts what it drops in the same place. */
	expect_eq(iface_stats(u.name).rx_packets, ETH);
}
