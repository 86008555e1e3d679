/* SPDX-License-Identifier: MIT */
/* Requests to rtnetlink, their sending apart from all else, so that only that fails. */
#ifndef RTNL_H
#define RTNL_H

#include <linux/rtnetlink.h>
#include <stddef.h>

struct rtnl_link {
	struct nlmsghdr n;
	struct ifinfomsg link;
	char attrs[128];
};

int rtnl_open(void);
/* About interface @name, or none if that is NULL. */
struct rtnl_link rtnl_link(int type, const char *name);
void rtnl_put(struct rtnl_link *r, int type, const void *data, size_t len);
/* 0, or -1 and errno: the kernel may not have got it. */
int rtnl_send(int fd, const struct rtnl_link *r);
/* The errno that the kernel answered; EAGAIN if there was no memory for an answer. */
int rtnl_answer(int fd);

#endif /* RTNL_H */
