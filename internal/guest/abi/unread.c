// SPDX-License-Identifier: MIT
/* Packets that wait for read(2) and are never read: they count as dropped, whatever happens. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

enum {
	WAITING = 7
};

/* A persistent interface with packets that wait. */
static struct tun with_packets(void)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	int udp = udp_here(AF_INET);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < WAITING; i++)
		udp_send(udp, "unread", 6);
	close(udp);
	expect_eq(iface_stats(t.name).tx_dropped, 0);
	return t;
}

TEST(those_of_a_file_that_is_closed_are_dropped)
{
	struct tun t = with_packets();

	close(t.fd);
	expect_eq(iface_stats(t.name).tx_dropped, WAITING);
	expect_eq(iface_stats(t.name).tx_packets, 0);
	iface_del(t.name);
}

TEST(those_of_a_queue_that_goes_out_of_service_are_dropped)
{
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
	struct tun t = with_packets();

	must(ioctl(t.fd, TUNSETQUEUE, &ifr));
	expect_eq(iface_stats(t.name).tx_dropped, WAITING);
	iface_del(t.name);
}

TEST(those_of_a_queue_that_gets_rings_are_dropped)
{
	struct tun t = with_packets();
	struct ring r = ring_small(t.fd);

	expect(!ring_rx(&r));
	expect_eq(iface_stats(t.name).tx_dropped, WAITING);
	iface_del(t.name);
}

TEST(those_that_a_shorter_queue_has_no_place_for_are_dropped)
{
	struct tun t = with_packets();
	unsigned int n = 0;
	char buf[100];

	must(iface_set_txqueuelen(t.name, 3));
	while (read(t.fd, buf, sizeof(buf)) > 0)
		n++;
	expect_eq(errno, EAGAIN);
	expect(n < WAITING);
	expect_eq(iface_stats(t.name).tx_packets, n);
	expect_eq(iface_stats(t.name).tx_dropped, WAITING - n);
	iface_del(t.name);
}

TEST(one_that_cannot_be_given_to_its_reader_is_dropped)
{
	struct tun t = with_packets();
	char *volatile nowhere = (char *)8;

	expect_errno(read(t.fd, nowhere, 100), EFAULT);
	expect_eq(iface_stats(t.name).tx_dropped, 1);
	expect_eq(iface_stats(t.name).tx_packets, 0);
	iface_del(t.name);
}
