// SPDX-License-Identifier: MIT
/* What the administrator does to an interface. */
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

#include "bpf.h"
#include "carry.h"
#include "check.h"
#include "iface.h"
#include "nth.h"
#include "rtnl.h"
#include "tun.h"

TEST_WITHIN(300, an_interface_is_deleted_under_its_files_or_not)
{
	struct failing f = failing("RTM_DELLINK");
	int flags = IFF_TUN | IFF_NAPI, fd;

	while (fail_next(&f)) {
		struct tun plain = tun_open("del0", flags);
		struct rtnl_link r = rtnl_link(RTM_DELLINK, "del0");
		struct ring ring;

		ring = ring_new(plain.fd, ring_args(1 << 14));
		iface_up_bare("del0");
		fd = rtnl_open();
		under(&f, rtnl_send(fd, &r));
		fail_done(&f, ENOMEM, ENOBUFS, EFAULT);
		rtnl_answer(fd);
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
		struct rtnl_link r = rtnl_link(RTM_NEWLINK, NULL);
		char nested[32];

		r.n.nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
		rtnl_put(&r, IFLA_IFNAME, "new0", 5);
		info = (struct rtattr *)nested;
		kind = info;
		kind->rta_type = IFLA_INFO_KIND;
		kind->rta_len = RTA_LENGTH(6);
		memcpy(RTA_DATA(kind), "mytun", 6);
		rtnl_put(&r, IFLA_LINKINFO, nested, RTA_LENGTH(6));
		fd = rtnl_open();
		under(&f, rtnl_send(fd, &r));
		if (fail_done(&f, ENOMEM, ENOBUFS, EFAULT))
			expect(rtnl_answer(fd) != 0);
		close(fd);
		expect(!iface_exists("new0"));
	}
}

TEST_WITHIN(300, an_interface_is_shown_or_not)
{
	struct failing f = failing("RTM_GETLINK");
	struct tun t = tun_open("show0", IFF_TUN | IFF_MULTI_QUEUE);
	struct rtnl_link r = rtnl_link(RTM_GETLINK, "show0");

	must(ioctl(t.fd, TUNSETOWNER, 1));
	must(ioctl(t.fd, TUNSETGROUP, 1));
	r.n.nlmsg_flags = NLM_F_REQUEST;
	while (fail_next(&f)) {
		int fd = rtnl_open(), err;

		under(&f, rtnl_send(fd, &r));
		if (fail_done(&f, ENOMEM, ENOBUFS, EFAULT)) {
			err = rtnl_answer(fd);
			expect(!err || (f.fired && (err == ENOBUFS || err == ENOMEM ||
						    err == EAGAIN)));
		}
		close(fd);
	}
}

/* How many packets a queue keeps. */
static unsigned int kept(const struct tun *t, unsigned int queue, int raw, const struct frame *f)
{
	static uint8_t bytes[2000];
	unsigned int n = 0;

	must(ebpf_set(t, TUNSETSTEERINGEBPF, bpf_constant(queue)));
	for (int i = 0; i < 25; i++)
		frame_out(raw, f);
	while (read(t->fd, bytes, sizeof(bytes)) > 0)
		n++;
	expect_eq(errno, EAGAIN);
	return n;
}

/* Each queue of several has its old length, or each has the new one. */
TEST_WITHIN(300, lengths_of_many_queues_change_together)
{
	static struct frame frame;
	struct failing f = failing("ip link set txqueuelen, three queues");
	int flags = IFF_TUN | IFF_MULTI_QUEUE;
	struct tun t[3];
	int raw;

	for (int i = 0; i < 3; i++) {
		t[i] = tun_open("len0", flags);
		must(fcntl(t[i].fd, F_SETFL, O_NONBLOCK));
	}
	iface_up_bare("len0");
	frame_new(&frame, false, 100, 1);
	raw = frame_socket("len0");
	while (fail_next(&f)) {
		struct rtnl_link r = rtnl_link(RTM_NEWLINK, "len0");
		uint32_t len = 7, now;
		int fd = rtnl_open();

		rtnl_put(&r, IFLA_TXQLEN, &len, sizeof(len));
		must(iface_set_txqueuelen("len0", 20));
		under(&f, rtnl_send(fd, &r));
		if (fail_done(&f, ENOMEM, ENOBUFS, EFAULT)) {
			int err = rtnl_answer(fd);

			expect(!err || (f.fired &&
					(err == ENOMEM || err == ENOBUFS || err == EAGAIN)));
		}
		close(fd);
		now = kept(&t[0], 0, raw, &frame);
		expect(now == 20 || now == 7);
		expect(f.fired || now == 7);
		for (int i = 1; i < 3; i++)
			expect_eq(kept(&t[i], i, raw, &frame), now);
	}
	close(raw);
	for (int i = 1; i < 3; i++)
		must(ioctl(t[i].fd, MYTUN_IOC_DETACH, 0));
	carry_plain(&t[0]);
}
