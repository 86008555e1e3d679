// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "world.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "maps.h"

struct file files[FILES];
int ns_fd[2], inet_fd[2], route_fd[2];
int prog_fd[PROGS];

const char *const names[NAMES] = { "fz0", "fz1", "fz2", "fz%d", "", "lo", "all", "a/b" };

static void sockets_here(int i)
{
	ns_fd[i] = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	inet_fd[i] = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	route_fd[i] = must(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
				  NETLINK_ROUTE));
}

void world_begin(void)
{
	int home = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));

	netns_new();
	sockets_here(1);
	must(setns(home, CLONE_NEWNET));
	close(home);
	sockets_here(0);
	sysfs_here();
	prog_fd[0] = bpf_constant(0);
	prog_fd[1] = bpf_constant(UINT32_MAX);
	prog_fd[2] = bpf_first_byte();
	prog_fd[3] = bpf_of_another_type();
	for (int i = 0; i < FILES; i++)
		files[i].fd = -1;
}

static bool remove_interfaces(int ns)
{
	static const char *const left[] = { "fz0", "fz1", "fz2", "fz3" };
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		struct {
			struct nlmsghdr n;
			struct ifinfomsg link;
		} r = { .n = { .nlmsg_len = sizeof(r),
			       .nlmsg_type = RTM_DELLINK,
			       .nlmsg_flags = NLM_F_REQUEST } };
		struct ifreq ifr = {};

		snprintf(ifr.ifr_name, IFNAMSIZ, "%s", left[i]);
		if (ioctl(inet_fd[ns], SIOCGIFINDEX, &ifr))
			continue;
		any = true;
		r.link.ifi_index = ifr.ifr_ifindex;
		if (send(route_fd[ns], &r, sizeof(r), 0) < 0)
			fail("ip link del %s: %s", left[i], strerrorname(errno));
	}
	return any;
}

void world_clear(void)
{
	char answers[8192];

	maps_clear();
	for (int i = 0; i < FILES; i++) {
		if (files[i].fd >= 0)
			close(files[i].fd);
		memset(&files[i], 0, sizeof(files[i]));
		files[i].fd = -1;
	}
	for (int ns = 0; ns < 2; ns++) {
		for (int n = 0; remove_interfaces(ns); n++)
			if (n == 10)
				fail("an interface cannot be deleted");
		while (recv(route_fd[ns], answers, sizeof(answers), MSG_DONTWAIT) >= 0)
			;
	}
}
