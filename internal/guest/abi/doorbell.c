// SPDX-License-Identifier: MIT
/* MYTUN_IOC_DOORBELL: what it refuses. */
#define _GNU_SOURCE
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

TEST(needs_rings)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(ioctl(t.fd, MYTUN_IOC_DOORBELL, 0), EINVAL);
	expect(ioctl(tun_open_file(), MYTUN_IOC_DOORBELL, 0) == -1);
}

TEST(takes_no_argument_but_a_ring)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);

	must(ioctl(t.fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX));
	expect_errno(ioctl(t.fd, MYTUN_IOC_DOORBELL, 2), EINVAL);
	expect_errno(ioctl(t.fd, MYTUN_IOC_DOORBELL, 1L << 32), EINVAL);
	expect_errno(ioctl(t.fd, MYTUN_IOC_DOORBELL, -1L), EINVAL);
	must(ring_doorbell(&r));
}

TEST(without_records_it_does_no_harm)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);

	for (int i = 0; i < 100; i++)
		must(ring_doorbell(&r));
	expect_eq(iface_ethtool(t.name, "tx_q0_doorbells"), 100);
	expect_eq(r.tx_cons->pos, 0);
}

TEST(needs_no_mapping)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "x", 1);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_publish(&r);
	ring_unmap(&r);
	must(ring_doorbell(&r));
	udp_expect(udp, "x", 1);
}

/* TUNSETQUEUE takes a queue out of service and back. */
static void set_queue(int fd, int flag)
{
	struct ifreq ifr = { .ifr_flags = flag };

	must(ioctl(fd, TUNSETQUEUE, &ifr));
}

TEST(records_of_a_disabled_queue_go_up_when_it_is_enabled)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun other = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "kept", 4);
	set_queue(t.fd, IFF_DETACH_QUEUE);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_publish(&r);
	/* The program has done what the event field asks of it, and rings no more. */
	expect(mytun_need_event(load_acquire(&r.tx_cons->event), r.tx, 0));
	ring_doorbell(&r);
	udp_expect_none(udp);
	set_queue(t.fd, IFF_ATTACH_QUEUE);
	udp_expect(udp, "kept", 4);
	tun_close(&other);
}

TEST(a_queue_can_get_its_rings_while_disabled)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun other = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	int udp = udp_here(AF_INET);
	struct packet p;
	struct ring r;

	set_queue(t.fd, IFF_DETACH_QUEUE);
	r = ring_small(t.fd);
	set_queue(t.fd, IFF_ATTACH_QUEUE);
	packet_inbound(&p, &t, AF_INET, "on", 2);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "on", 2);

	set_queue(t.fd, IFF_DETACH_QUEUE);
	set_queue(t.fd, IFF_ATTACH_QUEUE);
	set_queue(t.fd, IFF_DETACH_QUEUE);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	tun_close(&other);
}
