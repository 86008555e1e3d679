// SPDX-License-Identifier: MIT
/* What the administrator sees and does: ip -details link, txqueuelen, ethtool. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ethtool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "both.h"
#include "bpf.h"
#include "check.h"
#include "iface.h"
#include "ring.h"
#include "tun.h"

static void say_attribute(int type, const void *data, size_t len)
{
	uint32_t value = 0;

	expect(len <= sizeof(value));
	memcpy(&value, data, len);
	say("attribute %d: %zu bytes, %#x", type, len, value);
}

static void details(void)
{
	static const int flags[] = { IFF_TUN, IFF_TAP | IFF_VNET_HDR, IFF_TUN | IFF_MULTI_QUEUE };
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct tun t = tun_open("", flags[i]);

		iface_details(t.name, say_attribute);
		must(ioctl(t.fd, TUNSETOWNER, 1000));
		iface_details(t.name, say_attribute);
		must(ioctl(t.fd, TUNSETGROUP, 0));
		must(ioctl(t.fd, TUNSETPERSIST, 1));
		iface_details(t.name, say_attribute);
		if (flags[i] & IFF_MULTI_QUEUE) {
			tun_open(t.name, flags[i]);
			must(ioctl(t.fd, TUNSETQUEUE, &off));
			iface_details(t.name, say_attribute);
		}
		must(ioctl(t.fd, TUNSETPERSIST, 0));
	}
}

TEST(details_are_those_of_tun)
{
	both(details);
}

static int details_seen;

static void see_detail(int type, const void *data, size_t len)
{
	(void)data;
	if (type == IFLA_TUN_NUM_QUEUES) {
		expect_eq(len, 4);
		expect_eq(*(uint32_t *)data, 2);
	}
	details_seen++;
}

TEST(details_tell_the_number_of_queues)
{
	struct tun t = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);

	tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	iface_details(t.name, see_detail);
	/* Type, headers, persistence, multi-queue, and the queues. */
	expect_eq(details_seen, 7);
}

static void fill_and_say(const struct tun *t, int length)
{
	say_result("txqueuelen", iface_set_txqueuelen(t->name, length));
	for (int i = 0; i < 12; i++)
		frame_send(t, NULL, i);
	frames_say(t);
}

static void queue_lengths(void)
{
	struct tun t = tap_up(IFF_MULTI_QUEUE);
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };

	tun_open(t.name, IFF_TAP | IFF_MULTI_QUEUE);
	must(ioctl(t.fd, TUNSETQUEUE, &off));
	off.ifr_flags = IFF_ATTACH_QUEUE;
	must(ioctl(t.fd, TUNSETQUEUE, &off));
	/* All to this one, the second. */
	must(ebpf_set(&t, TUNSETSTEERINGEBPF, bpf_constant(1)));
	fill_and_say(&t, 3);
	fill_and_say(&t, 10);
	fill_and_say(&t, 1);
	say_result("txqueuelen", iface_set_txqueuelen(t.name, -1));
	for (int i = 0; i < 8; i++)
		frame_send(&t, NULL, i);
	frames_say(&t);
	/* What waits is kept, as far as there is room. The rest tun does not even count. */
	must(iface_set_txqueuelen(t.name, 8));
	for (int i = 0; i < 8; i++)
		frame_send(&t, NULL, i);
	must(iface_set_txqueuelen(t.name, 5));
	say("%u are kept", frames_count(&t));
}

TEST(txqueuelen_is_the_length_of_the_read_queues_as_on_tun)
{
	both(queue_lengths);
}

TEST(txqueuelen_resizes_the_read_queues)
{
	struct tun t = tap_up(0);

	must(iface_set_txqueuelen(t.name, 3));
	for (int i = 0; i < 12; i++)
		frame_send(&t, NULL, i);
	expect_eq(frames_count(&t), 3);
	/* More than there is memory for, where the core does not refuse it: tun says EPERM. */
	expect_eq(iface_set_txqueuelen(t.name, 1 << 30), -1);
	expect(errno == ENOMEM || errno == ERANGE);
	for (int i = 0; i < 12; i++)
		frame_send(&t, NULL, i);
	expect_eq(frames_count(&t), 3);
	/* The built-in tun carries nothing at all then. */
	must(iface_set_txqueuelen(t.name, 0));
	for (int i = 0; i < 12; i++)
		frame_send(&t, NULL, i);
	expect_eq(frames_count(&t), 1);
}

static void wait_for_room(void *arg)
{
	struct epoll_event e = { .events = EPOLLOUT };
	int epoll = must(epoll_create1(0));

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, *(int *)arg, &e));
	/* Not poll(2), which looks once more when the time is up. */
	expect_eq(must(epoll_wait(epoll, &e, 1, 10000)), 1);
	say("%#x", e.events);
}

static void up(void)
{
	struct tun t = tun_open("", IFF_TUN);
	pid_t pid = spawn(wait_for_room, &t.fd);

	wait_asleep(pid);
	iface_up_bare(t.name);
	spawn_wait(pid);
}

TEST(an_interface_that_comes_up_wakes_writers)
{
	both(up);
	up();
}

TEST(ethtool_shows_the_rings_of_the_first_queue)
{
	struct ethtool_ringparam p = { .cmd = ETHTOOL_GRINGPARAM };
	struct tun t = tun_open("", IFF_TUN);
	struct mytun_rings args = ring_args(1 << 16);

	must(iface_ethtool_cmd(t.name, &p));
	expect_eq(p.rx_pending, 0);
	expect_eq(p.tx_pending, 0);
	args.tx_size = 1 << 17;
	ring_new(t.fd, args);
	must(iface_ethtool_cmd(t.name, &p));
	expect_eq(p.rx_pending, 1 << 16);
	expect_eq(p.tx_pending, 1 << 17);
	expect_eq(p.rx_max_pending, MYTUN_RING_SIZE_MAX);
	expect_eq(p.tx_max_pending, MYTUN_RING_SIZE_MAX);
	p.cmd = ETHTOOL_SRINGPARAM;
	expect_errno(iface_ethtool_cmd(t.name, &p), EOPNOTSUPP);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	p.cmd = ETHTOOL_GRINGPARAM;
	must(iface_ethtool_cmd(t.name, &p));
	expect_eq(p.rx_pending, 0);
	iface_del(t.name);
}

TEST(ethtool_names_the_driver)
{
	static const int flags[] = { IFF_TUN, IFF_TAP };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct tun t = tun_open("", flags[i]);
		struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

		must(iface_ethtool_cmd(t.name, &info));
		expect(!strcmp(info.driver, "mytun"));
		expect(!strcmp(info.bus_info, i ? "tap" : "tun"));
		expect_eq(info.n_stats, 12);
	}
}

/* The core warns of a driver that has none to show; who may not attach can ask, too. */
TEST(ethtool_of_an_interface_that_nobody_is_attached_to_has_no_statistics)
{
	struct ethtool_gstrings names = { .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_STATS };
	struct ethtool_stats values = { .cmd = ETHTOOL_GSTATS };
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct tun t = tun_open("keep", IFF_TUN);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	tun_close(&t);
	expect_errno(iface_ethtool_cmd("keep", &names), EOPNOTSUPP);
	expect_errno(iface_ethtool_cmd("keep", &values), EOPNOTSUPP);
	must(iface_ethtool_cmd("keep", &info));
	expect_eq(info.n_stats, 0);
	expect_eq(iface_ethtool("keep", "rx_q0_packets"), -1);
	iface_del("keep");
}

TEST(ethtool_shows_the_queues)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };
	struct tun one = tun_open("", IFF_TUN), many = tun_open("", IFF_TUN | IFF_MULTI_QUEUE);

	must(iface_ethtool_cmd(one.name, &c));
	expect_eq(c.max_combined, 1);
	expect_eq(c.combined_count, 1);
	tun_open(many.name, IFF_TUN | IFF_MULTI_QUEUE);
	must(iface_ethtool_cmd(many.name, &c));
	expect_eq(c.max_combined, MYTUN_QUEUES_MAX);
	expect_eq(c.combined_count, 2);
	expect_eq(c.max_rx | c.max_tx | c.rx_count | c.tx_count, 0);
	c.cmd = ETHTOOL_SCHANNELS;
	c.combined_count = 1;
	expect_errno(iface_ethtool_cmd(many.name, &c), EOPNOTSUPP);
}

static void link_settings(void)
{
	struct ethtool_cmd c = { .cmd = ETHTOOL_GSET };
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct tun t = tun_open("", IFF_TUN);

	must(iface_ethtool_cmd(t.name, &c));
	say("duplex %d, port %d, phy %d, autoneg %d", c.duplex, c.port, c.phy_address, c.autoneg);
	c.cmd = ETHTOOL_SSET;
	ethtool_cmd_speed_set(&c, 2500);
	c.duplex = DUPLEX_HALF;
	say_result("ETHTOOL_SSET", iface_ethtool_cmd(t.name, &c));
	c = (struct ethtool_cmd){ .cmd = ETHTOOL_GSET };
	must(iface_ethtool_cmd(t.name, &c));
	say("speed %u, duplex %d", ethtool_cmd_speed(&c), c.duplex);
	must(iface_ethtool_cmd(t.name, &link));
	say("link %u", link.data);
	must(ioctl(t.fd, TUNSETCARRIER, &(int){ 0 }));
	must(iface_ethtool_cmd(t.name, &link));
	say("link %u", link.data);
}

TEST(link_settings_are_kept_as_on_tun)
{
	both(link_settings);
}
