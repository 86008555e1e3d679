// SPDX-License-Identifier: MIT
/*
 * Memory of a program's that comes late: a page of a file system of its own, or here of
 * userfaultfd, comes when somebody brings it. Only the call that reads or writes it waits, and
 * nobody who wants the lock (RTNL) under which all of the machine's interfaces are changed.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <mytun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "fetch.h"
#include "iface.h"
#include "ring.h"
#include "tun.h"

/* Takes the lock, before the page comes. */
static void change_another(void *arg)
{
	static int mtu = 1400;

	iface_set_mtu(arg, ++mtu);
}

/* The call, with an argument in such a page, which begins as @arg does. Return: as the call. */
static int ioctl_late(int fd, unsigned long cmd, const void *arg, size_t len)
{
	struct fetched f = {
		.packet = arg, .len = len, .change = change_another, .arg = "other0"
	};
	pthread_t thread = fetch_later(&f);
	int ret = ioctl(fd, cmd, f.page);

	pthread_join(thread, NULL); /* the page was wanted, and there was no lock in the way */
	munmap(f.page, 4096);
	close(f.uffd);
	return ret;
}

#define late(fd, cmd, arg) ioctl_late(fd, cmd, arg, sizeof(*(arg)))

TEST(what_an_ioctl_reads_keeps_nobody_waiting)
{
	struct tun other = tun_open("other0", IFF_TUN), t = tun_open("tap0", IFF_TAP);
	int fd = tun_open_file(), sndbuf = 100000, hdr_sz = 12, le = 1, none = -1, index = 77;
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, -1);
	struct sock_fprog fprog = { .len = 1, .filter = &all };
	struct tun_filter addrs = { .count = 0 };
	struct mytun_mode mode = {};
	struct ifreq ifr = {};
	int prog;

	must(late(t.fd, TUNSETSNDBUF, &sndbuf));
	must(late(t.fd, TUNSETVNETHDRSZ, &hdr_sz));
	must(late(t.fd, TUNSETVNETLE, &le));
	must(late(t.fd, TUNSETCARRIER, &le));
	must(late(t.fd, TUNSETTXFILTER, &addrs));
	must(late(t.fd, TUNATTACHFILTER, &fprog));
	prog = bpf_constant(-1);
	must(late(t.fd, TUNSETFILTEREBPF, &prog));
	must(late(t.fd, TUNSETSTEERINGEBPF, &none));
	must(late(t.fd, MYTUN_IOC_SET_MODE, &mode));
	iface_mac(t.name, (uint8_t *)ifr.ifr_hwaddr.sa_data);
	ifr.ifr_hwaddr.sa_family = 1;
	must(late(t.fd, SIOCSIFHWADDR, &ifr));
	expect_errno(late(t.fd, TUNSETVNETBE, &le), EINVAL);
	must(late(fd, TUNSETIFINDEX, &index));
	strcpy(ifr.ifr_name, "tap1");
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
	must(late(fd, TUNSETIFF, &ifr));
	tun_close(&other);
}

/* The program's instructions, too. */
TEST(what_a_filter_is_made_of_keeps_nobody_waiting)
{
	struct tun other = tun_open("other0", IFF_TUN), t = tun_open("tap0", IFF_TAP);
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, -1);
	struct fetched f = {
		.packet = &all, .len = sizeof(all), .change = change_another, .arg = "other0"
	};
	pthread_t thread = fetch_later(&f);
	struct sock_fprog fprog = { .len = 1, .filter = (void *)f.page };

	must(ioctl(t.fd, TUNATTACHFILTER, &fprog));
	pthread_join(thread, NULL);
	tun_close(&other);
}

TEST(what_an_ioctl_answers_keeps_nobody_waiting)
{
	static const unsigned long answers[] = {
		TUNGETFEATURES,
		TUNGETIFF,
		TUNGETSNDBUF,
		TUNGETVNETHDRSZ,
		TUNGETVNETLE,
		TUNGETFILTER,
		SIOCGIFHWADDR,
		MYTUN_IOC_GET_MODE,
		MYTUN_IOC_INFO,
	};
	struct tun other = tun_open("other0", IFF_TUN), t = tun_open("tap0", IFF_TAP);
	struct mytun_rings g = ring_args(1 << 16);
	uint8_t zeros[256] = {};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		must(late(t.fd, answers[i], &zeros));
	must(late(t.fd, MYTUN_IOC_RINGS, &g));
	tun_close(&other);
}
