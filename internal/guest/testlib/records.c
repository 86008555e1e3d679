// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "records.h"
#include "slow.h"

void records_on(int fd)
{
	struct mytun_mode mode = { .flags = MYTUN_MODE_F_RECORDS };

	must(ioctl(fd, MYTUN_IOC_SET_MODE, &mode));
}

/* What must hold of every record that the kernel writes. */
static void check_record(const struct mytun_rec *rec, size_t room)
{
	const uint8_t *end = (const uint8_t *)rec + rec->size;

	if (rec->size % MYTUN_REC_ALIGN || rec->size > room)
		fail("a record of %u bytes where %zu are left", rec->size, room);
	if (rec->off != sizeof(*rec) || rec->len < 1 || rec->size - rec->off < rec->len ||
	    rec->size - rec->off - rec->len >= MYTUN_REC_ALIGN)
		fail("a packet of %u bytes at %u in a record of %u", rec->len, rec->off,
		     rec->size);
	if (rec->flags || rec->reserved || rec->reserved2)
		fail("flags %x, reserved fields %x and %x", rec->flags, rec->reserved,
		     rec->reserved2);
	for (const uint8_t *p = (const uint8_t *)rec + rec->off + rec->len; p < end; p++)
		if (*p)
			fail("padding of %x", *p);
}

size_t records_parse(struct records *r, size_t len)
{
	r->len = len;
	for (r->n = 0; len; len -= r->rec[r->n++]->size) {
		if (len < sizeof(struct mytun_rec) || r->n == ARRAY_SIZE(r->rec))
			fail("%zu bytes behind %zu records", len, r->n);
		r->rec[r->n] = (struct mytun_rec *)(r->bytes + r->len - len);
		check_record(r->rec[r->n], len);
	}
	return r->n;
}

size_t records_read(struct records *r, int fd)
{
	memset(r->bytes, 0xee, sizeof(r->bytes));
	return records_parse(r, must(read(fd, r->bytes, sizeof(r->bytes))));
}

size_t records_in(const uint8_t *bytes, size_t len)
{
	size_t n = 0;

	for (size_t at = 0; at < len; n++)
		at += ((const struct mytun_rec *)(bytes + at))->size;
	return n;
}

void records_clear(struct records *r)
{
	r->n = 0;
	r->len = 0;
}

struct mytun_rec *records_add(struct records *r, const struct packet *p)
{
	struct mytun_rec *rec = (struct mytun_rec *)(r->bytes + r->len);
	uint32_t size = (sizeof(*rec) + p->len + MYTUN_REC_ALIGN - 1) & -MYTUN_REC_ALIGN;

	if (r->n == ARRAY_SIZE(r->rec) || size > sizeof(r->bytes) - r->len)
		fail("no room for a record of %u bytes", size);
	memset(rec, 0, sizeof(*rec));
	rec->size = size;
	rec->len = p->len;
	rec->off = sizeof(*rec);
	memcpy(rec + 1, p->bytes, p->len);
	r->rec[r->n++] = rec;
	r->len += size;
	return rec;
}

void records_pseudo_sum(uint8_t *packet)
{
	uint32_t sum = IPPROTO_UDP + (packet[24] << 8 | packet[25]);

	for (int i = 12; i < 20; i += 2)
		sum += packet[i] << 8 | packet[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	packet[26] = sum >> 8;
	packet[27] = sum;
}

int vlan_socket(const char *name)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT_THERE) };
	char command[400];
	int fd;

	snprintf(command, sizeof(command), "ip link add link %s name vlan7 type vlan id 7",
		 name);
	if (!runs(command))
		return -1;
	run("ip addr add 10.7.0.1/24 dev vlan7 && ip link set vlan7 up && "
	    "ip neigh add 10.7.0.2 lladdr 02:00:00:00:00:02 dev vlan7");
	inet_pton(AF_INET, "10.7.0.2", &to.sin_addr);
	fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	must(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	return fd;
}
