// SPDX-License-Identifier: MIT
/* Network namespaces: an interface goes from one to another, and ends with its own. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "iface.h"
#include "leak.h"
#include "nth.h"
#include "rtnl.h"
#include "tun.h"

static int namespace(void)
{
	return must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
}

static bool exists_in(int ns, const char *name)
{
	int here = namespace();
	bool there;

	must(setns(ns, CLONE_NEWNET));
	there = iface_exists(name);
	must(setns(here, CLONE_NEWNET));
	close(here);
	return there;
}

/*
 * It is in one of the two, whole, and works there. The core warns when it has no memory to rename
 * the interface in sysfs, and leaves its name behind there: each time another one.
 */
static void move(const char *what, int flags, bool rings)
{
	struct failing f = failing(what);
	int home = namespace(), away;
	unsigned int moved = 0;

	netns_new();
	away = namespace();
	must(setns(home, CLONE_NEWNET));
	while (fail_next(&f)) {
		struct rtnl_link q;
		int fd = rtnl_open();
		char name[IFNAMSIZ];
		struct ring r;
		struct tun t;
		bool gone;

		snprintf(name, sizeof(name), "move%u", f.nth);
		t = tun_open(name, flags);
		q = rtnl_link(RTM_NEWLINK, name);
		if (rings)
			r = ring_small(t.fd);
		iface_up_bare(name);
		rtnl_put(&q, IFLA_NET_NS_FD, &away, sizeof(away));
		under(&f, rtnl_send(fd, &q));
		fail_done(&f, ENOMEM, ENOBUFS, EFAULT);
		close(fd);
		gone = exists_in(away, name);
		expect_eq(gone, !iface_exists(name));
		expect(gone || f.fired);
		moved += gone;
		if (gone)
			must(setns(away, CLONE_NEWNET));
		iface_up_bare(name);
		if (rings) {
			carry_ring(&t, &r);
			ring_unmap(&r);
		} else {
			carry_plain(&t);
		}
		tun_close(&t);
		expect(!iface_exists(name));
		must(setns(home, CLONE_NEWNET));
	}
	expect(moved > 0);
}

TEST_WITHIN(300, an_interface_moves_or_does_not)
{
	move("ip link set netns", IFF_TUN | IFF_NAPI, false);
}

TEST_WITHIN(300, an_interface_with_rings_moves_or_does_not)
{
	move("ip link set netns, rings", IFF_TAP, true);
}

/* Until the pipe is closed. */
static void live_in_a_namespace(void *arg)
{
	struct tun t;
	char byte;
	int *fds = arg;

	close(fds[1]);
	netns_new();
	t = tun_open("ns0", IFF_TAP | IFF_NAPI);
	ring_small(t.fd);
	iface_up_bare("ns0");
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	close(fds[2]);
	must(read(fds[0], &byte, 1));
}

/* The end of its last process is that of a namespace, which a worker sees to. */
TEST_WITHIN(300, a_persistent_interface_goes_with_its_namespace)
{
	struct failing f = failing_work("the end of a network namespace", "netns");
	long users = module_users();

	while (fail_next(&f)) {
		int fds[4], child[3];
		pid_t pid;
		char byte;

		must(pipe2(fds, O_CLOEXEC));
		must(pipe2(fds + 2, O_CLOEXEC));
		/* Of the first we keep the writing end, and the child that of the second. */
		memcpy(child, (int[]){ fds[0], fds[1], fds[3] }, sizeof(child));
		pid = spawn(live_in_a_namespace, child);
		close(fds[3]);
		expect_eq(must(read(fds[2], &byte, 1)), 0);
		expect(module_users() > users);
		fail_arm(&f);
		close(fds[1]);
		spawn_wait(pid);
		eventually(module_users() == users);
		fail_disarm(&f);
		close(fds[0]);
		close(fds[2]);
	}
}
