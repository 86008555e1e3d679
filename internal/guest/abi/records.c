// SPDX-License-Identifier: MIT
/* MYTUN_MODE_F_RECORDS: many packets a read(2) or write(2), without mmap. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "super.h"

/* The mode. */

TEST(the_module_says_that_it_knows_records)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_info info;

	must(ioctl(t.fd, MYTUN_IOC_INFO, &info));
	expect(info.mode_flags & MYTUN_MODE_F_RECORDS);
}

TEST(the_mode_is_read_back_and_ends_with_the_queue)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_mode mode = {};
	struct ifreq ifr;

	records_on(t.fd);
	must(ioctl(t.fd, MYTUN_IOC_GET_MODE, &mode));
	expect_eq(mode.flags, MYTUN_MODE_F_RECORDS);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	expect_errno(ioctl(t.fd, MYTUN_IOC_SET_MODE, &mode), EBADFD);
	must(tun_set_iff(t.fd, "", IFF_TUN | IFF_NO_PI, &ifr));
	must(ioctl(t.fd, MYTUN_IOC_GET_MODE, &mode));
	expect_eq(mode.flags, 0);
}

TEST(rings_end_the_mode_and_refuse_it)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_mode mode = {};
	char buf[100];

	records_on(t.fd);
	ring_small(t.fd);
	must(ioctl(t.fd, MYTUN_IOC_GET_MODE, &mode));
	expect_eq(mode.flags, 0);
	must(ioctl(t.fd, MYTUN_IOC_SET_MODE, &mode));
	mode.flags = MYTUN_MODE_F_RECORDS;
	expect_errno(ioctl(t.fd, MYTUN_IOC_SET_MODE, &mode), EINVAL);
	expect_errno(read(t.fd, buf, sizeof(buf)), EBUSY);
	expect_errno(write(t.fd, buf, sizeof(buf)), EBUSY);
}

TEST(without_the_mode_packets_come_bare_again)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct mytun_mode mode = {};
	struct records r;

	records_on(t.fd);
	udp_send(udp, "a", 1);
	expect_eq(records_read(&r, t.fd), 1);
	udp_send(udp, "b", 1);
	must(ioctl(t.fd, MYTUN_IOC_SET_MODE, &mode));
	expect_eq(must(read(t.fd, r.bytes, sizeof(r.bytes))), UDP4 + 1);
	expect_eq(r.bytes[0], 0x45);
}

/* Receiving. */

TEST(one_read_takes_all_that_is_there)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	uint8_t payload[1200];
	struct records r;

	records_on(t.fd);
	for (size_t i = 0; i < 40; i++) {
		fill(payload, i * 30, i);
		udp_send(udp, payload, i * 30);
	}
	expect_eq(records_read(&r, t.fd), 40);
	for (size_t i = 0; i < 40; i++) {
		struct mytun_rec *rec = r.rec[i];

		fill(payload, i * 30, i);
		expect_eq(rec->len, UDP4 + i * 30);
		expect_eq(ntohs(rec->proto), ETHERTYPE_IP);
		expect_eq(rec->hash, 0);
		expect(!memcmp((char *)rec_packet(rec) + UDP4, payload, i * 30));
	}
	expect_eq(iface_stats(t.name).tx_packets, 40);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	expect_errno(read(t.fd, r.bytes, sizeof(r.bytes)), EAGAIN);
}

/* The same packets by a ring, whose records are the standard. */
static void as_in_a_ring(int flags, unsigned long offloads)
{
	static const size_t sizes[] = { 0, 1, 3, 4, 5, 100, 1400, 1473, 4000 };
	struct tun ring_tun = tun_open_up(flags), t;
	struct ring ring = ring_small(ring_tun.fd);
	int ring_udp = udp_here(AF_INET), udp;
	struct records r;

	must(ioctl(ring_tun.fd, TUNSETOFFLOAD, offloads));
	netns_new();
	t = tun_open_up(flags);
	must(ioctl(t.fd, TUNSETOFFLOAD, offloads));
	records_on(t.fd);
	udp = udp_here(AF_INET);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		static uint8_t payload[5000];
		struct mytun_rec *want;

		fill(payload, sizes[i], i);
		udp_send(ring_udp, payload, sizes[i]);
		udp_send(udp, payload, sizes[i]);
		expect(records_read(&r, t.fd) >= 1);
		for (size_t n = 0; n < r.n; n++) {
			/* Fragments have an identification of their own. */
			int ip = t.tap ? ETH : 0;
			uint8_t *mine = rec_packet(r.rec[n]), *theirs;

			want = ring_rx_wait(&ring);
			theirs = rec_packet(want);
			memset(mine + ip + 4, 0, 2);
			memset(theirs + ip + 4, 0, 2);
			memset(mine + ip + 10, 0, 2);
			memset(theirs + ip + 10, 0, 2);
			if (t.tap) { /* and each interface its address */
				memset(mine, 0, 12);
				memset(theirs, 0, 12);
			}
			expect_eq(r.rec[n]->size, want->size);
			expect(!memcmp(r.rec[n], want, want->off + want->len));
			ring_rx_done(&ring);
		}
		expect(!ring_rx(&ring));
	}
}

TEST(records_are_those_of_a_ring)
{
	as_in_a_ring(IFF_TUN, 0);
}

TEST(records_of_frames_are_those_of_a_ring)
{
	as_in_a_ring(IFF_TAP, 0);
}

TEST(unfinished_checksums_are_told_as_in_a_ring)
{
	as_in_a_ring(IFF_TUN, TUN_F_CSUM);
}

TEST(unfinished_checksums_come_only_when_they_are_asked_for)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct records r;

	records_on(t.fd);
	udp_send(udp, "x", 1);
	expect_eq(records_read(&r, t.fd), 1);
	expect_eq(r.rec[0]->vnet_flags, 0);
	must(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM));
	udp_send(udp, "x", 1);
	expect_eq(records_read(&r, t.fd), 1);
	expect_eq(r.rec[0]->vnet_flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	expect_eq(r.rec[0]->csum_start, 20);
	expect_eq(r.rec[0]->csum_offset, 6);
}

/* A TCP super-packet, as a ring's record has it; cut by the stack unless asked for. */
static void super_packets(int flags, unsigned long offloads)
{
	struct super_kind kind = { .tap = flags & IFF_TAP };
	struct tun ring_tun = tun_open("ringed%d", flags), t = tun_open("plain%d", flags);
	struct ring ring = ring_new(ring_tun.fd, ring_args(1 << 17));
	static struct super s;
	struct records r;
	int raw;

	must(ioctl(ring_tun.fd, TUNSETOFFLOAD, offloads));
	must(ioctl(t.fd, TUNSETOFFLOAD, offloads));
	iface_up_bare(ring_tun.name);
	iface_up_bare(t.name);
	records_on(t.fd);
	super_new(&s, kind, 1000, 20, 7);
	raw = super_socket(ring_tun.name);
	super_send(raw, ring_tun.name, &s);
	raw = super_socket(t.name);
	super_send(raw, t.name, &s);
	expect_eq(records_read(&r, t.fd), offloads ? 1 : 20);
	for (size_t i = 0; i < r.n; i++) {
		struct mytun_rec *want = ring_rx_wait(&ring);

		expect_eq(r.rec[i]->size, want->size);
		expect(!memcmp(r.rec[i], want, want->off + want->len));
		ring_rx_done(&ring);
	}
	expect(!ring_rx(&ring));
}

TEST(super_packets_come_whole_or_cut_as_in_a_ring)
{
	super_packets(IFF_TUN, 0);
	netns_new();
	super_packets(IFF_TUN, TUN_F_CSUM | TUN_F_TSO4);
	netns_new();
	super_packets(IFF_TAP, 0);
	netns_new();
	super_packets(IFF_TAP, TUN_F_CSUM | TUN_F_TSO4);
}

TEST(a_record_can_stand_for_several_packets)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;
	struct records r = {};
	uint8_t payload[1000];
	struct packet p;

	records_on(t.fd);
	fill(payload, sizeof(payload), 1);
	packet_inbound(&p, &t, AF_INET, payload, sizeof(payload));
	records_pseudo_sum(p.bytes);
	rec = records_add(&r, &p);
	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->gso_type = 5; /* VIRTIO_NET_HDR_GSO_UDP_L4 */
	rec->hdr_len = UDP4;
	rec->gso_size = 400;
	rec->csum_start = 20;
	rec->csum_offset = 6;
	expect_eq(must(write(t.fd, r.bytes, r.len)), r.len);
	udp_expect(udp, payload, 400);
	udp_expect(udp, payload + 400, 400);
	udp_expect(udp, payload + 800, 200);
}

TEST(a_record_that_does_not_fit_is_the_next_reads)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	uint8_t buf[64 + 64 + 63];

	records_on(t.fd);
	for (int i = 0; i < 4; i++)
		udp_send(udp, "x", 1 + i); /* 64 bytes each */
	expect_eq(must(read(t.fd, buf, sizeof(buf))), 128);
	expect_eq(must(read(t.fd, buf, 64)), 64);
	expect_eq(((struct mytun_rec *)buf)->len, UDP4 + 3);
	for (size_t len = 1; len < 64; len += 9)
		expect_errno(read(t.fd, buf, len), EMSGSIZE);
	expect_eq(must(read(t.fd, buf, 0)), 0);
	expect_eq(must(read(t.fd, buf, sizeof(buf))), 64);
	expect_eq(((struct mytun_rec *)buf)->len, UDP4 + 4);
}

TEST(records_are_scattered_as_readv_asks)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	static uint8_t payload[1000], whole[2 * 1200];
	struct mytun_rec *rec = (struct mytun_rec *)whole;
	struct iovec iov[40];
	size_t at = 0;

	records_on(t.fd);
	for (size_t i = 0; i < ARRAY_SIZE(iov); i++) {
		iov[i] = (struct iovec){ whole + at, 1 + i * 3 };
		at += iov[i].iov_len;
	}
	expect(at <= sizeof(whole));
	fill(payload, sizeof(payload), 1);
	udp_send(udp, payload, sizeof(payload));
	udp_send(udp, payload, sizeof(payload));
	expect_eq(must(readv(t.fd, iov, ARRAY_SIZE(iov))), 2 * 1072);
	for (int i = 0; i < 2; i++) {
		expect_eq(rec->len, UDP4 + sizeof(payload));
		expect(!memcmp((char *)rec_packet(rec) + UDP4, payload, sizeof(payload)));
		rec = (struct mytun_rec *)((char *)rec + rec->size);
	}
}

static void send_when_parent_sleeps(void *arg)
{
	wait_asleep(getppid());
	udp_send(*(int *)arg, "woken", 5);
}

TEST(a_read_waits_for_the_first_record_only)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct records r;
	pid_t child;

	records_on(t.fd);
	child = spawn(send_when_parent_sleeps, &udp);
	expect_eq(records_read(&r, t.fd), 1);
	expect_eq(r.rec[0]->len, UDP4 + 5);
	spawn_wait(child);
}

TEST(a_read_that_must_not_wait_does_not)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct records r;
	struct iovec iov = { r.bytes, sizeof(r.bytes) };

	records_on(t.fd);
	expect_errno(preadv2(t.fd, &iov, 1, -1, RWF_NOWAIT), EAGAIN);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	expect_errno(read(t.fd, r.bytes, sizeof(r.bytes)), EAGAIN);
}

static void detach_when_parent_sleeps(void *arg)
{
	wait_asleep(getppid());
	must(ioctl(*(int *)arg, MYTUN_IOC_DETACH, 0));
}

static void rings_when_parent_sleeps(void *arg)
{
	struct mytun_rings args = ring_args(1 << 12);

	wait_asleep(getppid());
	must(ioctl(*(int *)arg, MYTUN_IOC_RINGS, &args));
}

TEST(a_parked_reader_leaves_when_the_queue_changes)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct records r;
	pid_t child;

	records_on(t.fd);
	child = spawn(rings_when_parent_sleeps, &t.fd);
	expect_errno(read(t.fd, r.bytes, sizeof(r.bytes)), EBUSY);
	spawn_wait(child);
	t = tun_open("", IFF_TUN);
	records_on(t.fd);
	child = spawn(detach_when_parent_sleeps, &t.fd);
	expect_errno(read(t.fd, r.bytes, sizeof(r.bytes)), EBADFD);
	spawn_wait(child);
}

/* Two pages, the second of which cannot be touched. */
static uint8_t *page_and_hole(void)
{
	uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must((intptr_t)p);
	must(mprotect(p + 4096, 4096, PROT_NONE));
	return p;
}

TEST(a_reader_without_a_page_loses_no_packet)
{
	struct tun t = tun_open_up(IFF_TUN);
	uint8_t *hole = page_and_hole() + 4096;
	int udp = udp_here(AF_INET);
	struct records r;

	records_on(t.fd);
	for (int i = 0; i < 4; i++)
		udp_send(udp, "x", 1 + i); /* 64 bytes each */
	/* In the header, the packet, the padding. */
	expect_errno(read(t.fd, hole, 4096), EFAULT);
	expect_errno(read(t.fd, hole - 10, 4096), EFAULT);
	expect_errno(read(t.fd, hole - 32, 4096), EFAULT);
	expect_errno(read(t.fd, hole - 50, 4096), EFAULT);
	expect_errno(read(t.fd, hole - 62, 4096), EFAULT);
	/* One fits before the hole. */
	expect_eq(must(read(t.fd, hole - 100, 4096)), 64);
	expect_eq(((struct mytun_rec *)(hole - 100))->len, UDP4 + 1);
	expect_eq(records_read(&r, t.fd), 3);
	expect_eq(r.rec[0]->len, UDP4 + 2);
	expect_eq(iface_stats(t.name).tx_packets, 4);
	expect_eq(iface_stats(t.name).tx_dropped, 0);
}

TEST(a_vlan_tag_is_part_of_the_packet)
{
	struct tun t = tun_open_up(IFF_TAP);
	int raw = raw_socket(t.name);
	struct records r;
	uint8_t bytes[100];
	int udp;

	records_on(t.fd);
	fill(bytes, sizeof(bytes), 1);
	memcpy(bytes + 12, "\x81\x00\x00\x05\x88\xb5", 6);
	raw_send(raw, ETHERTYPE_VLAN, bytes, sizeof(bytes));
	expect_eq(records_read(&r, t.fd), 1);
	expect_eq(r.rec[0]->len, sizeof(bytes));
	expect(!memcmp(rec_packet(r.rec[0]), bytes, sizeof(bytes)));
	udp = vlan_socket(t.name);
	if (udp < 0)
		skip("no VLAN interfaces");
	udp_send(udp, "tagged", 6);
	expect_eq(records_read(&r, t.fd), 1);
	expect_eq(r.rec[0]->len, ETH + 4 + UDP4 + 6);
	expect_eq(ntohs(r.rec[0]->proto), ETHERTYPE_VLAN);
	expect(!memcmp((char *)rec_packet(r.rec[0]) + 12, "\x81\x00\x00\x07\x08\x00\x45", 7));
	expect(!memcmp((char *)rec_packet(r.rec[0]) + ETH + 4 + UDP4, "tagged", 6));
}

/* Transmitting. */

TEST(one_write_sends_many)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	static struct packet p;
	struct records r = {};
	char payload[32];

	records_on(t.fd);
	for (int i = 0; i < 200; i++) {
		memset(payload, i, sizeof(payload));
		packet_inbound(&p, &t, i % 2 ? AF_INET6 : AF_INET, payload, 10 + i % 20);
		if (i % 2 == 0)
			records_add(&r, &p);
	}
	expect_eq(must(write(t.fd, r.bytes, r.len)), r.len);
	for (int i = 0; i < 200; i += 2) {
		memset(payload, i, sizeof(payload));
		udp_expect(udp, payload, 10 + i % 20);
	}
	udp_expect_none(udp);
	expect_eq(iface_stats(t.name).rx_packets, 100);
	expect_eq(iface_stats(t.name).rx_dropped, 0);
}

TEST(frames_are_sent_too)
{
	struct tun t = tun_open_up(IFF_TAP);
	int udp = udp_here(AF_INET), udp6 = udp_here(AF_INET6);
	static struct packet p;
	struct records r = {};

	records_on(t.fd);
	packet_inbound(&p, &t, AF_INET, "four", 4);
	records_add(&r, &p);
	packet_inbound(&p, &t, AF_INET6, "sixsix", 6);
	records_add(&r, &p);
	expect_eq(must(write(t.fd, r.bytes, r.len)), r.len);
	udp_expect(udp, "four", 4);
	udp_expect(udp6, "sixsix", 6);
	expect_eq(iface_stats(t.name).rx_bytes, 2 * ETH + UDP4 + 4 + UDP6 + 6);
}

TEST(records_are_gathered_as_writev_gives_them)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	static struct packet p;
	struct records r = {};
	struct iovec iov[600];
	size_t at = 0, n = 0;

	records_on(t.fd);
	for (int i = 0; i < 5; i++) {
		packet_inbound(&p, &t, AF_INET, "0123456789", 1 + i);
		records_add(&r, &p);
	}
	for (; at < r.len; n++) {
		size_t len = 1 + n % 5;

		len = len < r.len - at ? len : r.len - at;
		iov[n] = (struct iovec){ r.bytes + at, len };
		at += len;
	}
	expect_eq(must(writev(t.fd, iov, n)), r.len);
	for (int i = 0; i < 5; i++)
		udp_expect(udp, "0123456789", 1 + i);
}

TEST(packets_of_all_sizes_arrive)
{
	static const size_t sizes[] = { 0, 1, 2, 100, 1400, 3600, 4000, 4096, 9000, 30000, 65507 };
	struct tun t = tun_open_up(IFF_TUN);
	static uint8_t payload[65536];
	int udp = udp_here(AF_INET);
	static struct packet p;
	struct records r;

	records_on(t.fd);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		records_clear(&r);
		fill(payload, sizes[i], i);
		packet_inbound(&p, &t, AF_INET, payload, sizes[i]);
		records_add(&r, &p)->off += 16; /* not where it usually is */
		r.rec[0]->size += 16;
		memmove((char *)rec_packet(r.rec[0]), (char *)rec_packet(r.rec[0]) - 16, p.len);
		expect_eq(must(write(t.fd, r.bytes, r.rec[0]->size)), r.rec[0]->size);
		udp_expect(udp, payload, sizes[i]);
	}
}

/* A good record, one that @spoil made, and a good one, in one write. */
struct spoiled {
	struct tun t;
	int udp;
	struct records r;
};

static struct spoiled *spoiled(int flags)
{
	static struct spoiled s;
	struct packet p;

	netns_new();
	memset(&s, 0, sizeof(s));
	s.t = tun_open_up(flags);
	s.udp = udp_here(AF_INET);
	records_on(s.t.fd);
	packet_inbound(&p, &s.t, AF_INET, "first", 5);
	records_add(&s.r, &p);
	packet_inbound(&p, &s.t, AF_INET, "bad", 3);
	records_add(&s.r, &p);
	packet_inbound(&p, &s.t, AF_INET, "last", 4);
	records_add(&s.r, &p);
	return &s;
}

/* The write stops before the record in the middle; at the beginning it is EINVAL. */
static void expect_refused(struct spoiled *s)
{
	uint8_t *bad = (uint8_t *)s->r.rec[1];

	expect_eq(must(write(s->t.fd, s->r.bytes, s->r.len)), bad - s->r.bytes);
	udp_expect(s->udp, "first", 5);
	expect_errno(write(s->t.fd, bad, s->r.bytes + s->r.len - bad), EINVAL);
	udp_expect_none(s->udp);
	expect_eq(iface_stats(s->t.name).rx_dropped, 0);
}

/* The write takes all, and what was in the middle is counted. */
static void expect_dropped(struct spoiled *s, unsigned int drops)
{
	expect_eq(must(write(s->t.fd, s->r.bytes, s->r.len)), s->r.len);
	udp_expect(s->udp, "first", 5);
	udp_expect(s->udp, "last", 4);
	udp_expect_none(s->udp);
	expect_eq(iface_stats(s->t.name).rx_dropped, drops);
	expect_eq(iface_stats(s->t.name).rx_packets, 2);
}

TEST(a_write_ends_before_a_record_whose_size_or_place_lies)
{
	static const uint32_t sizes[] = { 0, 1, 16, 31, 33,
					  65, 0x1000, MYTUN_REC_BUSY, 0xffffffff, 0xfffffff0,
					  1 << 31 };
	static const uint16_t offs[] = { 0, 1, 31, 65, 0x8000, 0xffff };
	static const uint32_t lens[] = { 33, 100, 0x80000000, 0xffffffff };
	struct spoiled *s;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		s = spoiled(IFF_TUN);
		s->r.rec[1]->size = sizes[i];
		expect_refused(s);
		close(s->t.fd);
		close(s->udp);
	}
	for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
		s = spoiled(IFF_TUN);
		s->r.rec[1]->off = offs[i];
		expect_refused(s);
		close(s->t.fd);
		close(s->udp);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		s = spoiled(IFF_TUN);
		s->r.rec[1]->len = lens[i];
		expect_refused(s);
		close(s->t.fd);
		close(s->udp);
	}
}

TEST(a_record_that_carries_nothing_good_is_dropped)
{
	struct spoiled *s = spoiled(IFF_TUN);

	s->r.rec[1]->len = 0;
	expect_dropped(s, 1);
	s = spoiled(IFF_TUN);
	s->r.rec[1]->flags = MYTUN_REC_F_SKIP << 1;
	expect_dropped(s, 1);
	s = spoiled(IFF_TUN);
	s->r.rec[1]->flags = MYTUN_REC_F_SKIP | 0x8000;
	expect_dropped(s, 1);
	s = spoiled(IFF_TUN);
	*(uint8_t *)rec_packet(s->r.rec[1]) = 0x95;
	expect_dropped(s, 1);
	s = spoiled(IFF_TUN);
	s->r.rec[1]->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	s->r.rec[1]->csum_start = 1000;
	expect_dropped(s, 1);
	s = spoiled(IFF_TUN);
	s->r.rec[1]->gso_type = 0x77;
	expect_dropped(s, 1);
	s = spoiled(IFF_TAP);
	s->r.rec[1]->len = ETH - 1;
	expect_dropped(s, 1);
}

TEST(a_packet_that_is_too_long_is_dropped)
{
	struct spoiled *s = spoiled(IFF_TUN);
	uint32_t size = (sizeof(struct mytun_rec) + MYTUN_PACKET_MAX + 1 + 15) & -16;
	struct mytun_rec *last = (struct mytun_rec *)((uint8_t *)s->r.rec[1] + size);

	memmove(last, s->r.rec[2], s->r.rec[2]->size);
	s->r.rec[1]->size = size;
	s->r.rec[1]->len = MYTUN_PACKET_MAX + 1;
	s->r.len = (uint8_t *)last + last->size - s->r.bytes;
	expect_dropped(s, 1);
}

TEST(a_record_to_skip_is_skipped_and_not_looked_at)
{
	struct spoiled *s = spoiled(IFF_TUN);

	s->r.rec[1]->flags = MYTUN_REC_F_SKIP;
	s->r.rec[1]->off = 0xffff;
	s->r.rec[1]->len = 0xffffffff;
	expect_dropped(s, 0);
}

TEST(what_is_too_short_for_a_record_is_not_taken)
{
	struct spoiled *s = spoiled(IFF_TUN);

	expect_eq(must(write(s->t.fd, s->r.bytes, 0)), 0);
	for (size_t len = 1; len < 64; len += 7)
		expect_errno(write(s->t.fd, s->r.bytes, len), EINVAL);
	expect_eq(must(write(s->t.fd, s->r.bytes, 80 + 31)), 80);
	udp_expect(s->udp, "first", 5);
	udp_expect_none(s->udp);
}

TEST(the_stack_takes_nothing_while_the_interface_is_down)
{
	struct spoiled *s = spoiled(IFF_TUN);

	iface_down(s->t.name);
	expect_eq(must(write(s->t.fd, s->r.bytes, s->r.len)), s->r.len);
	expect_eq(iface_stats(s->t.name).rx_dropped, 3);
	expect_eq(iface_stats(s->t.name).rx_packets, 0);
	must(ioctl(s->t.fd, MYTUN_IOC_DETACH, 0));
	expect_errno(write(s->t.fd, s->r.bytes, s->r.len), EBADFD);
}

TEST(a_queue_out_of_service_with_napi_takes_nothing)
{
	struct spoiled *s = spoiled(IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };

	must(ioctl(s->t.fd, TUNSETQUEUE, &ifr));
	expect_eq(must(write(s->t.fd, s->r.bytes, s->r.len)), s->r.len);
	udp_expect_none(s->udp);
	expect_eq(iface_stats(s->t.name).rx_dropped, 3);
	expect_eq(iface_stats(s->t.name).rx_packets, 0);
}

TEST(a_writer_without_a_page_is_told_what_was_taken)
{
	struct spoiled *s = spoiled(IFF_TUN);
	uint8_t *hole = page_and_hole() + 4096;

	/* 80 bytes, of which the last 15 are padding, which nobody looks at. */
	for (size_t there = 0; there < 65; there += 7) {
		memcpy(hole - there, s->r.bytes, there);
		expect_errno(write(s->t.fd, hole - there, s->r.len), EFAULT);
	}
	udp_expect_none(s->udp);
	memcpy(hole - 100, s->r.bytes, 100);
	expect_eq(must(write(s->t.fd, hole - 100, s->r.len)), 80);
	udp_expect(s->udp, "first", 5);
	udp_expect_none(s->udp);
	expect_eq(iface_stats(s->t.name).rx_dropped, 0);
}

TEST(the_kernel_finishes_a_checksum_when_the_record_says_so)
{
	struct spoiled *s = spoiled(IFF_TUN);
	struct mytun_rec *rec = s->r.rec[1];
	uint8_t *p = rec_packet(rec);

	/* The sum of the pseudo-header is there, as TCP and UDP leave it. */
	rec->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->csum_start = 20;
	rec->csum_offset = 6;
	records_pseudo_sum(p);
	expect_eq(must(write(s->t.fd, s->r.bytes, s->r.len)), s->r.len);
	udp_expect(s->udp, "first", 5);
	udp_expect(s->udp, "bad", 3);
	udp_expect(s->udp, "last", 4);
}

TEST(headers_of_plain_files_are_not_used)
{
	struct tun t = { .fd = tun_open_file() };
	struct records r = {};
	struct packet p;
	struct ifreq ifr;
	int udp;

	must(tun_set_iff(t.fd, "", IFF_TUN | IFF_VNET_HDR, &ifr)); /* and packet information */
	memcpy(t.name, ifr.ifr_name, IFNAMSIZ);
	iface_up(t.name);
	udp = udp_here(AF_INET);
	records_on(t.fd);
	packet_inbound(&p, &t, AF_INET, "up", 2);
	records_add(&r, &p);
	expect_eq(must(write(t.fd, r.bytes, r.len)), r.len);
	udp_expect(udp, "up", 2);
	udp_send(udp, "down", 4);
	expect_eq(records_read(&r, t.fd), 1);
	expect_eq(r.rec[0]->len, UDP4 + 4);
}

TEST(a_flow_comes_back_on_the_queue_that_it_was_written_to)
{
	struct tun t[4] = { tun_open_up(IFF_TUN | IFF_MULTI_QUEUE) };
	int udp = udp_here(AF_INET);
	struct packet p;

	for (size_t i = 1; i < ARRAY_SIZE(t); i++)
		t[i] = tun_open(t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		records_on(t[i].fd);
		must(fcntl(t[i].fd, F_SETFL, O_NONBLOCK));
	}
	for (size_t i = 0; i < 20; i++) {
		struct records r = {};

		packet_inbound(&p, &t[0], AF_INET, "question", 8);
		records_add(&r, &p);
		expect_eq(must(write(t[i % 4].fd, r.bytes, r.len)), r.len);
		udp_expect(udp, "question", 8);
		udp_send(udp, "answer", 6);
		expect_eq(records_read(&r, t[i % 4].fd), 1);
	}
}

/* The send buffer. */

TEST(a_write_of_more_than_the_send_buffer_does_not_wait_for_itself)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET), sndbuf = 5000;
	struct records r = {};
	struct packet p;
	uint8_t payload[1000];

	must(ioctl(t.fd, TUNSETSNDBUF, &sndbuf));
	records_on(t.fd);
	fill(payload, sizeof(payload), 1);
	packet_inbound(&p, &t, AF_INET, payload, sizeof(payload));
	for (int i = 0; i < 60; i++)
		records_add(&r, &p);
	expect_eq(must(write(t.fd, r.bytes, r.len)), r.len);
	for (int i = 0; i < 60; i++)
		udp_expect(udp, payload, sizeof(payload));
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	for (size_t at = 0; at < r.len;) {
		ssize_t n = must(write(t.fd, r.bytes + at, r.len - at));

		expect(n > 0 && n % r.rec[0]->size == 0);
		at += n;
	}
	for (int i = 0; i < 60; i++)
		udp_expect(udp, payload, sizeof(payload));
}
