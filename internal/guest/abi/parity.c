// SPDX-License-Identifier: MIT
/*
 * Every ioctl of <linux/if_tun.h>, in every state that a file can be in, answers on
 * mytun as it does on the built-in tun: what it returns, errno, what it writes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "both.h"
#include "check.h"
#include "iface.h"
#include "tun.h"

#ifndef IFF_NO_CARRIER
#define IFF_NO_CARRIER 0x0040
#endif

/* What the argument of an ioctl is. */
enum arg {
	AS_VALUE, /* the value itself */
	AS_INT, /* a pointer to it */
	AS_IFREQ, /* a pointer to an ifreq with these flags */
	AS_FD, /* a pointer to nothing; the answer is a descriptor */
};

struct call {
	const char *name;
	unsigned long cmd;
	enum arg arg;
	long value;
};

#define CALL(cmd, arg, value)                             \
	{                                                 \
#cmd " " #arg " " #value, cmd, arg, value \
	}

static const struct call calls[] = {
	CALL(TUNGETFEATURES, AS_INT, 0),
	CALL(TUNGETFEATURES, AS_VALUE, 0),
	CALL(TUNSETIFINDEX, AS_VALUE, 0),
	CALL(TUNSETIFINDEX, AS_INT, -1),
	CALL(TUNSETIFINDEX, AS_INT, 0),
	CALL(TUNGETIFF, AS_IFREQ, 0),
	CALL(TUNGETIFF, AS_VALUE, 0),
	CALL(TUNSETNOCSUM, AS_VALUE, 0),
	CALL(TUNSETNOCSUM, AS_VALUE, 1),
	CALL(TUNSETDEBUG, AS_VALUE, 1),
	CALL(TUNSETDEBUG, AS_VALUE, 0),
	CALL(TUNSETPERSIST, AS_VALUE, 1),
	CALL(TUNSETPERSIST, AS_VALUE, 1),
	CALL(TUNGETIFF, AS_IFREQ, 0),
	CALL(TUNSETPERSIST, AS_VALUE, 0),
	CALL(TUNSETPERSIST, AS_VALUE, 0),
	CALL(TUNSETOWNER, AS_VALUE, 1000),
	CALL(TUNSETOWNER, AS_VALUE, -1),
	CALL(TUNSETGROUP, AS_VALUE, 1000),
	CALL(TUNSETGROUP, AS_VALUE, -1),
	CALL(TUNSETLINK, AS_VALUE, ARPHRD_PPP),
	CALL(TUNGETSNDBUF, AS_INT, 0),
	CALL(TUNGETSNDBUF, AS_VALUE, 0),
	CALL(TUNSETSNDBUF, AS_INT, 0),
	CALL(TUNSETSNDBUF, AS_INT, -1),
	CALL(TUNSETSNDBUF, AS_VALUE, 0),
	CALL(TUNSETSNDBUF, AS_INT, 1),
	CALL(TUNGETSNDBUF, AS_INT, 0),
	CALL(TUNSETSNDBUF, AS_INT, 1000000),
	CALL(TUNGETVNETHDRSZ, AS_INT, 0),
	CALL(TUNGETVNETHDRSZ, AS_VALUE, 0),
	CALL(TUNSETVNETHDRSZ, AS_INT, 9),
	CALL(TUNSETVNETHDRSZ, AS_INT, -1),
	CALL(TUNSETVNETHDRSZ, AS_INT, 12),
	CALL(TUNSETVNETHDRSZ, AS_VALUE, 0),
	CALL(TUNGETVNETHDRSZ, AS_INT, 0),
	CALL(TUNGETVNETLE, AS_INT, 0),
	CALL(TUNGETVNETLE, AS_VALUE, 0),
	CALL(TUNSETVNETLE, AS_VALUE, 0),
	CALL(TUNSETVNETLE, AS_INT, 5),
	CALL(TUNGETVNETLE, AS_INT, 0),
	CALL(TUNSETVNETLE, AS_INT, 0),
	CALL(TUNGETVNETLE, AS_INT, 0),
	CALL(TUNGETVNETBE, AS_INT, 0),
	CALL(TUNSETVNETBE, AS_INT, 1),
	CALL(TUNSETVNETBE, AS_VALUE, 0),
	CALL(TUNSETOFFLOAD, AS_VALUE, TUN_F_TSO4),
	CALL(TUNSETOFFLOAD, AS_VALUE, TUN_F_UFO),
	CALL(TUNSETOFFLOAD, AS_VALUE, TUN_F_CSUM),
	CALL(TUNSETOFFLOAD, AS_VALUE, TUN_F_CSUM | TUN_F_UFO),
	CALL(TUNSETOFFLOAD, AS_VALUE, TUN_F_CSUM | TUN_F_TSO4),
	CALL(TUNSETOFFLOAD, AS_VALUE, TUN_F_CSUM | TUN_F_TSO_ECN),
	CALL(TUNSETOFFLOAD, AS_VALUE, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN),
	CALL(TUNSETOFFLOAD, AS_VALUE, 0x80000000),
	CALL(TUNSETOFFLOAD, AS_VALUE, 0),
	CALL(TUNSETCARRIER, AS_VALUE, 0),
	CALL(TUNSETCARRIER, AS_INT, 0),
	CALL(TUNSETCARRIER, AS_INT, 2),
	CALL(TUNSETTXFILTER, AS_VALUE, 0),
	CALL(TUNSETTXFILTER, AS_INT, 0),
	CALL(TUNATTACHFILTER, AS_VALUE, 0),
	CALL(TUNATTACHFILTER, AS_INT, 0),
	CALL(TUNDETACHFILTER, AS_VALUE, 0),
	CALL(TUNGETFILTER, AS_VALUE, 0),
	CALL(TUNGETFILTER, AS_INT, 0),
	CALL(TUNSETSTEERINGEBPF, AS_VALUE, 0),
	CALL(TUNSETSTEERINGEBPF, AS_INT, -1),
	CALL(TUNSETSTEERINGEBPF, AS_INT, -2),
	CALL(TUNSETSTEERINGEBPF, AS_INT, 0),
	CALL(TUNSETFILTEREBPF, AS_VALUE, 0),
	CALL(TUNSETFILTEREBPF, AS_INT, -1),
	CALL(TUNSETFILTEREBPF, AS_INT, 123456),
	CALL(TUNSETFILTEREBPF, AS_INT, 0),
	CALL(TUNGETDEVNETNS, AS_FD, 0),
	CALL(SIOCGSKNS, AS_FD, 0),
	CALL(SIOCGIFHWADDR, AS_VALUE, 0),
	CALL(SIOCSIFHWADDR, AS_VALUE, 0),
	CALL(SIOCSIFHWADDR, AS_IFREQ, 0xfff0),
	CALL(SIOCGIFFLAGS, AS_IFREQ, 0),
	CALL(SIOCGIFFLAGS, AS_VALUE, 0),
	CALL(_IO('T', 255), AS_VALUE, 0),
	CALL(_IO('T', 199), AS_VALUE, 0),
	CALL(TUNSETIFF, AS_VALUE, 0),
	CALL(TUNSETQUEUE, AS_VALUE, 0),
	CALL(TUNSETQUEUE, AS_IFREQ, 0),
	CALL(TUNSETQUEUE, AS_IFREQ, IFF_DETACH_QUEUE),
	CALL(TUNGETIFF, AS_IFREQ, 0),
	CALL(TUNSETQUEUE, AS_IFREQ, IFF_DETACH_QUEUE),
	CALL(TUNSETQUEUE, AS_IFREQ, IFF_ATTACH_QUEUE | IFF_DETACH_QUEUE),
	CALL(TUNSETQUEUE, AS_IFREQ, IFF_ATTACH_QUEUE),
	CALL(TUNGETIFF, AS_IFREQ, 0),
};

/* What kernels and drivers may differ in, and other tests look at. */
static void hide_differences(const struct call *c, uint32_t *answer)
{
	if (c->cmd == TUNGETFEATURES)
		*answer &= ~(IFF_NAPI_FRAGS | IFF_NO_CARRIER);
}

static void say_netns(const char *name, int fd)
{
	struct stat here, got;

	if (fd < 0) {
		say("%s: %s", name, strerrorname(errno));
		return;
	}
	must(stat("/proc/self/ns/net", &here));
	must(fstat(fd, &got));
	say("%s: %s namespace", name, here.st_ino == got.st_ino ? "this" : "another");
	close(fd);
}

static void say_one(int fd, const struct call *c)
{
	union {
		uint8_t bytes[64];
		uint32_t word;
		struct ifreq ifr;
	} buf;
	char hex[2 * sizeof(buf) + 1];
	int ret;

	memset(&buf, 0xa5, sizeof(buf));
	if (c->arg == AS_INT)
		memcpy(&buf, &(int){ c->value }, sizeof(int));
	if (c->arg == AS_IFREQ)
		buf.ifr.ifr_flags = c->value;
	ret = ioctl(fd, c->cmd, c->arg == AS_VALUE ? (void *)c->value : &buf);
	if (c->arg == AS_FD) {
		say_netns(c->name, ret);
		return;
	}
	if (ret == -1) {
		say("%s: %s", c->name, strerrorname(errno));
		return;
	}
	if (c->arg != AS_VALUE)
		hide_differences(c, &buf.word);
	for (size_t i = 0; i < sizeof(buf); i++)
		sprintf(hex + 2 * i, "%02x", buf.bytes[i]);
	say("%s: %d %s", c->name, ret, hex);
}

static void say_file(const char *name, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, file);
	say("%s: %s", file, read_file(path));
}

/* The interface as everybody sees it. */
static void say_iface(const char *name)
{
	static const char *const files[] = {
		"type",
		"addr_len",
		"tun_flags",
		"owner",
		"group",
		"flags",
		"mtu",
		"tx_queue_len",
		"carrier",
	};

	if (!iface_exists(name)) {
		say("no interface");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		say_file(name, files[i]);
}

static void say_all_but(const struct tun *t, unsigned long cmd)
{
	sysfs_here();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].cmd != cmd)
			say_one(t->fd, &calls[i]);
	say_iface(t->name);
}

static void say_all(const struct tun *t)
{
	say_all_but(t, 0);
}

static void without_interface(void)
{
	struct tun t = { .fd = tun_open_file(), .name = "none" };

	say_all(&t);
}

TEST(ioctls_of_a_file_without_an_interface)
{
	both(without_interface);
}

static void tun_down(void)
{
	struct tun t = tun_open("", IFF_TUN);

	say_all(&t);
}

TEST(ioctls_of_a_tun_interface)
{
	both(tun_down);
}

static void tun_up(void)
{
	struct tun t = tun_open("", IFF_TUN | IFF_VNET_HDR);

	iface_up_bare(t.name);
	say_all(&t);
}

TEST(ioctls_of_a_tun_interface_that_is_up)
{
	both(tun_up);
}

static void tap_down(void)
{
	struct tun t = tun_open("", IFF_TAP);

	say_all(&t);
}

TEST(ioctls_of_a_tap_interface)
{
	both(tap_down);
}

static void tap_up(void)
{
	struct tun t = tun_open("", IFF_TAP | IFF_ONE_QUEUE);

	iface_up_bare(t.name);
	say_all(&t);
}

TEST(ioctls_of_a_tap_interface_that_is_up)
{
	both(tap_up);
}

static void one_of_two(void)
{
	struct tun first = tun_open("", IFF_TAP | IFF_MULTI_QUEUE);
	struct tun t = tun_open(first.name, IFF_TAP | IFF_MULTI_QUEUE);

	say_all(&t);
}

TEST(ioctls_of_one_of_two_queues)
{
	both(one_of_two);
}

static void out_of_service(void)
{
	struct tun first = tun_open("", IFF_TAP | IFF_MULTI_QUEUE);
	struct tun t = tun_open(first.name, IFF_TAP | IFF_MULTI_QUEUE);
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };

	must(ioctl(t.fd, TUNSETQUEUE, &ifr));
	/* The built-in tun does not tell it the new limit, not even later. */
	say_all_but(&t, TUNSETSNDBUF);
}

TEST(ioctls_of_a_queue_that_is_out_of_service)
{
	both(out_of_service);
}

static void deleted(void)
{
	struct tun t = tun_open("", IFF_TUN);

	iface_del(t.name);
	say_all(&t);
}

TEST(ioctls_of_a_file_whose_interface_was_deleted)
{
	both(deleted);
}

static void without_privileges(void)
{
	struct tun t = tun_open("", IFF_TUN);

	must(setresuid(1000, 1000, 1000));
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		say_one(t.fd, &calls[i]);
}

TEST(ioctls_without_privileges)
{
	both(without_privileges);
}

TEST(a_queue_out_of_service_has_the_interfaces_send_buffer)
{
	struct tun t = tun_open("", IFF_TAP | IFF_MULTI_QUEUE);
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
	int size = 100000;

	must(ioctl(t.fd, TUNSETQUEUE, &ifr));
	must(ioctl(t.fd, TUNSETSNDBUF, &size));
	size = 0;
	must(ioctl(t.fd, TUNGETSNDBUF, &size));
	expect_eq(size, 100000);
}

static void say_set_iff(const char *name, int flags)
{
	int fd = tun_open_file();
	struct ifreq ifr;
	int ret = tun_set_iff(fd, name, flags, &ifr);

	if (ret) {
		say("TUNSETIFF \"%s\" %#x: %s", name, flags, strerrorname(errno));
	} else {
		say("TUNSETIFF \"%s\" %#x: \"%s\" %#x", name, flags, ifr.ifr_name, ifr.ifr_flags);
		must(ioctl(fd, TUNGETIFF, &ifr));
		say("TUNGETIFF: \"%s\" %#x", ifr.ifr_name, (unsigned short)ifr.ifr_flags);
	}
	close(fd);
}

/* Bits of ifr_flags that mean something to TUNSETIFF, or do nothing. */
static const int bits[] = {
	IFF_ATTACH_QUEUE,
	IFF_DETACH_QUEUE,
	IFF_PERSIST,
	IFF_NOFILTER,
	IFF_ONE_QUEUE,
	IFF_VNET_HDR,
	IFF_TUN_EXCL,
	IFF_MULTI_QUEUE,
	IFF_NO_PI,
	IFF_NO_CARRIER,
	IFF_NAPI,
	0,
};

static void new_interfaces(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		say_set_iff("", bits[i]);
		say_set_iff("", bits[i] | IFF_TUN);
		say_set_iff("", bits[i] | IFF_TAP);
		say_set_iff("", bits[i] | IFF_TUN | IFF_TAP);
		say_set_iff("lo", bits[i] | IFF_TUN);
	}
	say_set_iff("a/b", IFF_TUN);
	say_set_iff("..", IFF_TUN);
	say_set_iff("x%d", IFF_TUN);
	say_set_iff("x%s", IFF_TUN);
	say_set_iff("x%d%d", IFF_TUN);
	say_set_iff("fifteen-letters", IFF_TUN);
}

TEST(flags_of_new_interfaces)
{
	both(new_interfaces);
}

static void existing_interfaces(void)
{
	static const int firsts[] = { IFF_TUN, IFF_TAP, IFF_TUN | IFF_MULTI_QUEUE };

	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++) {
		struct tun t = tun_open("there", firsts[i]);

		for (size_t j = 0; j < ARRAY_SIZE(bits); j++) {
			say_set_iff("there", bits[j]);
			say_set_iff("there", bits[j] | IFF_TUN);
			say_set_iff("there", bits[j] | IFF_TAP);
		}
		must(ioctl(t.fd, TUNSETPERSIST, 1));
		tun_close(&t);
		for (size_t j = 0; j < ARRAY_SIZE(bits); j++)
			say_set_iff("there", bits[j] | firsts[i]);
		iface_del("there");
	}
}

TEST(flags_of_interfaces_that_exist)
{
	both(existing_interfaces);
}

static void link_types(void)
{
	struct tun t = tun_open("", IFF_TAP);

	sysfs_here();
	for (long type = 0; type < 65536; type++) {
		/* The others' addresses have no length. */
		if (type > 900 && type != ARPHRD_NONE && type != 65535)
			continue;
		must(ioctl(t.fd, TUNSETLINK, type));
		say("%ld", type);
		say_file(t.name, "type");
		say_file(t.name, "addr_len");
	}
	say_call(ioctl(t.fd, TUNSETLINK, 1L << 32 | ARPHRD_ETHER));
	say_file(t.name, "type");
	iface_up_bare(t.name);
	say_call(ioctl(t.fd, TUNSETLINK, ARPHRD_ETHER));
}

TEST(link_types_have_addresses_of_their_length)
{
	both(link_types);
}

static void offloads(void)
{
	struct tun t = tun_open("", IFF_TUN);

	/* Checksum, TSO, its ECN, and what was UFO: all there is in every kernel. */
	for (long bits = 0; bits < 1 << 5; bits++)
		say_result("TUNSETOFFLOAD", ioctl(t.fd, TUNSETOFFLOAD, bits));
}

TEST(offloads_are_taken_as_on_tun)
{
	both(offloads);
}

/* Of newer kernels: headers in headers, for which a record has no place. */
TEST(offloads_of_udp_tunnels_are_refused)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM | 0x80), EINVAL);
	expect_errno(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM | 0x100), EINVAL);
}

/* It is for the tests of the built-in driver, which alone knows what to do with it. */
TEST(frags_mode_is_refused)
{
	struct ifreq ifr;
	unsigned int features;
	int fd = tun_open_file();

	expect(tun_set_iff(fd, "", IFF_TAP | IFF_NAPI | IFF_NAPI_FRAGS, &ifr) == -1);
	expect_eq(errno, EINVAL);
	must(ioctl(fd, TUNGETFEATURES, &features));
	expect(!(features & IFF_NAPI_FRAGS));
	must(tun_set_iff(fd, "", IFF_TAP, &ifr));
}

/* The built-in driver of kernels before 6.0 does not know it. */
TEST(an_interface_may_begin_without_a_carrier)
{
	unsigned int features;
	struct ifreq ifr;
	int fd = tun_open_file();

	must(ioctl(fd, TUNGETFEATURES, &features));
	expect(features & IFF_NO_CARRIER);
	sysfs_here();
	must(tun_set_iff(fd, "quiet", IFF_TUN | IFF_NO_CARRIER, &ifr));
	iface_up_bare("quiet");
	expect_eq(atoi(read_file("/sys/class/net/quiet/carrier")), 0);
	must(ioctl(fd, TUNSETCARRIER, &(int){ 1 }));
	expect_eq(atoi(read_file("/sys/class/net/quiet/carrier")), 1);
}
