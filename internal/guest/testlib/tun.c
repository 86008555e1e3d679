// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "tun.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"

const char *tun_path = "/dev/net/mytun";

int tun_open_file(void)
{
	return must(open(tun_path, O_RDWR | O_CLOEXEC));
}

int tun_set_iff(int fd, const char *name, int flags, struct ifreq *ifr)
{
	memset(ifr, 0, sizeof(*ifr));
	snprintf(ifr->ifr_name, IFNAMSIZ, "%s", name);
	ifr->ifr_flags = flags;
	return ioctl(fd, TUNSETIFF, ifr);
}

struct tun tun_open(const char *name, int flags)
{
	struct tun t = { .fd = tun_open_file(), .tap = flags & IFF_TAP };
	struct ifreq ifr;

	must(tun_set_iff(t.fd, name, flags | IFF_NO_PI, &ifr));
	memcpy(t.name, ifr.ifr_name, IFNAMSIZ);
	return t;
}

struct tun tun_open_up(int flags)
{
	struct tun t = tun_open("", flags);

	iface_up(t.name);
	return t;
}

void tun_close(struct tun *t)
{
	close(t->fd);
	t->fd = -1;
}
