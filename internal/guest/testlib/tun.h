/* SPDX-License-Identifier: MIT */
/* The file and the ioctls of <linux/if_tun.h>. */
#ifndef TUN_H
#define TUN_H

#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>

/* The device node; "-d /dev/net/tun" tries the plain tests on the built-in driver. */
extern const char *tun_path;

/* An open file of an interface, attached unless the name is empty. */
struct tun {
	int fd;
	char name[IFNAMSIZ];
	bool tap;
};

int tun_open_file(void);
/* TUNSETIFF as it is; the name that came back is in @ifr. */
int tun_set_iff(int fd, const char *name, int flags, struct ifreq *ifr);
/* A new interface, or another queue of the one of that name. IFF_NO_PI is added. */
struct tun tun_open(const char *name, int flags);
/* The same, up and with addresses. */
struct tun tun_open_up(int flags);
void tun_close(struct tun *t);

#endif /* TUN_H */
