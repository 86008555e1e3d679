// SPDX-License-Identifier: MIT
/* mmap of the rings: what is refused, and that data areas are there twice. */
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

#define RW (PROT_READ | PROT_WRITE)

static void refused(int fd, size_t len, int prot, int flags, off_t off, int err)
{
	void *p = mmap(NULL, len, prot, flags, fd, off);

	if (p != MAP_FAILED)
		fail("mmap(%zu, %x, %x, %ld) worked", len, prot, flags, (long)off);
	if (errno != err)
		fail("mmap(%zu, %x, %x, %ld): %s, not %s", len, prot, flags, (long)off,
		     strerrorname(errno), strerrorname(err));
}

static size_t with_rings(struct tun *t)
{
	struct mytun_rings args = ring_args(1 << 16);

	*t = tun_open("", IFF_TUN);
	must(ioctl(t->fd, MYTUN_IOC_RINGS, &args));
	return args.map_size;
}

TEST(nothing_to_map_before_the_rings_are_set_up)
{
	int fd = tun_open_file();
	struct tun t = tun_open("", IFF_TUN);

	refused(fd, 4096, RW, MAP_SHARED, 0, EINVAL);
	refused(t.fd, 4096, RW, MAP_SHARED, 0, EINVAL);
	refused(t.fd, 4 * 4096 + (4 << 16), RW, MAP_SHARED, 0, EINVAL);
}

TEST(another_length_is_refused)
{
	struct tun t;
	size_t size = with_rings(&t);

	refused(t.fd, 4096, RW, MAP_SHARED, 0, EINVAL);
	refused(t.fd, size - 4096, RW, MAP_SHARED, 0, EINVAL);
	refused(t.fd, size + 4096, RW, MAP_SHARED, 0, EINVAL);
	refused(t.fd, 2 * size, RW, MAP_SHARED, 0, EINVAL);
}

TEST(another_offset_is_refused)
{
	struct tun t;
	size_t size = with_rings(&t);

	refused(t.fd, size, RW, MAP_SHARED, 4096, EINVAL);
	refused(t.fd, size - 4096, RW, MAP_SHARED, 4096, EINVAL);
	refused(t.fd, size, RW, MAP_SHARED, (off_t)1 << 32, EINVAL);
	refused(t.fd, size, RW, MAP_SHARED, (off_t)1 << 44, EINVAL);
}

TEST(a_private_mapping_is_refused)
{
	struct tun t;
	size_t size = with_rings(&t);

	refused(t.fd, size, RW, MAP_PRIVATE, 0, EPERM);
	refused(t.fd, size, PROT_READ, MAP_PRIVATE, 0, EPERM);
}

TEST(code_cannot_be_run_from_a_ring)
{
	struct ring r;
	struct tun t;
	size_t size = with_rings(&t);

	refused(t.fd, size, RW | PROT_EXEC, MAP_SHARED, 0, EPERM);
	r.fd = t.fd;
	r.g.map_size = size;
	must((intptr_t)ring_map(&r));
	expect(mprotect(r.map, size, RW | PROT_EXEC) == -1);
	expect_eq(errno, EACCES);
}

TEST(a_file_that_was_opened_read_only_is_not_mapped)
{
	struct mytun_rings args = ring_args(1 << 16);
	int fd = must(open(tun_path, O_RDONLY));
	struct ifreq ifr;

	must(tun_set_iff(fd, "", IFF_TUN | IFF_NO_PI, &ifr));
	must(ioctl(fd, MYTUN_IOC_RINGS, &args));
	refused(fd, args.map_size, RW, MAP_SHARED, 0, EACCES);
	refused(fd, args.map_size, PROT_READ, MAP_SHARED, 0, EPERM);
}

TEST(two_mappings_show_the_same_memory)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring a = ring_small(t.fd), b = a;

	must((intptr_t)ring_map(&b));
	expect(a.map != b.map);
	for (size_t i = 0; i < a.g.map_size; i += 4096) {
		*(volatile char *)&a.map[i] = i >> 12;
		expect_eq(*(volatile char *)&b.map[i], (char)(i >> 12));
	}
	ring_unmap(&a);
	b.tx_data[0] = 1;
	close(t.fd);
	expect(iface_exists(t.name));
	ring_unmap(&b);
	expect(!iface_exists(t.name));
}

TEST(a_part_can_be_unmapped_and_the_rest_goes_on)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);

	/* The TX data, then the second view of the RX data. */
	must(munmap(r.tx_data, 2 * r.g.tx_size));
	udp_send(udp, "hello", 5);
	expect_eq(ring_rx_wait(&r)->len, UDP4 + 5);
	ring_rx_done(&r);
	must(munmap(r.rx_data + r.g.rx_size, r.g.rx_size));
	udp_send(udp, "again", 5);
	expect_eq(ring_rx_wait(&r)->len, UDP4 + 5);
	close(t.fd);
	expect(iface_exists(t.name));
	must(munmap(r.map, r.g.map_size)); /* holes are no error */
	expect(!iface_exists(t.name));
}

TEST(a_mapping_cannot_grow)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);
	size_t size = r.g.map_size;

	expect(mremap(r.map, size, size + 4096, 0) == MAP_FAILED);
	expect(mremap(r.map, size, size + 4096, MREMAP_MAYMOVE) == MAP_FAILED);
	expect(mremap(r.map, size, 2 * size, MREMAP_MAYMOVE) == MAP_FAILED);
	expect(mremap(r.map + size - 4096, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED);
	/* Of a shared mapping, a length of 0 asks for a copy. */
	expect(mremap(r.map, 0, 2 * size, MREMAP_MAYMOVE) == MAP_FAILED);
	r.map[size - 1] = 1;
}

TEST(a_mapping_can_move)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd), moved = r;
	int udp = udp_here(AF_INET);
	char *to = mmap(NULL, r.g.map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(mremap(r.map, r.g.map_size, r.g.map_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	       to);
	moved.map = to;
	moved.rx_prod = (struct mytun_end *)(to + r.g.rx_prod);
	moved.rx_cons = (struct mytun_end *)(to + r.g.rx_cons);
	moved.rx_data = to + r.g.rx_data;
	udp_send(udp, "hello", 5);
	expect_eq(ring_rx_wait(&moved)->len, UDP4 + 5);
}

static void shown_twice(char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		__atomic_store_n(&data[i], (char)(i * 7 + 1), __ATOMIC_RELAXED);
		if (__atomic_load_n(&data[size + i], __ATOMIC_RELAXED) != (char)(i * 7 + 1))
			fail("byte %zu of %zu is not there a second time", i, size);
	}
	for (size_t i = 0; i < size; i += 61) {
		__atomic_store_n(&data[size + i], (char)(i * 3), __ATOMIC_RELAXED);
		if (__atomic_load_n(&data[i], __ATOMIC_RELAXED) != (char)(i * 3))
			fail("byte %zu of %zu is not there a first time", i, size);
	}
}

TEST(each_data_area_is_there_twice_in_a_row)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_rings args = { .rx_size = 1 << 13, .tx_size = 1 << 15 };
	struct ring r = ring_new(t.fd, args);

	shown_twice(r.rx_data, r.g.rx_size);
	shown_twice(r.tx_data, r.g.tx_size);
	/* And the areas are not each other's. */
	memset(r.rx_data, 1, r.g.rx_size);
	memset(r.tx_data, 2, r.g.tx_size);
	expect_eq(r.rx_data[0], 1);
	expect_eq(r.rx_data[2 * r.g.rx_size - 1], 1);
}

TEST(rings_of_two_queues_are_apart)
{
	struct tun a = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring ra = ring_small(a.fd), rb = ring_small(b.fd);

	memset(ra.map, 1, ra.g.map_size);
	for (size_t i = 0; i < rb.g.map_size; i++)
		expect_eq(rb.map[i], 0);
}

static void write_everywhere(void *arg)
{
	struct ring *r = arg;

	memset(r->map, 5, r->g.map_size);
}

TEST(a_forked_child_shares_the_mapping)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);

	spawn_wait(spawn(write_everywhere, &r));
	for (size_t i = 0; i < r.g.map_size; i++) {
		/* Where the kernel writes it may say what it thinks of such positions. */
		if (i - r.g.rx_prod < 4096 || i - r.g.tx_cons < 4096)
			continue;
		expect_eq(r.map[i], 5);
	}
}
