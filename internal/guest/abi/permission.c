// SPDX-License-Identifier: MIT
/* Who may make an interface, attach to one, and whose packets those are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "who.h"

TEST(the_device_can_be_opened_by_everybody)
{
	struct stat st;

	must(stat(tun_path, &st));
	expect(S_ISCHR(st.st_mode));
	expect_eq(st.st_mode & 0777, 0666);
}

TEST(making_an_interface_takes_the_capability)
{
	attach(USER, USER, 0, "", EPERM);
	attach(USER, 0, 0, "", EPERM);
	attach(0, 0, 0, "", 0);
}

static void keep_one_capability(void *arg)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {};
	int cap = *(int *)arg;
	struct who w = {
		.uid = USER,
		.gid = USER,
		.flags = IFF_TUN,
		.name = "",
		.err = cap == CAP_NET_ADMIN ? 0 : EPERM,
	};
	struct ifreq ifr;
	int ret;

	must(prctl(PR_SET_KEEPCAPS, 1));
	become(&w);
	d[0].effective = d[0].permitted = 1u << cap;
	must(syscall(SYS_capset, &h, d));
	ret = tun_set_iff(tun_open_file(), w.name, w.flags, &ifr);
	expect_eq(ret ? errno : 0, w.err);
}

TEST(no_other_capability_will_do)
{
	int admin = CAP_NET_ADMIN, raw = CAP_NET_RAW, override = CAP_DAC_OVERRIDE;

	spawn_wait(spawn(keep_one_capability, &admin));
	spawn_wait(spawn(keep_one_capability, &raw));
	spawn_wait(spawn(keep_one_capability, &override));
}

static void in_a_user_namespace(void *arg)
{
	struct who w = { .uid = USER, .gid = USER };
	int udp, before;
	struct ifreq ifr;
	struct packet p;
	struct ring r;
	struct tun t;

	(void)arg;
	become(&w);
	before = tun_open_file();
	/* Root of its own user namespace, but not of this network. */
	must(unshare(CLONE_NEWUSER));
	expect_errno(tun_set_iff(tun_open_file(), "", IFF_TUN, &ifr), EPERM);
	netns_new();
	expect_errno(tun_set_iff(before, "", IFF_TUN, &ifr), EPERM);
	t = tun_open_up(IFF_TUN);
	r = ring_small(t.fd);
	udp = udp_here(AF_INET);
	udp_send(udp, "out", 3);
	ring_rx_wait(&r);
	packet_inbound(&p, &t, AF_INET, "in", 2);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "in", 2);
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	must(ioctl(t.fd, TUNSETPERSIST, 0));
}

TEST(everybody_may_make_interfaces_in_namespaces_of_their_own)
{
	spawn_wait(spawn(in_a_user_namespace, NULL));
}

TEST(an_interface_without_owner_is_the_administrators)
{
	prepared("nobodys", -1, -1);
	attach(USER, USER, 0, "nobodys", EPERM);
	attach(USER, 0, 0, "nobodys", EPERM);
	attach(0, 0, 0, "nobodys", 0);
	iface_del("nobodys");
}

TEST(an_owner_may_attach)
{
	prepared("users", USER, -1);
	attach(USER, OTHER, 0, "users", 0);
	attach(OTHER, USER, 0, "users", EPERM);
	attach(0, 0, 0, "users", 0);
	iface_del("users");
}

TEST(a_group_may_attach)
{
	prepared("groups", -1, GROUP);
	attach(USER, GROUP, 0, "groups", 0);
	attach(USER, OTHER, GROUP, "groups", 0);
	attach(USER, OTHER, OTHER, "groups", EPERM);
	attach(GROUP, OTHER, 0, "groups", EPERM);
	attach(0, 0, 0, "groups", 0);
	iface_del("groups");
}

TEST(with_owner_and_group_it_takes_both)
{
	prepared("both", USER, GROUP);
	attach(USER, GROUP, 0, "both", 0);
	attach(USER, OTHER, GROUP, "both", 0);
	attach(USER, OTHER, 0, "both", EPERM);
	attach(OTHER, GROUP, 0, "both", EPERM);
	attach(0, 0, 0, "both", 0);
	iface_del("both");
}

TEST(an_owner_makes_no_interface_of_another_name)
{
	prepared("users", USER, -1);
	attach(USER, USER, 0, "other", EPERM);
	iface_del("users");
	attach(USER, USER, 0, "users", EPERM); /* nor of the same, once it is gone */
}

TEST(ids_that_are_none_are_refused)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(ioctl(t.fd, TUNSETOWNER, -1), EINVAL);
	expect_errno(ioctl(t.fd, TUNSETGROUP, -1), EINVAL);
}

static void rings_of_the_owner(void *arg)
{
	struct who w = { .uid = USER, .gid = USER };
	struct mytun_rings args = ring_args(1 << 16);
	struct ifreq ifr;
	struct ring r;
	int fd;

	become(&w);
	fd = tun_open_file();
	must(tun_set_iff(fd, arg, IFF_TUN | IFF_NO_PI, &ifr));
	r = ring_new(fd, args);
	expect_errno(ring_doorbell(&r), ENETDOWN);
}

TEST(an_owner_without_privileges_may_have_rings)
{
	prepared("users", USER, -1);
	spawn_wait(spawn(rings_of_the_owner, "users"));
	iface_del("users");
}

struct writer {
	struct who who;
	struct packet p;
	struct tun t;
};

static void write_as(void *arg)
{
	struct writer *w = arg;
	struct ifreq ifr;
	int fd;

	become(&w->who);
	fd = tun_open_file();
	must(tun_set_iff(fd, w->t.name, IFF_TUN | IFF_NO_PI, &ifr));
	expect_eq(must(write(fd, w->p.bytes, w->p.len)), w->p.len);
}

TEST(packets_of_write_belong_to_who_opened_the_file)
{
	static struct writer w = { .who = { .uid = USER, .gid = OTHER }, .t = { .name = "users" } };
	uint8_t payload[1400] = {}, got[2000];
	struct pollfd p = { .events = POLLIN };

	prepared("users", USER, -1);
	iface_up("users");
	packet_inbound(&w.p, &w.t, AF_INET, payload, sizeof(payload));
	p.fd = uid_capture("users");
	spawn_wait(spawn(write_as, &w));
	expect_eq(must(poll(&p, 1, 5000)), 1);
	expect_eq(must(recv(p.fd, got, sizeof(got), 0)), USER);
	iface_del("users");
}

/* A cgroup that may have 16 MiB. */
static void enter_cgroup(void)
{
	char path[128], limit[160], text[32];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/rings-%d", getpid());
	must(mkdir(path, 0755));
	snprintf(limit, sizeof(limit), "%s/memory.max", path);
	must(write_file(limit, "16M"));
	snprintf(limit, sizeof(limit), "%s/cgroup.procs", path);
	snprintf(text, sizeof(text), "%d", getpid());
	must(write_file(limit, text));
}

TEST(rings_are_served_in_a_cgroup)
{
	struct tun t;
	struct packet p;
	struct ring r;
	int udp;

	if (write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory"))
		skip("no memory cgroups");
	enter_cgroup();
	t = tun_open_up(IFF_TUN);
	r = ring_new(t.fd, ring_args(1 << 20));
	udp = udp_here(AF_INET);
	packet_inbound(&p, &t, AF_INET, "up", 2);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "up", 2);
	udp_send(udp, "down", 4);
	expect_eq(ring_rx_wait(&r)->len, UDP4 + 4);
}

TEST(ring_memory_is_charged_to_the_callers_cgroup)
{
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_rings args = ring_args(MYTUN_RING_SIZE_MAX);
	struct utsname kernel;

	if (write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory"))
		skip("no memory cgroups");
	must(uname(&kernel));
	if (!strncmp(kernel.release, "5.10.", 5))
		skip("this kernel lets no program map memory that is charged");
	enter_cgroup();
	expect_errno(ioctl(t.fd, MYTUN_IOC_RINGS, &args), ENOMEM);
	/* And it was given back. */
	args = ring_args(1 << 20);
	must(ioctl(t.fd, MYTUN_IOC_RINGS, &args));
}
