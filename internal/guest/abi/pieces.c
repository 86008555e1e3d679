// SPDX-License-Identifier: MIT
/* A datagram that its sender made of several pieces, which are still apart when it is sent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "ring.h"
#include "segment.h"
#include "slow.h"

#define PAYLOAD 6000

static uint8_t payload[PAYLOAD];

/* The pieces are of the MTU that @name has when they are made, and leave by a greater one. */
static void send_in_pieces(int udp, const char *name)
{
	iface_set_mtu(name, 1500);
	fill(payload, sizeof(payload), 1);
	must(send(udp, payload, 1000, MSG_MORE));
	must(send(udp, payload + 1000, PAYLOAD - 1001, MSG_MORE));
	iface_set_mtu(name, 8000);
	udp_send(udp, payload + PAYLOAD - 1, 1);
}

static void expect_datagram(const uint8_t *packet, size_t len)
{
	expect_eq(len, UDP4 + PAYLOAD);
	expect(!memcmp(packet + UDP4, payload, PAYLOAD));
	expect(checksums_right(packet, len));
}

TEST(a_datagram_in_pieces_comes_whole_into_a_ring)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 16));
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;

	send_in_pieces(udp, t.name);
	rec = ring_rx_wait(&r);
	expect_datagram(rec_packet(rec), rec->len);
	ring_rx_done(&r);
	expect(!ring_rx(&r));
}

TEST(a_datagram_in_pieces_comes_whole_to_read)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	static struct records recs;
	static uint8_t bytes[10000];
	ssize_t n;

	send_in_pieces(udp, t.name);
	n = must(read(t.fd, bytes, sizeof(bytes)));
	expect_datagram(bytes, n);
	records_on(t.fd);
	send_in_pieces(udp, t.name);
	expect_eq(records_read(&recs, t.fd), 1);
	expect_datagram(rec_packet(recs.rec[0]), recs.rec[0]->len);
}

/* A tunnel puts headers before them whose checksum, of all the pieces, is left to us. */
TEST(a_checksum_over_pieces_is_finished)
{
	struct sockaddr_in here = { .sin_family = AF_INET }, there = here;
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 16));
	const size_t before = UDP4 + 8 /* VXLAN */ + ETH;
	struct mytun_rec *rec;
	uint8_t *packet;
	int udp;

	if (!runs("ip link add far type vxlan id 7 local " HERE4 " remote " THERE4
		  " dstport 4789 udpcsum dev tun0"))
		skip("this kernel has no vxlan");
	iface_set_mtu(t.name, 9000);
	iface_up_bare("far");
	iface_addr("far", AF_INET, "10.5.0.1", 24);
	run("ip neigh add 10.5.0.2 lladdr 02:00:00:00:00:02 dev far");
	ring_rx_drain(&r);
	udp = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	inet_pton(AF_INET, "10.5.0.1", &here.sin_addr);
	inet_pton(AF_INET, "10.5.0.2", &there.sin_addr);
	there.sin_port = htons(PORT_THERE);
	must(bind(udp, (struct sockaddr *)&here, sizeof(here)));
	must(connect(udp, (struct sockaddr *)&there, sizeof(there)));

	send_in_pieces(udp, "far");
	rec = ring_rx_wait(&r);
	packet = rec_packet(rec);
	expect(checksums_right(packet, rec->len));
	expect(((struct udphdr *)(packet + 20))->check);
	expect_datagram(packet + before, rec->len - before);
	ring_rx_done(&r);
}
