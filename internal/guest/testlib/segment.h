/* SPDX-License-Identifier: MIT */
/* TCP, and packets that stand for several, from a host behind the interface. */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <linux/virtio_net.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"
#include "ring.h"

/* Newer than some headers that this is built with. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* Headers before a TCP payload. */
#define TCP4 (20 + 20)
#define TCP6 (40 + 20)

/* One end of a connection: the program's, of the host behind the interface. */
struct conn {
	int family;
	const char *from, *to;
	uint16_t sport, dport;
	uint32_t seq, ack;
};

/* From THERE, PORT_THERE to HERE, PORT_HERE. */
struct conn conn_here(int family);
/* The next segment of a TUN program, complete; @flags of struct tcphdr's th_flags. */
void segment(struct packet *p, struct conn *c, uint8_t flags, const void *payload, size_t len);
/* Does a packet without an Ethernet header have right checksums, and is it as long as it says? */
bool checksums_right(const void *packet, size_t len);

/* What the packet, of TCP or UDP, becomes in a record: one for several of @gso_size. */
struct mytun_rec *super_frame(struct ring *r, const struct packet *p, uint8_t gso_type,
			      uint16_t gso_size);

/* A listener on HERE, PORT_HERE; @c is opened to it. The accepted socket. */
int tcp_connect_here(struct conn *c, struct ring *r);

#endif /* SEGMENT_H */
