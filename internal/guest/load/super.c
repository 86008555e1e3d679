// SPDX-License-Identifier: MIT
/*
 * Super-packets: what a socket sends in one piece comes as packets, each with its checksums,
 * intact and in order; what of it found no room is counted packet by packet.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "account.h"
#include "check.h"
#include "clock.h"
#include "iface.h"
#include "packet.h"
#include "read.h"
#include "segment.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
	FLOWS = 16,
	PIECE = 16, /* the least bytes of payload of a packet */
	PIECES = 64, /* the most that a kernel sends as one */
	BYTES = 65507
};

static uint32_t take_datagram(struct readers *all, int queue, const void *frame, uint32_t len)
{
	uint32_t number;

	(void)queue;
	if (!checksums_right(frame, len))
		fail("wrong checksums in a packet of %u bytes", len);
	number = stamp_check_payload((const char *)frame + UDP4, len - UDP4);
	book_enter(all->book, number);
	return number;
}

/* Flow @flow: to a port of its own. */
static int flow_socket(int flow, int piece)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT_THERE + flow) };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	inet_pton(AF_INET, THERE4, &to.sin_addr);
	must(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	must(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &piece, sizeof(piece)));
	return fd;
}

struct super_sender {
	uint32_t packets;
	int fd[FLOWS];
	int piece;
};

/* Rounds of a super-packet for each flow; those of a flow are numbered flow, flow + FLOWS ... The
 * interface tells of each piece what became of it, and the socket nothing.
 */
static uint64_t send_supers(const struct super_sender *s)
{
	uint32_t most = BYTES / s->piece < PIECES ? BYTES / s->piece : PIECES;
	static uint8_t bytes[BYTES];
	uint64_t sent = 0;

	for (uint32_t round = 0; round < s->packets / FLOWS; round += most) {
		uint32_t pieces = s->packets / FLOWS - round;

		if (pieces > most)
			pieces = most;
		for (uint32_t flow = 0; flow < FLOWS; flow++) {
			for (uint32_t i = 0; i < pieces; i++)
				stamp_payload(bytes + i * s->piece, (round + i) * FLOWS + flow,
					      s->piece);
			if (send(s->fd[flow], bytes, pieces * s->piece, 0) < 0 && errno != ENOBUFS)
				fail("send: %s", strerrorname(errno));
			sent += pieces;
		}
	}
	return sent;
}

static void supers_are_cut(uint32_t packets, int piece, uint32_t ring_size, unsigned int slow)
{
	static struct ring rings[4];
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct book book = book_new(FLOWS, packets, false);
	struct readers readers = {
		.rings = rings,
		.queues = ARRAY_SIZE(rings),
		.sleep = slow,
		.nap = 10000,
		.take = take_datagram,
		.book = &book,
	};
	struct super_sender s = { .packets = packets, .piece = piece };
	struct rtnl_link_stats64 st;
	double begin;
	uint64_t sent;

	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		struct tun q = i ? tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE) : t;

		rings[i] = ring_new(q.fd, ring_args(ring_size));
	}
	for (int i = 0; i < FLOWS; i++)
		s.fd[i] = flow_socket(i, piece);
	begin = now();
	readers_begin(&readers);
	sent = send_supers(&s);
	readers_end(&readers);
	begin = now() - begin;

	st = iface_stats(t.name);
	printf("# super-packets of %d bytes a piece, rings of %u: %llu packets sent, "
	       "%llu received, "
	       "%llu dropped, in %.0f s\n",
	       piece, ring_size, (long long)sent, (long long)book_total(&book),
	       (long long)st.tx_dropped, begin);
	fflush(stdout);
	expect_eq(sent, packets);
	expect_eq(book_total(&book) + st.tx_dropped, sent);
	expect_eq(st.tx_packets, book_total(&book));
	expect_eq(account_published_rx(rings, ARRAY_SIZE(rings)), st.tx_dropped);
	account_agrees(t.name);
	expect((st.tx_dropped > 0) == (slow > 0));
}

TEST_WITHIN(600, super_packets_come_as_packets)
{
	supers_are_cut(load_packets(100 * FLOWS * PIECES), 1000, 1 << 26, 0);
}

TEST_WITHIN(600, super_packets_that_find_no_room_are_counted_by_the_packet)
{
	supers_are_cut(load_packets(20 * FLOWS * PIECES), 1400, 1 << 16, 20000);
}

/* For long, where pktgen is too slow. */
TEST_ALONE(6 * 3600, a_hundred_million_in_super_packets)
{
	netns_new();
	supers_are_cut(load_packets(100000000), PIECE, 1 << 26, 0);
}
