/* SPDX-License-Identifier: MIT */
/* UDP packets between the test's host and one behind the interface. */
#ifndef PACKET_H
#define PACKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tun.h"

/* Ports of both sides. */
#define PORT_HERE  1111
#define PORT_THERE 2222

/* Headers before a UDP payload. */
#define UDP4 (20 + 8)
#define UDP6 (40 + 8)
#define ETH  14

struct packet {
	uint32_t len;
	uint8_t bytes[ETH + 8 + UDP6 + 65535];
};

/* A packet from the host behind the interface, as the program would send it. */
void packet_inbound(struct packet *p, const struct tun *t, int family, const void *payload,
		    size_t len);
/* Recomputes the checksums after a change of addresses, ports or payload. */
void packet_finish(struct packet *p, bool tap);

/* The sum of the Internet checksum, and what stands in a header at its end. */
uint32_t packet_sum(uint32_t acc, const void *data, size_t len);
uint16_t packet_fold(uint32_t acc);

/* A datagram socket on HERE, PORT_HERE; its sends go to THERE, PORT_THERE. */
int udp_here(int family);
void udp_send(int fd, const void *payload, size_t len);
/* Receives one datagram and fails unless it has this payload. */
void udp_expect(int fd, const void *payload, size_t len);
/* Fails if a datagram is there. */
void udp_expect_none(int fd);

/* Sends and captures bytes as they are, on an interface, beside IP. */
int raw_socket(const char *ifname);
void raw_send(int fd, uint16_t proto, const void *bytes, size_t len);
/* The next packet that the stack sent out of the interface; its length. */
size_t raw_capture(int fd, void *bytes, size_t len, uint16_t *proto);

/* Bytes that differ from one @seed to another. */
void fill(void *bytes, size_t len, unsigned int seed);

#endif /* PACKET_H */
