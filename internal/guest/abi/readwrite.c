// SPDX-License-Identifier: MIT
/* read(2) and write(2) of a queue that has rings. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

TEST(read_and_write_are_busy)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct packet p;
	struct iovec iov = { p.bytes, sizeof(p.bytes) };

	packet_inbound(&p, &t, AF_INET, "x", 1);
	udp_send(udp, "y", 1);
	ring_rx_wait(&r);
	expect_errno(read(t.fd, p.bytes, sizeof(p.bytes)), EBUSY);
	expect_errno(readv(t.fd, &iov, 1), EBUSY);
	expect_errno(write(t.fd, p.bytes, p.len), EBUSY);
	iov.iov_len = p.len;
	expect_errno(writev(t.fd, &iov, 1), EBUSY);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	expect_errno(read(t.fd, p.bytes, sizeof(p.bytes)), EBUSY);
	expect_errno(write(t.fd, p.bytes, p.len), EBUSY);
	udp_expect_none(udp);
}

TEST(read_and_write_of_a_detached_queue_are_ebadfd)
{
	struct tun t = tun_open_up(IFF_TUN);
	char buf[100] = { 0x45 };

	ring_small(t.fd);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	expect_errno(read(t.fd, buf, sizeof(buf)), EBADFD);
	expect_errno(write(t.fd, buf, sizeof(buf)), EBADFD);
}

static void set_rings(void *arg)
{
	struct mytun_rings args = ring_args(1 << 16);

	wait_asleep(getppid());
	must(ioctl(*(int *)arg, MYTUN_IOC_RINGS, &args));
}

TEST(a_parked_reader_is_woken_when_rings_are_set_up)
{
	struct tun t = tun_open_up(IFF_TUN);
	pid_t child = spawn(set_rings, &t.fd);
	char buf[100];

	expect_errno(read(t.fd, buf, sizeof(buf)), EBUSY);
	spawn_wait(child);
}

TEST(packets_that_waited_to_be_read_do_not_come_up_in_the_ring)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct ring r;

	udp_send(udp, "old", 3);
	r = ring_small(t.fd);
	udp_send(udp, "new!", 4);
	expect_eq(ring_rx_wait(&r)->len, UDP4 + 4);
	ring_rx_done(&r);
	expect(!ring_rx(&r));
}

TEST(queues_with_and_without_rings_share_an_interface)
{
	struct tun a = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_small(a.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	packet_inbound(&p, &b, AF_INET, "plain", 5);
	expect_eq(must(write(b.fd, p.bytes, p.len)), p.len);
	udp_expect(udp, "plain", 5);
	/* The flow comes back where it was sent. */
	udp_send(udp, "answer", 6);
	expect_eq(must(read(b.fd, p.bytes, sizeof(p.bytes))), UDP4 + 6);

	packet_inbound(&p, &a, AF_INET, "ring", 4);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "ring", 4);
	udp_send(udp, "answer", 6);
	expect_eq(ring_rx_wait(&r)->len, UDP4 + 6);
}

TEST(the_ioctls_of_if_tun_h_work_beside_rings)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ifreq ifr;
	int value;

	ring_small(t.fd);
	must(ioctl(t.fd, TUNGETIFF, &ifr));
	expect_eq(ifr.ifr_flags & (IFF_TUN | IFF_NO_PI), IFF_TUN | IFF_NO_PI);
	must(ioctl(t.fd, TUNGETSNDBUF, &value));
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	must(ioctl(t.fd, TUNSETPERSIST, 0));
	must(ioctl(t.fd, TUNSETOWNER, 1000));
	must(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM));
}
