/* SPDX-License-Identifier: MIT */
/* Packets, and what virtio fields say of them, from a few numbers. */
#ifndef SHAPE_H
#define SHAPE_H

#include <mytun.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shape {
	UDP_4,
	UDP_6,
	TCP_4,
	TCP_6,
	ARP,
	FRAGMENT_4,
	HOP_BY_HOP_6,
	FRAGMENT_6,
	IP_IN_IP,
	TCP_4_CWR,
	ECHO_4,
	OPTIONS_4,
	GARBAGE,
	VLAN = 0x100, /* with a tag, on a TAP interface */
	CORRUPT = 0x200, /* with a checksum that is not right */
};

/* The longest that shape_packet() writes. */
#define PACKET_BYTES 70000

/* Bytes of the packet that it wrote. */
size_t shape_packet(uint8_t *bytes, uint64_t shape, size_t payload, bool tap);

/* Virtio fields as they should be of such a packet, ... */
enum vnet {
	VNET_NONE,
	VNET_CSUM,
	VNET_GSO,
	VNET_VALID,
};

/* ... and then changed: the arguments of the calls that have such, in their order. */
#define VNET_ARGS 7
void shape_vnet(struct mytun_rec *rec, const uint64_t *a, uint64_t shape, bool tap);

#endif /* SHAPE_H */
