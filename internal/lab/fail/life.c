// SPDX-License-Identifier: MIT
/* A file from open(2) to close(2): coming to an interface, and leaving it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ethtool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "iface.h"
#include "leak.h"
#include "nth.h"
#include "tun.h"

/* The name may be what cannot be read. */
TEST_WITHIN(300, a_file_that_cannot_be_opened_leaves_nothing)
{
	struct failing f = failing("open");
	long users = module_users();

	while (fail_next(&f)) {
		under(&f, open(tun_path, O_RDWR | O_CLOEXEC));
		if (fail_done(&f, ENOMEM, EFAULT))
			must(close(f.ret));
		expect_eq(module_users(), users);
	}
}

/* Is the file attached? *@t gets the interface's name. */
static bool attached(struct tun *t)
{
	struct ifreq ifr = {};

	if (ioctl(t->fd, TUNGETIFF, &ifr)) {
		expect_eq(errno, EBADFD);
		return false;
	}
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
	return true;
}

/* What the core says of its own: a device without a name, for which there was no memory, is
 * EINVAL; a message to who watches interfaces that cannot be made is ENOBUFS.
 */
#define CORE EINVAL, ENOBUFS

/*
 * EFAULT is of the ifreq: of the question, and nothing is done; or of the answer, and all is, as
 * on the built-in tun. Whichever it was, the file tells.
 */
static void create(const char *what, int flags)
{
	struct failing f = failing(what);
	long users = module_users();
	struct ifreq ifr;

	while (fail_next(&f)) {
		struct tun t = { .fd = tun_open_file(), .tap = flags & IFF_TAP };
		bool done, there;

		memset(&ifr, 0, sizeof(ifr));
		strcpy(ifr.ifr_name, "new0");
		ifr.ifr_flags = flags | IFF_NO_PI;
		under(&f, ioctl(t.fd, TUNSETIFF, &ifr));
		done = fail_done(&f, ENOMEM, EFAULT, CORE);
		there = attached(&t);
		expect(there || !done);
		expect(!there || done || f.err == EFAULT);
		expect_eq(iface_exists("new0"), there);
		if (!there) {
			ifr.ifr_flags = flags | IFF_NO_PI;
			must(ioctl(t.fd, TUNSETIFF, &ifr));
			expect(attached(&t));
		}
		carry_up(&t);
		tun_close(&t);
		expect(!iface_exists("new0"));
		expect_eq(module_users(), users);
	}
}

TEST_WITHIN(600, a_tun_interface_is_made_or_not)
{
	create("TUNSETIFF, a new TUN interface", IFF_TUN);
}

TEST_WITHIN(600, a_tap_interface_is_made_or_not)
{
	create("TUNSETIFF, a new TAP interface", IFF_TAP);
}

TEST_WITHIN(600, a_multi_queue_interface_is_made_or_not)
{
	create("TUNSETIFF, a new interface for many queues, IFF_NAPI",
	       IFF_TUN | IFF_MULTI_QUEUE | IFF_NAPI);
}

/* Whatever has two ways to get its memory. */
TEST_WITHIN(600, an_interface_is_made_or_not_when_pages_run_out)
{
	unsigned int all = 0, pages = 0, injected;
	struct pages in_use = {};
	long users = module_users();

	do {
		struct tun t = { .fd = tun_open_file() };
		struct ifreq ifr;
		int ret, err;

		if (pages < 2)
			in_use = pages_now();
		fail_beyond(pages++);
		ret = tun_set_iff(t.fd, "new0", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, &ifr);
		err = errno;
		injected = fail_end();
		all += injected;
		if (ret && (!injected || (err != ENOMEM && err != ENOBUFS && err != EINVAL)))
			fail("%u pages: %s", pages, strerrorname(err));
		expect_eq(attached(&t), !ret);
		expect_eq(iface_exists("new0"), !ret);
		tun_close(&t);
		expect(!iface_exists("new0"));
		expect_eq(module_users(), users);
	} while (injected);
	pages_expect(&in_use, all, "TUNSETIFF, pages run out");
	fail_report("TUNSETIFF, pages run out", all);
}

static unsigned int queues_of(const char *name)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };

	must(iface_ethtool_cmd(name, &ch));
	return ch.combined_count;
}

TEST_WITHIN(300, another_queue_comes_or_does_not)
{
	struct failing f = failing("TUNSETIFF, one more queue");
	int flags = IFF_TAP | IFF_MULTI_QUEUE | IFF_NAPI;
	struct tun first = tun_open("mq0", flags);
	struct ifreq ifr;

	iface_up_bare(first.name);
	while (fail_next(&f)) {
		struct tun t = { .fd = tun_open_file(), .tap = true };
		bool done, there;

		memset(&ifr, 0, sizeof(ifr));
		strcpy(ifr.ifr_name, first.name);
		ifr.ifr_flags = flags | IFF_NO_PI;
		under(&f, ioctl(t.fd, TUNSETIFF, &ifr));
		done = fail_done(&f, ENOMEM, EFAULT);
		there = attached(&t);
		expect(there || !done);
		expect_eq(queues_of(first.name), 1 + there);
		if (!there) {
			carry_plain(&first);
			ifr.ifr_flags = flags | IFF_NO_PI;
			must(ioctl(t.fd, TUNSETIFF, &ifr));
		}
		expect_eq(queues_of(first.name), 2);
		must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		close(t.fd);
		carry_plain(&first);
	}
}

TEST_WITHIN(300, a_file_comes_to_a_persistent_interface_or_does_not)
{
	struct failing f = failing("TUNSETIFF, an interface that was left");
	struct tun t = tun_open("stay0", IFF_TUN);
	struct ifreq ifr;
	long users;

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	iface_up_bare(t.name);
	tun_close(&t);
	users = module_users();
	while (fail_next(&f)) {
		bool done, there;

		t.fd = tun_open_file();
		memset(&ifr, 0, sizeof(ifr));
		strcpy(ifr.ifr_name, t.name);
		ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
		under(&f, ioctl(t.fd, TUNSETIFF, &ifr));
		done = fail_done(&f, ENOMEM, EFAULT);
		there = attached(&t);
		expect(there || !done);
		if (!there) {
			ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
			must(ioctl(t.fd, TUNSETIFF, &ifr));
		}
		carry_plain(&t);
		tun_close(&t);
		expect(iface_exists(t.name));
		expect_eq(module_users(), users);
	}
}

/* Those who want to know are not told, and that is all. */
TEST_WITHIN(300, a_queue_can_always_detach)
{
	struct failing f = failing("MYTUN_IOC_DETACH");

	while (fail_next(&f)) {
		struct tun t = tun_open("gone0", IFF_TUN);

		iface_up_bare(t.name);
		under(&f, ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		fail_cannot(&f);
		expect(!iface_exists("gone0"));
		tun_close(&t);
	}
}

TEST_WITHIN(300, one_of_many_queues_can_always_detach)
{
	struct failing f = failing("MYTUN_IOC_DETACH, one of three queues with rings");
	int flags = IFF_TUN | IFF_MULTI_QUEUE;
	struct tun first = tun_open("mq0", flags), last;

	iface_up_bare(first.name);
	last = tun_open("mq0", flags);
	while (fail_next(&f)) {
		struct tun t = tun_open("mq0", flags);
		struct ring r = ring_small(t.fd);

		under(&f, ioctl(t.fd, MYTUN_IOC_DETACH, 0));
		fail_cannot(&f);
		expect_eq(queues_of("mq0"), 2);
		ring_unmap(&r);
		tun_close(&t);
	}
	must(ioctl(last.fd, MYTUN_IOC_DETACH, 0));
	carry_plain(&first);
}

TEST_WITHIN(300, a_file_can_always_be_closed)
{
	struct failing f = failing("close");
	long users = module_users();

	while (fail_next(&f)) {
		struct tun t = tun_open("gone0", IFF_TAP | IFF_MULTI_QUEUE | IFF_NAPI);

		under(&f, close(t.fd));
		fail_cannot(&f);
		expect(!iface_exists("gone0"));
		expect_eq(module_users(), users);
	}
}

TEST_WITHIN(300, a_queue_goes_out_of_service_and_comes_back_or_does_not)
{
	struct failing detach = failing("TUNSETQUEUE, IFF_DETACH_QUEUE");
	struct failing attach = failing("TUNSETQUEUE, IFF_ATTACH_QUEUE");
	struct tun first = tun_open("mq0", IFF_TUN | IFF_MULTI_QUEUE);
	struct tun t = tun_open("mq0", IFF_TUN | IFF_MULTI_QUEUE);
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct ifreq on = { .ifr_flags = IFF_ATTACH_QUEUE };

	iface_up_bare(first.name);
	while (fail_next(&detach)) {
		under(&detach, ioctl(t.fd, TUNSETQUEUE, &off));
		if (fail_done(&detach, EFAULT))
			must(ioctl(t.fd, TUNSETQUEUE, &on));
		expect_eq(queues_of("mq0"), 2);
	}
	must(ioctl(t.fd, TUNSETQUEUE, &off));
	while (fail_next(&attach)) {
		under(&attach, ioctl(t.fd, TUNSETQUEUE, &on));
		if (fail_done(&attach, ENOMEM, EFAULT)) {
			expect_eq(queues_of("mq0"), 2);
			must(ioctl(t.fd, TUNSETQUEUE, &off));
		}
		expect_eq(queues_of("mq0"), 1);
		carry_plain(&first);
	}
	must(ioctl(t.fd, TUNSETQUEUE, &on));
	must(ioctl(first.fd, TUNSETQUEUE, &off));
	carry_plain(&t);
}
