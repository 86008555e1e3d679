// SPDX-License-Identifier: MIT
/* The hardware address, asked for and set by the file. */
#define _GNU_SOURCE
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "both.h"
#include "check.h"
#include "iface.h"
#include "tun.h"

static void say_address(int fd)
{
	struct ifreq ifr;
	const uint8_t *mac = (const uint8_t *)ifr.ifr_hwaddr.sa_data;

	memset(&ifr, 0xa5, sizeof(ifr));
	if (ioctl(fd, SIOCGIFHWADDR, &ifr)) {
		say("SIOCGIFHWADDR: %s", strerrorname(errno));
		return;
	}
	say("%d %02x:%02x:%02x:%02x:%02x:%02x %02x %02x", ifr.ifr_hwaddr.sa_family, mac[0],
	    mac[1], mac[2], mac[3], mac[4], mac[5], mac[6], mac[13]);
}

static void set_and_say(int fd, int family, const char *mac)
{
	struct ifreq ifr = {};

	ifr.ifr_hwaddr.sa_family = family;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	say_call(ioctl(fd, SIOCSIFHWADDR, &ifr));
	say_address(fd);
}

static void addresses(void)
{
	struct tun tun = tun_open("", IFF_TUN), tap = tun_open("", IFF_TAP);

	say_address(tun.fd);
	set_and_say(tun.fd, ARPHRD_NONE, "\2\0\0\0\0\1");
	set_and_say(tap.fd, ARPHRD_ETHER, "\2\0\0\0\0\1");
	set_and_say(tap.fd, ARPHRD_ETHER, "\1\0\0\0\0\1"); /* of a group */
	set_and_say(tap.fd, ARPHRD_ETHER, "\0\0\0\0\0\0");
	set_and_say(tap.fd, ARPHRD_NONE, "\2\0\0\0\0\2");
	iface_up_bare(tap.name);
	set_and_say(tap.fd, ARPHRD_ETHER, "\2\0\0\0\0\3");
	iface_del(tap.name);
	set_and_say(tap.fd, ARPHRD_ETHER, "\2\0\0\0\0\4");
}

TEST(both_drivers_know_the_same_addresses)
{
	both(addresses);
}

TEST(an_address_that_is_set_is_the_interfaces)
{
	struct tun t = tun_open("", IFF_TAP);
	struct ifreq ifr = {};
	uint8_t mac[6];

	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, "\2\0\0\0\0\5", 6);
	must(ioctl(t.fd, SIOCSIFHWADDR, &ifr));
	iface_mac(t.name, mac);
	expect(!memcmp(mac, "\2\0\0\0\0\5", 6));
	memset(&ifr, 0, sizeof(ifr));
	must(ioctl(t.fd, SIOCGIFHWADDR, &ifr));
	expect(!memcmp(ifr.ifr_hwaddr.sa_data, mac, 6));
	expect_eq(ifr.ifr_hwaddr.sa_family, ARPHRD_ETHER);
}
