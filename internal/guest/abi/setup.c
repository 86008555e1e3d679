// SPDX-License-Identifier: MIT
/* MYTUN_IOC_RINGS and MYTUN_IOC_INFO: what they take, refuse and answer. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

static void refused(struct mytun_rings args, int err)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_rings good = ring_args(1 << 16);

	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, &args), err);
	/* A refusal leaves the file as it was. */
	must(ioctl(t.fd, MYTUN_IOC_RINGS, &good));
	tun_close(&t);
}

static struct mytun_rings sizes(uint32_t rx, uint32_t tx)
{
	return (struct mytun_rings){ .rx_size = rx, .tx_size = tx };
}

TEST(unknown_flags_are_refused)
{
	struct mytun_rings args = ring_args(1 << 16);

	for (int bit = 0; bit < 32; bit++) {
		args.flags = 1u << bit;
		if (!(args.flags & MYTUN_RINGS_F_ALL))
			refused(args, EINVAL);
	}
	args.flags = MYTUN_RINGS_F_ALL | 1u << 31;
	refused(args, EINVAL);
}

TEST(reserved_fields_must_be_zero)
{
	for (size_t i = 0; i < ARRAY_SIZE(((struct mytun_rings *)0)->reserved); i++) {
		struct mytun_rings args = ring_args(1 << 16);

		args.reserved[i] = 1;
		refused(args, EINVAL);
	}
}

TEST(sizes_outside_the_limits_are_refused)
{
	static const uint32_t bad[] = { 0, 1, 2048, MYTUN_RING_SIZE_MAX << 1, 1u << 31 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(sizes(bad[i], 1 << 16), EINVAL);
		refused(sizes(1 << 16, bad[i]), EINVAL);
	}
}

TEST(sizes_that_are_no_power_of_two_are_refused)
{
	static const uint32_t bad[] = { 3, 4095, 4097, 12288, (1 << 16) + 4096, ~0u,
					MYTUN_RING_SIZE_MAX - 4096, MYTUN_RING_SIZE_MAX + 4096 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(sizes(bad[i], 1 << 16), EINVAL);
		refused(sizes(1 << 16, bad[i]), EINVAL);
		refused(sizes(bad[i], bad[i]), EINVAL);
	}
}

TEST(room_above_the_limit_is_refused)
{
	struct mytun_rings args = ring_args(1 << 16);

	args.rx_headroom = MYTUN_ROOM_MAX + 1;
	refused(args, EINVAL);
	args.rx_headroom = 0;
	args.rx_tailroom = MYTUN_ROOM_MAX + 1;
	refused(args, EINVAL);
	args.rx_headroom = args.rx_tailroom = 0xffff;
	refused(args, EINVAL);
}

static void check_geometry(const struct mytun_rings *g)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	const struct {
		uint64_t begin, len;
	} parts[] = {
		{ g->rx_prod, page },
		{ g->rx_cons, page },
		{ g->tx_prod, page },
		{ g->tx_cons, page },
		{ g->rx_data, 2ull * g->rx_size },
		{ g->tx_data, 2ull * g->tx_size },
	};
	uint64_t total = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		expect_eq(parts[i].begin % page, 0);
		expect(parts[i].begin + parts[i].len <= g->map_size);
		total += parts[i].len;
		for (size_t j = 0; j < i; j++)
			expect(parts[i].begin + parts[i].len <= parts[j].begin ||
			       parts[j].begin + parts[j].len <= parts[i].begin);
	}
	expect_eq(total, g->map_size);
}

TEST(mixed_sizes_give_parts_that_do_not_overlap)
{
	static const uint32_t good[] = { MYTUN_RING_SIZE_MIN, 1 << 13, 1 << 16, 1 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(good); j++) {
			struct tun t = tun_open("", IFF_TUN);
			struct ring r = ring_new(t.fd, sizes(good[i], good[j]));

			expect_eq(r.g.rx_size, good[i]);
			expect_eq(r.g.tx_size, good[j]);
			check_geometry(&r.g);
			ring_unmap(&r);
			tun_close(&t);
		}
	}
}

TEST(largest_rings_can_be_had_and_written_to_their_ends)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_new(t.fd, sizes(MYTUN_RING_SIZE_MAX, MYTUN_RING_SIZE_MAX));

	check_geometry(&r.g);
	*(volatile char *)&r.tx_data[2 * MYTUN_RING_SIZE_MAX - 1] = 1;
	expect_eq(*(volatile char *)&r.tx_data[MYTUN_RING_SIZE_MAX - 1], 1);
	*(volatile char *)&r.rx_data[2 * MYTUN_RING_SIZE_MAX - 1] = 2;
	expect_eq(*(volatile char *)&r.rx_data[MYTUN_RING_SIZE_MAX - 1], 2);
}

TEST(what_was_asked_for_comes_back_unchanged)
{
	struct tun t = tun_open("", IFF_TAP);
	struct mytun_rings args = {
		.flags = MYTUN_RINGS_F_ALL,
		.rx_size = 1 << 14,
		.tx_size = 1 << 15,
		.rx_headroom = MYTUN_ROOM_MAX,
		.rx_tailroom = 17,
	};
	struct ring r = ring_new(t.fd, args);

	expect_eq(r.g.flags, MYTUN_RINGS_F_ALL);
	expect_eq(r.g.rx_headroom, MYTUN_ROOM_MAX);
	expect_eq(r.g.rx_tailroom, 17);
	check_geometry(&r.g);
	for (size_t i = 0; i < ARRAY_SIZE(r.g.reserved); i++)
		expect_eq(r.g.reserved[i], 0);
}

TEST(new_rings_are_empty_and_zero)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);

	for (size_t i = 0; i < r.g.map_size; i++)
		if (r.map[i])
			fail("byte %zu of new rings is %d", i, r.map[i]);
}

TEST(rings_come_once_in_the_life_of_a_file)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_rings args = ring_args(1 << 16);
	struct ring r = ring_small(t.fd);

	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, &args), EBUSY);
	ring_unmap(&r);
	args = ring_args(1 << 16);
	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, &args), EBUSY);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	args = ring_args(1 << 16);
	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, &args), EBADFD);
}

TEST(rings_need_an_attached_file)
{
	struct mytun_rings args = ring_args(1 << 16);
	int fd = tun_open_file();
	struct ifreq ifr;

	expect_errno(ioctl(fd, MYTUN_IOC_RINGS, &args), EBADFD);
	must(tun_set_iff(fd, "", IFF_TUN | IFF_NO_PI, &ifr));
	must(ioctl(fd, MYTUN_IOC_RINGS, &args));
}

TEST(a_file_that_had_rings_attaches_to_nothing_else)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);
	struct ifreq ifr;

	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	expect(tun_set_iff(t.fd, "", IFF_TUN | IFF_NO_PI, &ifr) == -1);
	expect_eq(errno, EINVAL);
	ring_unmap(&r);
}

TEST(bad_pointers_are_efault)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, NULL), EFAULT);
	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, -1L), EFAULT);
	expect_errno(ioctl(t.fd, MYTUN_IOC_INFO, NULL), EFAULT);
	expect_errno(ioctl(t.fd, MYTUN_IOC_INFO, -1L), EFAULT);
	/* Nothing happened. */
	ring_small(t.fd);
}

TEST(rings_whose_place_cannot_be_told_are_not_made)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_rings *args;
	struct packet p;

	args = (void *)must((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	*args = ring_args(1 << 16);
	must(mprotect(args, 4096, PROT_READ));
	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, args), EFAULT);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	expect_errno(read(t.fd, &p, sizeof(p)), EAGAIN);
	ring_small(t.fd);
}

TEST(ioctl_numbers_of_another_size_are_refused)
{
	struct tun t = tun_open("", IFF_TUN);
	char arg[512] = {};

	expect_errno(ioctl(t.fd,
			   _IOC(_IOC_READ | _IOC_WRITE, MYTUN_IOC_MAGIC, 1,
				sizeof(struct mytun_rings) - 4),
			   arg),
		     EINVAL);
	expect_errno(ioctl(t.fd,
			   _IOC(_IOC_READ | _IOC_WRITE, MYTUN_IOC_MAGIC, 1,
				sizeof(struct mytun_rings) + 4),
			   arg),
		     EINVAL);
	expect_errno(ioctl(t.fd, _IO(MYTUN_IOC_MAGIC, 1), arg), EINVAL);
	expect_errno(ioctl(t.fd, _IOW(MYTUN_IOC_MAGIC, 2, int), arg), EINVAL);
	expect_errno(ioctl(t.fd, _IOR(MYTUN_IOC_MAGIC, 3, int), arg), EINVAL);
	expect_errno(ioctl(t.fd,
			   _IOC(_IOC_READ, MYTUN_IOC_MAGIC, 4, sizeof(struct mytun_info) + 4),
			   arg),
		     EINVAL);
	expect_errno(ioctl(t.fd, _IO(MYTUN_IOC_MAGIC, 0), arg), EINVAL);
	expect_errno(ioctl(t.fd, _IO(MYTUN_IOC_MAGIC, 99), arg), EINVAL);
	expect_errno(ioctl(t.fd, _IO('z', 1), arg), EINVAL);
}

static struct mytun_info info(int fd)
{
	struct mytun_info i;

	memset(&i, 0xff, sizeof(i));
	must(ioctl(fd, MYTUN_IOC_INFO, &i));
	return i;
}

static void check_limits(const struct mytun_info *i)
{
	expect(i->abi_version >= MYTUN_ABI_VERSION);
	expect_eq(i->rings_flags & MYTUN_RINGS_F_ALL, MYTUN_RINGS_F_ALL);
	expect_eq(i->ring_size_min, MYTUN_RING_SIZE_MIN);
	expect_eq(i->ring_size_max, MYTUN_RING_SIZE_MAX);
	expect_eq(i->queues_max, MYTUN_QUEUES_MAX);
	for (size_t n = 0; n < ARRAY_SIZE(i->reserved); n++)
		expect_eq(i->reserved[n], 0);
}

TEST(info_of_a_file_without_an_interface)
{
	struct mytun_info i = info(tun_open_file());

	check_limits(&i);
	expect_eq(i.queue, ~0u);
	expect_eq(i.ifindex, 0);
}

TEST(info_says_where_a_file_is_attached)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_info i = info(t.fd);

	check_limits(&i);
	expect_eq(i.queue, 0);
	expect_eq(i.ifindex, iface_index(t.name));
	ring_small(t.fd);
	i = info(t.fd);
	expect_eq(i.queue, 0);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	i = info(t.fd);
	check_limits(&i);
	expect_eq(i.queue, ~0u);
	expect_eq(i.ifindex, 0);
}

TEST(info_follows_the_queue_to_a_lower_index)
{
	struct tun t[3];

	t[0] = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	t[1] = tun_open(t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
	t[2] = tun_open(t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
	for (int i = 0; i < 3; i++)
		expect_eq(info(t[i].fd).queue, i);
	tun_close(&t[0]);
	/* Indexes have no hole. */
	expect_eq(info(t[1].fd).queue + info(t[2].fd).queue, 1);
	tun_close(&t[1]);
	expect_eq(info(t[2].fd).queue, 0);
}

TEST(info_of_a_queue_out_of_service_names_no_index)
{
	struct tun t = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };

	must(ioctl(t.fd, TUNSETQUEUE, &ifr));
	expect_eq(info(t.fd).queue, ~0u);
	expect_eq(info(t.fd).ifindex, iface_index(t.name));
	ifr.ifr_flags = IFF_ATTACH_QUEUE;
	must(ioctl(t.fd, TUNSETQUEUE, &ifr));
	expect_eq(info(t.fd).queue, 0);
}
