// SPDX-License-Identifier: MIT
/* The ioctls as a 32-bit program calls them on a 64-bit kernel. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

#ifdef __x86_64__

/* ifreq of a 32-bit program: 32 bytes. */
struct ifreq32 {
	char name[IFNAMSIZ];
	union {
		int16_t flags;
		char pad[16];
	};
	/* What the kernel must neither read nor write. */
	char guard[8];
};

/* ioctl(2) by the gate for 32-bit programs; @arg lies below 4 GiB. */
static int ioctl32(int fd, uint32_t cmd, const void *arg)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "0"(54), "b"((long)fd), "c"((long)cmd), "d"((long)(uintptr_t)arg)
			 : "memory", "r8", "r9", "r10", "r11");
	if ((int)ret >= 0)
		return ret;
	errno = -(int)ret;
	return -1;
}

static void *low_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	expect(p != MAP_FAILED);
	if (ioctl32(-1, 0, p) == 0 || errno != EBADF)
		skip("this kernel runs no 32-bit programs");
	return p;
}

TEST(an_interface_is_made_and_shown)
{
	struct ifreq32 *ifr = low_memory();
	uint32_t *value = (uint32_t *)(ifr + 1);
	int fd = tun_open_file();

	must(ioctl32(fd, TUNGETFEATURES, value));
	expect(*value & IFF_TUN);
	memset(ifr, 0xee, sizeof(*ifr));
	snprintf(ifr->name, IFNAMSIZ, "narrow%%d");
	ifr->flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE;
	must(ioctl32(fd, TUNSETIFF, ifr));
	expect(!strcmp(ifr->name, "narrow0"));
	expect(iface_exists("narrow0"));
	ifr->name[0] = 0;
	must(ioctl32(fd, TUNGETIFF, ifr));
	expect(!strcmp(ifr->name, "narrow0"));
	expect_eq(ifr->flags & (IFF_TUN | IFF_TAP | IFF_MULTI_QUEUE), IFF_TUN | IFF_MULTI_QUEUE);
	for (size_t i = 0; i < sizeof(ifr->guard); i++)
		expect_eq(ifr->guard[i], (char)0xee);

	ifr->flags = IFF_DETACH_QUEUE;
	must(ioctl32(fd, TUNSETQUEUE, ifr));
	ifr->flags = IFF_ATTACH_QUEUE;
	must(ioctl32(fd, TUNSETQUEUE, ifr));
	*value = 12;
	must(ioctl32(fd, TUNSETVNETHDRSZ, value));
	must(ioctl32(fd, TUNGETVNETHDRSZ, value));
	expect_eq(*value, 12);
	must(ioctl32(fd, TUNSETPERSIST, (void *)1));
	must(ioctl32(fd, TUNSETPERSIST, (void *)0));
}

TEST(an_ifreq_at_the_end_of_memory_is_long_enough)
{
	char *page = low_memory();
	struct ifreq32 *ifr;
	int fd = tun_open_file();

	/* The last 32 bytes of a page, and nothing behind. */
	munmap(page + 4096, 4096);
	ifr = (void *)(page + 4096 - 32);
	snprintf(ifr->name, IFNAMSIZ, "edge");
	ifr->flags = IFF_TUN | IFF_NO_PI;
	must(ioctl32(fd, TUNSETIFF, ifr));
	must(ioctl32(fd, TUNGETIFF, ifr));
}

TEST(rings_are_set_up_and_served)
{
	struct mytun_rings *args = low_memory();
	struct mytun_info *info = (struct mytun_info *)(args + 1);
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = { .fd = t.fd };
	int udp = udp_here(AF_INET);
	struct packet p;

	*args = ring_args(1 << 16);
	must(ioctl32(t.fd, MYTUN_IOC_RINGS, args));
	r.g = *args;
	must((intptr_t)ring_map(&r));
	must(ioctl32(t.fd, MYTUN_IOC_INFO, info));
	expect_eq(info->ifindex, iface_index(t.name));

	packet_inbound(&p, &t, AF_INET, "in", 2);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_publish(&r);
	must(ioctl32(t.fd, MYTUN_IOC_DOORBELL, NULL));
	udp_expect(udp, "in", 2);
	expect_errno(ioctl32(t.fd, MYTUN_IOC_DOORBELL, (void *)2), EINVAL);
	expect_errno(ioctl32(t.fd, MYTUN_IOC_DETACH, (void *)1), EINVAL);
	must(ioctl32(t.fd, MYTUN_IOC_DETACH, NULL));
	expect(!iface_exists(t.name));
}

#endif /* __x86_64__ */
