// SPDX-License-Identifier: MIT
/* read(2): a packet that could not be given to the program stays or is counted. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <mytun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "iface.h"
#include "nth.h"
#include "records.h"
#include "slow.h"

struct reading {
	const char *what;
	int flags;
	bool records;
	bool vlan; /* by an interface with a tag, which is still beside the packet */
};

static const struct reading ways[] = {
	{ "read, TUN", IFF_TUN | IFF_NO_PI, false, false },
	{ "readv, struct tun_pi, a virtio header", IFF_TUN | IFF_VNET_HDR, false, false },
	{ "read, records", IFF_TUN | IFF_NO_PI, true, false },
};

static const struct reading tagged_ways[] = {
	{ "readv, TAP, a VLAN tag", IFF_TAP | IFF_NO_PI, false, true },
	{ "read, records, a VLAN tag", IFF_TAP | IFF_NO_PI, true, true },
};

#define PACKETS 3

static ssize_t read_in_pieces(int fd, uint8_t *bytes, size_t len, bool records)
{
	struct iovec iov[] = { { bytes, 3 }, { bytes + 3, 20 }, { bytes + 23, len - 23 } };

	return records ? read(fd, bytes, len) : readv(fd, iov, 3);
}

static int sender(const struct tun *t, bool vlan)
{
	int fd;

	if (!vlan)
		return udp_here(AF_INET);
	fd = vlan_socket(t->name);
	if (fd < 0)
		fail("this kernel has no VLANs");
	return fd;
}

static void read_and_count(const struct reading *w)
{
	static uint8_t wanted[4096], bytes[4096] __attribute__((aligned(16)));
	struct tun t = { .fd = tun_open_file(), .tap = w->flags & IFF_TAP };
	struct failing f = failing(w->what);
	struct rtnl_link_stats64 before, after;
	unsigned int lost = 0;
	ssize_t len, total;
	struct ifreq ifr;
	int udp;

	must(tun_set_iff(t.fd, "r0", w->flags, &ifr));
	memcpy(t.name, ifr.ifr_name, IFNAMSIZ);
	if (w->records)
		records_on(t.fd);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	iface_up(t.name);
	udp = sender(&t, w->vlan);

	/* What nothing that fails looks like; all packets are alike, but for the IP ID. */
	udp_send(udp, "alike", 5);
	len = must(read_in_pieces(t.fd, wanted, sizeof(wanted), w->records));

	while (fail_next(&f)) {
		unsigned int got = 0, refused = 0;

		before = iface_stats(t.name);
		for (int i = 0; i < PACKETS; i++)
			udp_send(udp, "alike", 5);
		fail_arm(&f);
		total = read_in_pieces(t.fd, bytes, sizeof(bytes), w->records);
		f.ret = total;
		f.err = errno;
		fail_disarm(&f);
		if (fail_done(&f, EFAULT))
			got = w->records ? records_in(bytes, total) : 1;
		else
			refused = 1;
		expect(!got || total == len * got);
		while ((total = read_in_pieces(t.fd, bytes, sizeof(bytes), w->records)) > 0)
			got += w->records ? records_in(bytes, total) : 1;
		expect_eq(errno, EAGAIN);
		after = iface_stats(t.name);
		expect_eq(after.tx_packets - before.tx_packets, got);
		expect_eq(after.tx_dropped - before.tx_dropped, PACKETS - got);
		/* Of the pieces' addresses, too, before there is a packet. */
		expect(got == PACKETS || (got == PACKETS - 1 && refused && !w->records));
		lost += PACKETS - got;
	}
	expect(w->records || lost > 0);
	close(udp);
	if (w->vlan)
		run("ip link del vlan7");
	tun_close(&t);
}

TEST_WITHIN(300, read_packets_arrive_or_are_counted)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		read_and_count(&ways[i]);
}

TEST_WITHIN(300, tagged_packets_arrive_or_are_counted)
{
	for (size_t i = 0; i < ARRAY_SIZE(tagged_ways); i++)
		read_and_count(&tagged_ways[i]);
}
