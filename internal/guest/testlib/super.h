/* SPDX-License-Identifier: MIT */
/*
 * TCP super-packets as the stack sends them: one frame that stands for many. Those of UDP
 * come from sockets, since old kernels' packet sockets do not know them.
 */
#ifndef SUPER_H
#define SUPER_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring.h"

/* What a super-packet is made of. */
struct super_kind {
	bool tap;
	bool ipv6;
	unsigned int extensions; /* IPv6 headers of 24 bytes before the transport header */
	unsigned int vlans;
};

struct super {
	struct virtio_net_hdr vnet;
	uint16_t proto;
	uint32_t len;
	uint32_t network; /* where the IP header is */
	uint32_t headers;
	uint32_t mss;
	uint8_t bytes[1 << 17];
};

/* One with random headers, options, flags and payload, of up to @segments packets. */
void super_random(struct super *s, struct super_kind kind, unsigned int segments);
/* One of @segments packets of @mss bytes but the last, which has @last. */
void super_new(struct super *s, struct super_kind kind, unsigned int mss, unsigned int segments,
	       unsigned int last);
/* What becomes of it when it is cut: packet number @i, complete, as RFC 9293 and the stack's own
 * segmentation have it; its length, 0 when there are no more.
 */
uint32_t super_cut(const struct super *s, unsigned int i, uint8_t *packet);
/* As a record that waits for ring_tx_publish(): the stack gets it from a program. */
void super_record(struct ring *r, const struct super *s);
/* A packet socket that sends super-packets on an interface. */
int super_socket(const char *ifname);
void super_send(int fd, const char *ifname, const struct super *s);

#endif /* SUPER_H */
