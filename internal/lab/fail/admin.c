// SPDX-License-Identifier: MIT
/* What the administrator does to an interface, and the end of a network namespace. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <mytun.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "iface.h"
#include "nth.h"
#include "tun.h"

struct link_request {
	struct nlmsghdr n;
	struct ifinfomsg link;
	char attrs[128];
};

static void put_attr(struct link_request *r, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->n.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->n.nlmsg_len = NLMSG_ALIGN(r->n.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static struct link_request request(int type, const char *name)
{
	struct link_request r = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.link)),
					 .nlmsg_type = type,
					 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };

	if (name)
		r.link.ifi_index = iface_index(name);
	return r;
}

/* Sends, and takes the answer: 0, or -1 and errno. */
static int send_request(int fd, const struct link_request *r)
{
	return send(fd, r, r->n.nlmsg_len, 0) < 0 ? -1 : 0;
}

/* What the kernel answered; there is none if there was no memory for it. */
static int answer(int fd)
{
	union {
		struct nlmsghdr n;
		char bytes[4096];
	} a;

	if (recv(fd, &a, sizeof(a), MSG_DONTWAIT) < 0)
		return errno;
	if (a.n.nlmsg_type != NLMSG_ERROR)
		return 0;
	return -((struct nlmsgerr *)NLMSG_DATA(&a.n))->error;
}

static int netlink(void)
{
	return must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}

TEST_WITHIN(300, an_interface_is_deleted_under_its_files_or_not)
{
	struct failing f = failing("RTM_DELLINK");
	int flags = IFF_TUN | IFF_NAPI, fd;

	while (fail_next(&f)) {
		struct tun plain = tun_open("del0", flags);
		struct link_request r = request(RTM_DELLINK, "del0");
		struct ring ring;

		ring = ring_new(plain.fd, ring_args(1 << 14));
		iface_up_bare("del0");
		fd = netlink();
		under(&f, send_request(fd, &r));
		fail_done(&f, ENOMEM, ENOBUFS, EFAULT);
		answer(fd);
		close(fd);
		if (iface_exists("del0")) {
			carry_ring(&plain, &ring);
			iface_del("del0");
		}
		expect_errno(ioctl(plain.fd, MYTUN_IOC_DETACH, 0), EBADFD);
		ring_unmap(&ring);
		tun_close(&plain);
	}
}

/* It is refused, with reason or for want of memory, and leaves nothing. */
TEST_WITHIN(300, an_interface_without_a_file_is_never_made)
{
	struct failing f = failing("RTM_NEWLINK");
	struct rtattr *info, *kind;
	int fd;

	while (fail_next(&f)) {
		struct link_request r = request(RTM_NEWLINK, NULL);
		char nested[32];

		r.n.nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
		put_attr(&r, IFLA_IFNAME, "new0", 5);
		info = (struct rtattr *)nested;
		kind = info;
		kind->rta_type = IFLA_INFO_KIND;
		kind->rta_len = RTA_LENGTH(6);
		memcpy(RTA_DATA(kind), "mytun", 6);
		put_attr(&r, IFLA_LINKINFO, nested, RTA_LENGTH(6));
		fd = netlink();
		under(&f, send_request(fd, &r));
		if (fail_done(&f, ENOMEM, ENOBUFS, EFAULT))
			expect(answer(fd) != 0);
		close(fd);
		expect(!iface_exists("new0"));
	}
}

TEST_WITHIN(300, an_interface_is_shown_or_not)
{
	struct failing f = failing("RTM_GETLINK");
	struct tun t = tun_open("show0", IFF_TUN | IFF_MULTI_QUEUE);
	struct link_request r = request(RTM_GETLINK, "show0");

	must(ioctl(t.fd, TUNSETOWNER, 1));
	must(ioctl(t.fd, TUNSETGROUP, 1));
	r.n.nlmsg_flags = NLM_F_REQUEST;
	while (fail_next(&f)) {
		int fd = netlink(), err;

		under(&f, send_request(fd, &r));
		if (fail_done(&f, ENOMEM, ENOBUFS, EFAULT)) {
			err = answer(fd);
			expect(!err || (f.fired && (err == ENOBUFS || err == ENOMEM ||
						    err == EAGAIN)));
		}
		close(fd);
	}
}

/* Each queue of several has its old length, or each has the new one. */
TEST_WITHIN(300, lengths_of_many_queues_change_together)
{
	struct failing f = failing("ip link set txqueuelen, three queues");
	int flags = IFF_TUN | IFF_MULTI_QUEUE;
	struct tun t[3];

	for (int i = 0; i < 3; i++) {
		t[i] = tun_open("len0", flags);
		must(fcntl(t[i].fd, F_SETFL, O_NONBLOCK));
	}
	iface_up_bare("len0");
	while (fail_next(&f)) {
		struct link_request r = request(RTM_NEWLINK, "len0");
		uint32_t len = 7;
		int fd = netlink();

		put_attr(&r, IFLA_TXQLEN, &len, sizeof(len));
		must(iface_set_txqueuelen("len0", 20));
		under(&f, send_request(fd, &r));
		if (fail_done(&f, ENOMEM, ENOBUFS, EFAULT)) {
			int err = answer(fd);

			expect(!err || (f.fired &&
					(err == ENOMEM || err == ENOBUFS || err == EAGAIN)));
		}
		close(fd);
	}
	for (int i = 1; i < 3; i++)
		must(ioctl(t[i].fd, MYTUN_IOC_DETACH, 0));
	carry_plain(&t[0]);
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

static long module_users(void)
{
	return strtol(read_file("/sys/module/mytun/refcnt"), NULL, 10);
}

/* The end of its last process is that of a namespace, which a worker sees to. */
TEST_WITHIN(120, a_persistent_interface_goes_with_its_namespace)
{
	unsigned int injected = 0;
	long users = module_users();

	for (int i = 1; i <= 20; i++) {
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
		fail_workers(i * 5);
		close(fds[1]);
		spawn_wait(pid);
		eventually(module_users() == users);
		injected += fail_end();
		close(fds[0]);
		close(fds[2]);
	}
	fail_report("the end of a network namespace", injected);
}
