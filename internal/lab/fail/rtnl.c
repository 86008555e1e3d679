// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "rtnl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "iface.h"

int rtnl_open(void)
{
	return must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}

struct rtnl_link rtnl_link(int type, const char *name)
{
	struct rtnl_link r = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.link)),
				      .nlmsg_type = type,
				      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };

	if (name)
		r.link.ifi_index = iface_index(name);
	return r;
}

void rtnl_put(struct rtnl_link *r, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->n.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->n.nlmsg_len = NLMSG_ALIGN(r->n.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

int rtnl_send(int fd, const struct rtnl_link *r)
{
	return send(fd, r, r->n.nlmsg_len, 0) < 0 ? -1 : 0;
}

int rtnl_answer(int fd)
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
