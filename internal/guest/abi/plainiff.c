// SPDX-License-Identifier: MIT
/* What programs do with TUNSETIFF and the ioctls around it, as on /dev/net/tun. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "slow.h"
#include "tun.h"

static int set_iff(const char *name, int flags)
{
	struct ifreq ifr;

	return tun_set_iff(tun_open_file(), name, flags, &ifr);
}

static int get_flags(const struct tun *t)
{
	struct ifreq ifr = {};

	must(ioctl(t->fd, TUNGETIFF, &ifr));
	expect(!strcmp(ifr.ifr_name, t->name));
	return (unsigned short)ifr.ifr_flags;
}

static int set_queue(int fd, int flag)
{
	struct ifreq ifr = { .ifr_flags = flag };

	return ioctl(fd, TUNSETQUEUE, &ifr);
}

static char *sysfs(const struct tun *t, const char *file)
{
	static char text[64];
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", t->name, file);
	snprintf(text, sizeof(text), "%s", read_file(path));
	text[strcspn(text, "\n")] = '\0';
	return text;
}

TEST(features_are_those_that_the_header_names)
{
	unsigned int all = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR |
			   IFF_MULTI_QUEUE;
	unsigned int known = all | IFF_NAPI | IFF_NAPI_FRAGS | IFF_NO_CARRIER;
	unsigned int features = 0;

	must(ioctl(tun_open_file(), TUNGETFEATURES, &features));
	expect_eq(features & all, all);
	expect_eq(features & ~known, 0);
}

TEST(names_are_chosen_by_the_kernel_or_the_program)
{
	expect(!strcmp(tun_open("", IFF_TUN).name, "tun0"));
	expect(!strcmp(tun_open("", IFF_TUN).name, "tun1"));
	expect(!strcmp(tun_open("", IFF_TAP).name, "tap0"));
	expect(!strcmp(tun_open("vpn%d", IFF_TUN).name, "vpn0"));
	expect(!strcmp(tun_open("vpn%d", IFF_TAP).name, "vpn1"));
	expect(!strcmp(tun_open("a-name-of-15-ch", IFF_TUN).name, "a-name-of-15-ch"));
	expect(iface_exists("vpn1"));
}

TEST(bad_names_are_refused)
{
	expect_errno(set_iff("a/b", IFF_TUN), EINVAL);
	expect_errno(set_iff("a b", IFF_TUN), EINVAL);
	expect_errno(set_iff("..", IFF_TUN), EINVAL);
	expect_errno(set_iff("%d%d", IFF_TUN), EINVAL);
	expect_errno(set_iff("x%s", IFF_TUN), EINVAL);
}

TEST(one_of_tun_and_tap_must_be_said)
{
	expect_errno(set_iff("", 0), EINVAL);
	expect_errno(set_iff("", IFF_NO_PI | IFF_MULTI_QUEUE), EINVAL);
}

TEST(a_file_attaches_once)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ifreq ifr;

	expect(tun_set_iff(t.fd, "", IFF_TUN | IFF_NO_PI, &ifr) == -1);
	expect_eq(errno, EEXIST);
	expect(tun_set_iff(t.fd, t.name, IFF_TUN | IFF_NO_PI, &ifr) == -1);
	expect_eq(errno, EEXIST);
}

TEST(interfaces_of_other_kinds_are_left_alone)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(set_iff("lo", IFF_TUN), EINVAL);
	expect_errno(set_iff(t.name, IFF_TAP), EINVAL);
	expect_errno(set_iff(t.name, 0), EINVAL);
}

TEST(an_exclusive_name_must_be_new)
{
	struct tun t = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);

	expect_errno(set_iff(t.name, IFF_TUN | IFF_MULTI_QUEUE | IFF_TUN_EXCL), EBUSY);
	must(set_iff("new", IFF_TUN | IFF_TUN_EXCL));
}

TEST(one_queue_is_one_file)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(set_iff(t.name, IFF_TUN), EBUSY);
	expect_errno(set_iff(t.name, IFF_TUN | IFF_MULTI_QUEUE), EINVAL);
}

TEST(queues_of_a_multi_queue_interface_say_so)
{
	struct tun t = tun_open("", IFF_TAP | IFF_MULTI_QUEUE);

	expect_errno(set_iff(t.name, IFF_TAP), EINVAL);
	must(set_iff(t.name, IFF_TAP | IFF_MULTI_QUEUE));
}

TEST(an_interface_has_256_queues_at_most)
{
	struct tun t = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	struct rlimit files = { 400, 400 };
	int fds[256];
	struct ifreq ifr;

	must(setrlimit(RLIMIT_NOFILE, &files));
	for (int i = 1; i < 256; i++)
		fds[i] = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE).fd;
	expect_errno(set_iff(t.name, IFF_TUN | IFF_MULTI_QUEUE), E2BIG);
	/* One out of service counts. */
	must(set_queue(fds[7], IFF_DETACH_QUEUE));
	expect_errno(set_iff(t.name, IFF_TUN | IFF_MULTI_QUEUE), E2BIG);
	close(fds[8]);
	must(tun_set_iff(tun_open_file(), t.name, IFF_TUN | IFF_MULTI_QUEUE, &ifr));
	expect_errno(set_iff(t.name, IFF_TUN | IFF_MULTI_QUEUE), E2BIG);
}

TEST(flags_can_be_asked_for)
{
	const int mask = IFF_TUN | IFF_TAP | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_PERSIST |
			 IFF_DETACH_QUEUE;
	struct tun t = tun_open("", IFF_TUN);
	struct tun m = tun_open("", IFF_TAP | IFF_VNET_HDR | IFF_MULTI_QUEUE);

	expect_eq(get_flags(&t) & mask, IFF_TUN);
	expect_eq(get_flags(&m) & mask, IFF_TAP | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	expect_eq(get_flags(&t) & mask, IFF_TUN | IFF_PERSIST);
	must(ioctl(t.fd, TUNSETPERSIST, 0));
	expect_eq(get_flags(&t) & mask, IFF_TUN);
}

TEST(ioctls_of_an_interface_need_one)
{
	int fd = tun_open_file(), value = 1;
	struct ifreq ifr;

	expect_errno(ioctl(fd, TUNGETIFF, &ifr), EBADFD);
	expect_errno(ioctl(fd, TUNSETPERSIST, 1), EBADFD);
	expect_errno(ioctl(fd, TUNSETOWNER, 1), EBADFD);
	expect_errno(ioctl(fd, TUNSETGROUP, 1), EBADFD);
	expect_errno(ioctl(fd, TUNSETOFFLOAD, 0), EBADFD);
	expect_errno(ioctl(fd, TUNGETSNDBUF, &value), EBADFD);
	expect_errno(ioctl(fd, TUNSETSNDBUF, &value), EBADFD);
	expect_errno(ioctl(fd, TUNGETVNETHDRSZ, &value), EBADFD);
	expect_errno(ioctl(fd, TUNSETCARRIER, &value), EBADFD);
	expect_errno(set_queue(fd, IFF_ATTACH_QUEUE), EINVAL);
	expect_errno(set_queue(fd, IFF_DETACH_QUEUE), EINVAL);
}

TEST(bad_pointers_are_efault)
{
	struct tun t = tun_open("", IFF_TUN);
	int fd = tun_open_file();

	expect_errno(ioctl(fd, TUNSETIFF, NULL), EFAULT);
	expect_errno(ioctl(fd, TUNGETFEATURES, NULL), EFAULT);
	expect_errno(ioctl(fd, TUNSETIFINDEX, NULL), EFAULT);
	expect_errno(ioctl(t.fd, TUNGETIFF, NULL), EFAULT);
	expect_errno(ioctl(t.fd, TUNSETQUEUE, NULL), EFAULT);
	expect_errno(ioctl(t.fd, TUNGETSNDBUF, NULL), EFAULT);
	expect_errno(ioctl(t.fd, TUNSETVNETHDRSZ, NULL), EFAULT);
	expect_errno(ioctl(t.fd, _IO('T', 199), NULL), EINVAL);
}

TEST(a_persistent_interface_waits_for_its_next_program)
{
	struct tun t = tun_open("keep", IFF_TUN);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	tun_close(&t);
	expect(iface_exists("keep"));
	expect(!(iface_flags("keep") & IFF_RUNNING));
	t = tun_open("keep", IFF_TUN);
	iface_up("keep");
	/* The kernel hears of the carrier in its own time. */
	eventually(iface_flags("keep") & IFF_RUNNING);
	must(ioctl(t.fd, TUNSETPERSIST, 0));
	expect(iface_exists("keep"));
	tun_close(&t);
	expect(!iface_exists("keep"));
}

TEST(a_persistent_interface_takes_the_headers_of_its_next_program)
{
	struct tun t = tun_open("keep", IFF_TUN | IFF_VNET_HDR);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	tun_close(&t);
	t = tun_open("keep", IFF_TUN);
	expect_eq(get_flags(&t) & IFF_VNET_HDR, 0);
	expect_eq(get_flags(&t) & IFF_PERSIST, IFF_PERSIST);
	iface_del("keep");
}

TEST(a_queue_can_be_taken_out_of_service_and_back)
{
	struct tun a = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	int udp = udp_here(AF_INET);
	char buf[100];

	must(fcntl(a.fd, F_SETFL, O_NONBLOCK));
	must(set_queue(a.fd, IFF_DETACH_QUEUE));
	expect_errno(set_queue(a.fd, IFF_DETACH_QUEUE), EINVAL);
	expect(get_flags(&a) & IFF_DETACH_QUEUE);
	expect(!(get_flags(&b) & IFF_DETACH_QUEUE));
	for (int i = 0; i < 20; i++) {
		udp_send(udp, "b's", 3);
		expect_eq(must(read(b.fd, buf, sizeof(buf))), UDP4 + 3);
		expect_errno(read(a.fd, buf, sizeof(buf)), EAGAIN);
	}
	must(set_queue(a.fd, IFF_ATTACH_QUEUE));
	expect_errno(set_queue(a.fd, IFF_ATTACH_QUEUE), EINVAL);
	expect_errno(set_queue(a.fd, 0), EINVAL);
	must(set_queue(b.fd, IFF_DETACH_QUEUE));
	udp_send(udp, "a's", 3);
	expect_eq(must(read(a.fd, buf, sizeof(buf))), UDP4 + 3);
}

TEST(the_last_queue_can_be_out_of_service_and_the_interface_stays)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	int udp = udp_here(AF_INET);

	must(set_queue(t.fd, IFF_DETACH_QUEUE));
	expect(iface_exists(t.name));
	udp_send(udp, "lost", 4);
	expect(iface_stats(t.name).tx_dropped >= 1);
	tun_close(&t);
	expect(!iface_exists(t.name));
}

TEST(a_single_queue_cannot_be_taken_out_of_service)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(set_queue(t.fd, IFF_DETACH_QUEUE), EINVAL);
}

TEST(an_index_can_be_asked_for)
{
	unsigned int index = 4711, minus = -1, taken = 1;
	int fd = tun_open_file();
	struct ifreq ifr;

	expect_errno(ioctl(fd, TUNSETIFINDEX, &minus), EINVAL);
	must(ioctl(fd, TUNSETIFINDEX, &index));
	must(tun_set_iff(fd, "indexed", IFF_TUN, &ifr));
	expect_eq(iface_index("indexed"), 4711);
	expect_errno(ioctl(fd, TUNSETIFINDEX, &index), EPERM);
	fd = tun_open_file();
	must(ioctl(fd, TUNSETIFINDEX, &taken));
	expect(tun_set_iff(fd, "", IFF_TUN, &ifr) == -1);
	expect_eq(errno, EBUSY);
}

TEST(a_failed_attach_leaves_the_file_usable)
{
	unsigned int taken = 1;
	int fd = tun_open_file();
	struct ifreq ifr;

	must(ioctl(fd, TUNSETIFINDEX, &taken));
	for (int i = 0; i < 10; i++)
		expect(tun_set_iff(fd, "", IFF_TUN | IFF_MULTI_QUEUE, &ifr) == -1);
	taken = 0;
	must(ioctl(fd, TUNSETIFINDEX, &taken));
	must(tun_set_iff(fd, "", IFF_TUN, &ifr));
	expect(!strcmp(ifr.ifr_name, "tun0"));
}

TEST(the_virtio_headers_size_can_be_set)
{
	struct tun t = tun_open("", IFF_TUN | IFF_VNET_HDR);
	int size = 0, bad = 9;

	must(ioctl(t.fd, TUNGETVNETHDRSZ, &size));
	expect_eq(size, 10);
	expect_errno(ioctl(t.fd, TUNSETVNETHDRSZ, &bad), EINVAL);
	bad = -1;
	expect_errno(ioctl(t.fd, TUNSETVNETHDRSZ, &bad), EINVAL);
	size = 12;
	must(ioctl(t.fd, TUNSETVNETHDRSZ, &size));
	must(ioctl(t.fd, TUNGETVNETHDRSZ, &size));
	expect_eq(size, 12);
}

TEST(the_virtio_headers_byte_order_can_be_set)
{
	struct tun t = tun_open("", IFF_TUN | IFF_VNET_HDR);
	int little = -1, one = 1;

	must(ioctl(t.fd, TUNGETVNETLE, &little));
	expect_eq(little, 0);
	must(ioctl(t.fd, TUNSETVNETLE, &one));
	must(ioctl(t.fd, TUNGETVNETLE, &little));
	expect_eq(little, 1);
}

TEST(the_send_buffer_can_be_set)
{
	struct tun a = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	int size = 0, bad = 0;

	must(ioctl(a.fd, TUNGETSNDBUF, &size));
	expect_eq(size, INT_MAX);
	expect_errno(ioctl(a.fd, TUNSETSNDBUF, &bad), EINVAL);
	bad = -5;
	expect_errno(ioctl(a.fd, TUNSETSNDBUF, &bad), EINVAL);
	size = 12345;
	must(ioctl(a.fd, TUNSETSNDBUF, &size));
	size = 0;
	must(ioctl(b.fd, TUNGETSNDBUF, &size)); /* it is of all queues */
	expect_eq(size, 12345);
}

TEST(unknown_offloads_are_refused_and_known_ones_taken)
{
	struct tun t = tun_open("", IFF_TUN | IFF_VNET_HDR);

	must(ioctl(t.fd, TUNSETOFFLOAD, 0));
	must(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM));
	must(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN));
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, 1u << 30), EINVAL);
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_TSO4), EINVAL);
}

TEST(the_link_type_can_be_set_while_down)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ifreq ifr = {};
	int s = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(ioctl(t.fd, TUNSETLINK, ARPHRD_PPP));
	memcpy(ifr.ifr_name, t.name, IFNAMSIZ);
	must(ioctl(s, SIOCGIFHWADDR, &ifr));
	expect_eq(ifr.ifr_hwaddr.sa_family, ARPHRD_PPP);
	iface_up(t.name);
	expect_errno(ioctl(t.fd, TUNSETLINK, ARPHRD_NONE), EBUSY);
}

TEST(a_port_of_a_bridge_keeps_its_type)
{
	struct tun t = tun_open("port0", IFF_TAP);
	struct ifreq ifr = {};
	int s = must(socket(AF_INET, SOCK_DGRAM, 0));

	if (!runs("ip link add bridge type bridge"))
		skip("this kernel has no bridge");
	run("ip link set port0 master bridge");
	expect_errno(ioctl(t.fd, TUNSETLINK, ARPHRD_PPP), EPERM);
	memcpy(ifr.ifr_name, t.name, IFNAMSIZ);
	must(ioctl(s, SIOCGIFHWADDR, &ifr));
	expect_eq(ifr.ifr_hwaddr.sa_family, ARPHRD_ETHER);
	run("ip link set port0 nomaster");
	must(ioctl(t.fd, TUNSETLINK, ARPHRD_PPP));
}

TEST(the_program_says_whether_there_is_a_carrier)
{
	struct tun t = tun_open_up(IFF_TUN), n;
	int off = 0, on = 1;

	expect(iface_flags(t.name) & IFF_RUNNING);
	must(ioctl(t.fd, TUNSETCARRIER, &off));
	eventually(!(iface_flags(t.name) & IFF_RUNNING));
	must(ioctl(t.fd, TUNSETCARRIER, &on));
	eventually(iface_flags(t.name) & IFF_RUNNING);
	n = tun_open_up(IFF_TUN | IFF_NO_CARRIER);
	eventually(!(iface_flags(n.name) & IFF_RUNNING));
}

TEST(sysfs_shows_flags_owner_and_group)
{
	struct tun t = tun_open("", IFF_TUN | IFF_VNET_HDR);

	sysfs_here();
	expect_eq(strtol(sysfs(&t, "tun_flags"), NULL, 16), IFF_TUN | IFF_VNET_HDR | IFF_NO_PI);
	expect(!strcmp(sysfs(&t, "owner"), "-1"));
	expect(!strcmp(sysfs(&t, "group"), "-1"));
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	must(ioctl(t.fd, TUNSETOWNER, 1000));
	must(ioctl(t.fd, TUNSETGROUP, 1001));
	expect_eq(strtol(sysfs(&t, "tun_flags"), NULL, 16) & IFF_PERSIST, IFF_PERSIST);
	expect(!strcmp(sysfs(&t, "owner"), "1000"));
	expect(!strcmp(sysfs(&t, "group"), "1001"));
	must(ioctl(t.fd, TUNSETPERSIST, 0));
}

TEST(fdinfo_names_the_interface)
{
	struct tun t = tun_open("shown", IFF_TUN);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", t.fd);
	expect(strstr(read_file(path), "iff:\tshown\n"));
	iface_del("shown");
	expect(!strstr(read_file(path), "shown"));
}

TEST(a_tun_interface_looks_like_one)
{
	struct tun t = tun_open("", IFF_TUN), e = tun_open("", IFF_TAP);
	unsigned int flags = IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST;
	struct ifreq ifr = {};
	int s = must(socket(AF_INET, SOCK_DGRAM, 0));
	uint8_t mac[6];

	expect_eq(iface_flags(t.name) & (flags | IFF_BROADCAST | IFF_UP), flags);
	expect_eq(iface_flags(e.name) & (flags | IFF_BROADCAST | IFF_UP),
		  IFF_BROADCAST | IFF_MULTICAST);
	memcpy(ifr.ifr_name, t.name, IFNAMSIZ);
	must(ioctl(s, SIOCGIFHWADDR, &ifr));
	expect_eq(ifr.ifr_hwaddr.sa_family, ARPHRD_NONE);
	must(ioctl(s, SIOCGIFMTU, &ifr));
	expect_eq(ifr.ifr_mtu, 1500);
	iface_mac(e.name, mac);
	expect((mac[0] & 3) == 2); /* local, unicast */
	iface_set_mtu(t.name, 65535);
	iface_set_mtu(e.name, 65521);
	iface_set_mtu(t.name, 68);
}
