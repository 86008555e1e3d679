/* SPDX-License-Identifier: MIT */
/* Buffers of records, for read(2) and write(2) with MYTUN_MODE_F_RECORDS. */
#ifndef RECORDS_H
#define RECORDS_H

#include <mytun.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

struct records {
	struct mytun_rec *rec[1 << 13];
	size_t n;
	size_t len; /* bytes */
	uint8_t bytes[1 << 18] __attribute__((aligned(16)));
};

void records_on(int fd);

/* One read(2); how many there were, after a look at what must hold of each. */
size_t records_read(struct records *r, int fd);
/* The same for what is there already, @len bytes. */
size_t records_parse(struct records *r, size_t len);
/* How many begin in the first @len bytes, which are whole records. */
size_t records_in(const uint8_t *bytes, size_t len);

void records_clear(struct records *r);
/* Appends a record with that packet. */
struct mytun_rec *records_add(struct records *r, const struct packet *p);

/* Leaves in an IPv4 UDP packet the sum that the one who finishes it begins with. */
void records_pseudo_sum(uint8_t *packet);

/* A UDP socket whose packets leave @name with VLAN tag 7; -1: there are no VLANs. */
int vlan_socket(const char *name);

#endif /* RECORDS_H */
