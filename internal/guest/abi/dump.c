// SPDX-License-Identifier: MIT
/* `ip -details link`: the list of all interfaces, which the kernel gives in pieces. */
#define _GNU_SOURCE
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "tun.h"

#define INTERFACES 8
/* The least that a piece has, and what an interface takes of it at most. */
#define PIECE	3700
#define MESSAGE 2500

struct detail {
	int type;
	size_t len;
	uint8_t data[8];
};

/* What is said of one of them. */
static struct details {
	unsigned int n;
	struct detail detail[16];
} told;

static void tell(int type, const void *data, size_t len)
{
	struct detail *d = &told.detail[told.n++];

	expect(told.n <= ARRAY_SIZE(told.detail) && len <= sizeof(d->data));
	memset(d, 0, sizeof(*d));
	d->type = type;
	d->len = len;
	memcpy(d->data, data, len);
}

static const struct rtattr *find(const struct rtattr *a, unsigned int len, int type)
{
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

/* Says all of an interface's kind that a message has. */
static void tell_message(const struct nlmsghdr *n)
{
	const struct rtattr *a = find(IFLA_RTA(NLMSG_DATA(n)), IFLA_PAYLOAD(n), IFLA_LINKINFO);
	unsigned int len;

	told.n = 0;
	a = a ? find(RTA_DATA(a), RTA_PAYLOAD(a), IFLA_INFO_DATA) : NULL;
	if (!a)
		return;
	len = RTA_PAYLOAD(a);
	for (a = RTA_DATA(a); RTA_OK(a, len); a = RTA_NEXT(a, len))
		tell((a->rta_type), RTA_DATA(a), RTA_PAYLOAD(a));
}

static void expect_all(const int *index, const struct details *wanted, const unsigned int *times)
{
	for (int i = 0; i < INTERFACES; i++)
		if (times[i] != 1)
			fail("interface %d of %zu details is shown %u times", index[i],
			     (size_t)wanted[i].n, times[i]);
}

/* One list, in pieces of that many bytes from the second one on. */
static void list(size_t piece, const int *index, const struct details *wanted)
{
	struct {
		struct nlmsghdr n;
		struct ifinfomsg link;
	} r = { .n = { .nlmsg_len = sizeof(r),
		       .nlmsg_type = RTM_GETLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	int fd = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	static char answer[16384] __attribute__((aligned(8)));
	unsigned int times[INTERFACES] = {};
	const struct nlmsghdr *n;
	bool done = false;

	expect(piece <= sizeof(answer));
	must(send(fd, &r, sizeof(r), 0));
	while (!done) {
		int left = must(recv(fd, answer, piece, MSG_TRUNC));

		expect((size_t)left <= piece);
		for (n = (struct nlmsghdr *)answer; NLMSG_OK(n, (unsigned int)left);
		     n = NLMSG_NEXT(n, left)) {
			done |= n->nlmsg_type == NLMSG_DONE || n->nlmsg_type == NLMSG_ERROR;
			if (n->nlmsg_type != RTM_NEWLINK)
				continue;
			for (int i = 0; i < INTERFACES; i++) {
				const struct ifinfomsg *link = NLMSG_DATA(n);

				if (link->ifi_index != index[i])
					continue;
				tell_message(n);
				expect(!memcmp(&told, &wanted[i], sizeof(told)));
				times[i]++;
			}
		}
	}
	close(fd);
	expect_all(index, wanted, times);
}

/* Wherever the room of a piece ends, within what we say, too: the interface is in the next. */
TEST_WITHIN(60, each_interface_is_listed_once_and_whole)
{
	static struct details wanted[INTERFACES];
	int index[INTERFACES];

	for (int i = 0; i < INTERFACES; i++) {
		struct tun t = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);

		must(ioctl(t.fd, TUNSETOWNER, 1000 + i));
		must(ioctl(t.fd, TUNSETGROUP, 2000 + i));
		index[i] = iface_index(t.name);
		memset(&told, 0, sizeof(told));
		iface_details(t.name, tell);
		expect(told.n == 9);
		wanted[i] = told;
	}
	for (size_t piece = PIECE; piece < PIECE + MESSAGE; piece += 4)
		list(piece, index, wanted);
}
