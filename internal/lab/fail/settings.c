// SPDX-License-Identifier: MIT
/*
 * What can be set, by an ioctl of the file or by the administrator, and be asked for: after a
 * failure all is as it was, else it is as it was wanted; and so in both directions.
 */
#define _GNU_SOURCE
#include <linux/ethtool.h>
#include <net/if_arp.h>
#include <linux/sockios.h>
#include <mytun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf.h"
#include "carry.h"
#include "check.h"
#include "iface.h"
#include "nth.h"
#include "state.h"

/**
 * struct setting - something with two values
 * @what: its name
 * @set:  gives it one of them
 * @errnos: what may come of it for want of memory
 * @down: only of an interface that is down
 * @late: the core copies something back when it is done: EFAULT may be of that
 */
struct setting {
	const char *what;
	int (*set)(const struct tun *t, bool second);
	int errnos[5];
	bool down;
	bool late;
};

static int set_owner(const struct tun *t, bool second)
{
	return ioctl(t->fd, TUNSETOWNER, second ? 1000 : 0);
}

static int set_group(const struct tun *t, bool second)
{
	return ioctl(t->fd, TUNSETGROUP, second ? 1000 : 0);
}

static int set_persist(const struct tun *t, bool second)
{
	return ioctl(t->fd, TUNSETPERSIST, second);
}

static int set_link(const struct tun *t, bool second)
{
	return ioctl(t->fd, TUNSETLINK, second ? ARPHRD_IEEE802 : ARPHRD_ETHER);
}

static int set_offload(const struct tun *t, bool second)
{
	return ioctl(t->fd, TUNSETOFFLOAD, second ? TUN_F_CSUM | TUN_F_TSO4 : 0);
}

static int set_hwaddr(const struct tun *t, bool second)
{
	struct ifreq ifr = { .ifr_hwaddr = { ARPHRD_ETHER, { 2, 0, 0, 0, 0, second } } };

	return ioctl(t->fd, SIOCSIFHWADDR, &ifr);
}

static int set_filter(const struct tun *t, bool second)
{
	static struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, ~0U) };
	static struct sock_fprog first = { 1, all };

	return ioctl(t->fd, TUNATTACHFILTER, second ? &cbpf_first_byte : &first);
}

static int set_mode(const struct tun *t, bool second)
{
	struct mytun_mode mode = {
		.flags = second ? MYTUN_MODE_F_BACKPRESSURE | MYTUN_MODE_F_RECORDS : 0,
		.inject = second ? MYTUN_INJECT_DIRECT : MYTUN_INJECT_SOFTIRQ,
	};

	return ioctl(t->fd, MYTUN_IOC_SET_MODE, &mode);
}

static int set_thread(const struct tun *t, bool second)
{
	struct mytun_mode mode = {
		.flags = second ? MYTUN_MODE_F_BACKPRESSURE : 0,
		.inject = second ? MYTUN_INJECT_THREAD : MYTUN_INJECT_SOFTIRQ,
	};

	return ioctl(t->fd, MYTUN_IOC_SET_MODE, &mode);
}

/* By a socket that is open already. */
static int by_ifreq(const struct tun *t, unsigned long cmd, struct ifreq *ifr)
{
	static int sk = -1;

	if (sk < 0)
		sk = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	memcpy(ifr->ifr_name, t->name, IFNAMSIZ);
	return ioctl(sk, cmd, ifr);
}

static int by_ethtool(const struct tun *t, void *arg)
{
	struct ifreq ifr = { .ifr_data = arg };

	return by_ifreq(t, SIOCETHTOOL, &ifr);
}

static int set_mtu(const struct tun *t, bool second)
{
	struct ifreq ifr = { .ifr_mtu = second ? 9000 : 1500 };

	return by_ifreq(t, SIOCSIFMTU, &ifr);
}

static int set_txqueuelen(const struct tun *t, bool second)
{
	struct ifreq ifr = { .ifr_qlen = second ? 100 : 500 };

	return by_ifreq(t, SIOCSIFTXQLEN, &ifr);
}

static int set_coalesce(const struct tun *t, bool second)
{
	struct ethtool_coalesce co = { .cmd = ETHTOOL_SCOALESCE,
				       .rx_max_coalesced_frames = second ? 7 : 0,
				       .rx_coalesce_usecs = second ? 70 : 20 };

	return by_ethtool(t, &co);
}

static int set_speed(const struct tun *t, bool second)
{
	struct ethtool_cmd link = { .cmd = ETHTOOL_SSET };

	ethtool_cmd_speed_set(&link, second ? 1000 : 10000);
	return by_ethtool(t, &link);
}

static int set_feature(const struct tun *t, bool second)
{
	struct ethtool_value v = { .cmd = ETHTOOL_SSG, .data = second };

	return by_ethtool(t, &v);
}

/*
 * EFAULT where something is copied from the program; a setting that only tells others of it
 * always succeeds.
 */
static const struct setting settings[] = {
	{ .what = "TUNSETOWNER", .set = set_owner },
	{ .what = "TUNSETGROUP", .set = set_group },
	{ .what = "TUNSETPERSIST", .set = set_persist },
	{ .what = "TUNSETLINK", .set = set_link, .errnos = { ENOMEM }, .down = true },
	{ .what = "TUNSETOFFLOAD", .set = set_offload },
	{ .what = "SIOCSIFHWADDR", .set = set_hwaddr, .errnos = { EFAULT, ENOMEM } },
	{ .what = "MYTUN_IOC_SET_MODE", .set = set_mode, .errnos = { EFAULT } },
	{ .what = "MYTUN_IOC_SET_MODE, a thread", .set = set_thread, .errnos = { EFAULT, ENOMEM } },
	{ .what = "SIOCSIFMTU", .set = set_mtu, .errnos = { EFAULT, ENOMEM } },
	{ .what = "SIOCSIFTXQLEN", .set = set_txqueuelen, .errnos = { EFAULT, ENOMEM } },
	{ .what = "ethtool -C", .set = set_coalesce, .errnos = { EFAULT, ENOMEM }, .late = true },
	{ .what = "ethtool -s", .set = set_speed, .errnos = { EFAULT, ENOMEM }, .late = true },
	{ .what = "ethtool -K", .set = set_feature, .errnos = { EFAULT, ENOMEM }, .late = true },
};

static void back_and_forth(const struct setting *s, const struct tun *t)
{
	struct state states[2], is;
	struct failing f;
	char what[100];

	if (s->down)
		iface_down(t->name);
	else
		iface_up_bare(t->name);
	for (int i = 0; i < 2; i++) {
		must(s->set(t, i));
		states[i] = state_of(t);
	}
	if (state_same(&states[0], &states[1]))
		fail("%s changes nothing", s->what);

	for (int to = 0; to < 2; to++) {
		snprintf(what, sizeof(what), "%s, %s", s->what, to ? "there" : "and back");
		f = failing(what);
		must(s->set(t, !to));
		while (fail_next(&f)) {
			bool done;

			under(&f, s->set(t, to));
			done = fail_done_of(__FILE__, __LINE__, &f, s->errnos);
			is = state_of(t);
			if (!done && s->late && f.err == EFAULT)
				done = state_same(&is, &states[to]);
			state_expect(&is, &states[done ? to : !to], what);
			must(s->set(t, !to));
			is = state_of(t);
			state_expect(&is, &states[!to], what);
		}
	}
	must(s->set(t, 0));
}

TEST_WITHIN(600, settings_are_made_or_not)
{
	struct tun t = tun_open("set0", IFF_TAP | IFF_NAPI);

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		back_and_forth(&settings[i], &t);
	carry_up(&t);
}

/* With rings some of them do more. */
TEST_WITHIN(300, settings_of_a_queue_with_rings_are_made_or_not)
{
	/* Of TUNSETOFFLOAD nothing shows, since with rings the stack may send all. */
	static const struct setting those = {
		.what = "MYTUN_IOC_SET_MODE, rings and a thread",
		.set = set_thread,
		.errnos = { EFAULT, ENOMEM },
	};
	struct tun t = tun_open("set0", IFF_TAP);
	struct ring r = ring_small(t.fd);

	iface_up_bare(t.name);
	back_and_forth(&those, &t);
	carry_ring(&t, &r);
}

/* The one who makes threads for all is who has no memory. */
TEST_WITHIN(300, a_thread_is_made_or_not)
{
	struct failing f = failing_of("MYTUN_IOC_SET_MODE, kthreadd", 2);
	struct tun t = tun_open("set0", IFF_TAP);
	struct ring r = ring_small(t.fd);
	struct state before, is;

	iface_up_bare(t.name);
	before = state_of(&t);
	while (fail_next(&f)) {
		under(&f, set_thread(&t, true));
		if (fail_done(&f, ENOMEM, EAGAIN))
			must(set_thread(&t, false));
		is = state_of(&t);
		state_expect(&is, &before, f.what);
		carry_ring(&t, &r);
	}
}

static void ask(const char *what, const struct tun *t, unsigned long cmd, void *arg)
{
	struct state before = state_of(t), after;
	struct failing f = failing(what);

	while (fail_next(&f)) {
		under(&f, ioctl(t->fd, cmd, arg));
		fail_done(&f, EFAULT);
	}
	after = state_of(t);
	state_expect(&after, &before, what);
}

TEST_WITHIN(60, questions_are_answered_or_not)
{
	struct tun t = tun_open("set0", IFF_TAP);
	struct sock_fprog prog;
	struct mytun_mode mode;
	struct mytun_info info;
	struct ifreq ifr;

	ask("TUNGETIFF", &t, TUNGETIFF, &ifr);
	ask("TUNGETFILTER", &t, TUNGETFILTER, &prog);
	ask("SIOCGIFHWADDR", &t, SIOCGIFHWADDR, &ifr);
	ask("MYTUN_IOC_GET_MODE", &t, MYTUN_IOC_GET_MODE, &mode);
	ask("MYTUN_IOC_INFO", &t, MYTUN_IOC_INFO, &info);
}

/* It takes no memory to read one word, so a bad pointer must do. */
TEST(words_that_cannot_be_read_or_written_change_nothing)
{
	static const unsigned long cmds[] = {
		TUNGETFEATURES,
		TUNGETIFF,
		TUNGETSNDBUF,
		TUNSETSNDBUF,
		TUNGETVNETHDRSZ,
		TUNSETVNETHDRSZ,
		TUNGETVNETLE,
		TUNSETVNETLE,
		TUNSETCARRIER,
		TUNSETTXFILTER,
		TUNATTACHFILTER,
		TUNGETFILTER,
		TUNSETSTEERINGEBPF,
		TUNSETFILTEREBPF,
		TUNSETQUEUE,
		SIOCGIFHWADDR,
		SIOCSIFHWADDR,
		MYTUN_IOC_RINGS,
		MYTUN_IOC_INFO,
		MYTUN_IOC_SET_MODE,
		MYTUN_IOC_GET_MODE,
		MYTUN_IOC_EVENTFDS,
	};
	struct tun t = tun_open("set0", IFF_TAP);
	struct state before, is;
	int file = tun_open_file();

	must(set_filter(&t, true));
	before = state_of(&t);
	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		if (!ioctl(t.fd, cmds[i], 8) || errno != EFAULT)
			fail("ioctl %#lx: %s", cmds[i], strerrorname(errno));
		is = state_of(&t);
		state_expect(&is, &before, "after a bad pointer");
	}
	expect_errno(ioctl(file, TUNSETIFF, 8), EFAULT);
	expect_errno(ioctl(file, TUNSETIFINDEX, 8), EFAULT);
	must(set_filter(&t, false));
	carry_up(&t);
}

/* Descriptors of network namespaces. */
TEST_WITHIN(60, a_network_namespace_is_opened_or_not)
{
	static const unsigned long cmds[] = { TUNGETDEVNETNS, SIOCGSKNS };
	struct tun t = tun_open("set0", IFF_TUN);

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		struct failing f = failing(i ? "SIOCGSKNS" : "TUNGETDEVNETNS");

		while (fail_next(&f)) {
			under(&f, ioctl(t.fd, cmds[i], 0));
			if (fail_done(&f, ENOMEM, ENFILE, EMFILE))
				close(f.ret);
		}
	}
	carry_up(&t);
}
