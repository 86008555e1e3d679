/* SPDX-License-Identifier: MIT */
/* Users, and what they may. */
#ifndef WHO_H
#define WHO_H

#include <sys/types.h>

enum {
	USER = 1000,
	OTHER = 1001,
	GROUP = 2000
};

struct who {
	uid_t uid;
	gid_t gid;
	gid_t extra; /* a further group, unless 0 */
	int flags; /* of the attempt */
	int err; /* 0: it works */
	const char *name;
};

/* This process is that user from here on, without capabilities. */
void become(const struct who *w);
/* Another process becomes that user and attaches to an interface; fails unless @err comes of it. */
void attach(uid_t uid, gid_t gid, gid_t extra, const char *name, int err);
/* A persistent interface that nobody has open; -1: nobody's. */
void prepared(const char *name, long owner, long group);
/*
 * A packet socket whose filter keeps as many bytes of each packet as the number of the
 * user whose socket sent it.
 */
int uid_capture(const char *ifname);

#endif /* WHO_H */
