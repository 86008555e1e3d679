// SPDX-License-Identifier: MIT
/* Packets of the stack for the hostile queues, of all kinds that it sends. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin.h"
#include "check.h"
#include "foreign.h"
#include "iface.h"
#include "packet.h"
#include "queue.h"
#include "super.h"
#include "tally.h"

/* The honest queue of the shared interface gets what has a second byte of 0: this is not. */
static void for_hostile_queues(uint8_t *ip, struct rnd *r)
{
	if (ip[0] >> 4 == 4)
		ip[1] = 1 + below(r, 255);
	else
		ip[1] |= 0x10;
}

static void send_frame(int fd, int index, uint16_t proto, const void *bytes, size_t len)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(proto),
				  .sll_ifindex = index };

	if (sendto(fd, bytes, len, MSG_DONTWAIT, (struct sockaddr *)&ll, sizeof(ll)) > 0)
		tally_add(PACKETS_DOWN, 1);
}

static void send_small(int fd, int index, bool tap, struct rnd *r)
{
	static struct packet p;
	static uint8_t payload[1400];
	struct tun t = { .fd = -1 };
	uint8_t frame[1500];

	rnd_bytes(r, payload, 16);
	packet_inbound(&p, &t, AF_INET, payload, below(r, sizeof(payload)));
	for_hostile_queues(p.bytes, r);
	packet_finish(&p, false);
	if (!tap) {
		send_frame(fd, index, ETH_P_IP, p.bytes, 1 + below(r, p.len));
		return;
	}
	memcpy(frame, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x02\x08\0", ETH);
	memcpy(frame + ETH, p.bytes, p.len);
	send_frame(fd, index, ETH_P_IP, frame, ETH + below(r, p.len));
}

static void send_super(int fd, int index, bool tap, struct rnd *r)
{
	static struct super s;
	struct super_kind kind = { .tap = tap, .ipv6 = below(r, 2) };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = index };
	struct iovec iov[] = { { &s.vnet, sizeof(s.vnet) }, { s.bytes, 0 } };
	struct msghdr msg = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 2
	};

	if (kind.ipv6 && below(r, 4) == 0)
		kind.extensions = 1 + below(r, 10);
	kind.vlans = tap ? below(r, 3) : 0;
	super_random(&s, kind, 2 + below(r, 60));
	if (!tap)
		for_hostile_queues(s.bytes, r);
	iov[1].iov_len = s.len;
	to.sll_protocol = htons(s.proto);
	if (sendmsg(fd, &msg, MSG_DONTWAIT) > 0)
		tally_add(PACKETS_DOWN, 1);
}

/* What all interfaces but the loopback carry, in both directions. */
static void capture(int fd)
{
	static uint8_t bytes[1 << 17];
	struct sockaddr_ll ll;
	socklen_t len = sizeof(ll);
	ssize_t n;

	for (int i = 0; i < 60; i++) {
		n = recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&ll, &len);
		if (n <= 0)
			return;
		if (ll.sll_ifindex == 1)
			continue; /* where memory is filled from */
		tally_add(PACKETS_SEEN, 1);
		foreign_search("a packet", bytes, n);
	}
}

void send_and_capture(void *seed)
{
	struct rnd r = rnd_new(*(uint64_t *)seed, 200);
	int plain = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
	int offloading = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)), on = 1;
	int all = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));

	must(setsockopt(offloading, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)));
	srandom(rnd(&r));
	while (!stopped()) {
		bool tap = below(&r, 2);
		int index = iface_index(tap ? HOSTILE : SHARED);

		for (int i = 0; index && i < 40; i++)
			send_small(plain, index, tap, &r);
		if (index)
			send_super(offloading, index, tap, &r);
		capture(all);
		if (below(&r, 8) == 0)
			foreign_fill();
		sleep_ms(2);
	}
}
