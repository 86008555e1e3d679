// SPDX-License-Identifier: MIT
/* read(2) and write(2), of packets and of records. */
#define _GNU_SOURCE
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shape.h"
#include "world.h"

static __thread uint8_t buffer[PACKET_BYTES * 4];

/* In @pieces of no particular length; the last has the rest. */
static int split(struct iovec *iov, void *bytes, size_t len, uint64_t pieces)
{
	size_t each = 1 + len / 7;
	int n = 0;

	for (pieces %= 6; pieces && len > each; pieces--) {
		iov[n++] = (struct iovec){ bytes, each };
		bytes = (char *)bytes + each;
		len -= each;
	}
	iov[n++] = (struct iovec){ bytes, len };
	return n;
}

void call_read(const uint64_t *a)
{
	struct iovec iov[8];
	size_t len = a[1] < sizeof(buffer) ? a[1] : sizeof(buffer);

	readv(files[a[0] % FILES].fd, iov, split(iov, buffer, len, a[2]));
}

/* What the file was attached to, or is said to be otherwise, wants before a packet. */
static size_t put_header(const struct file *f, const uint64_t *a, uint64_t shape)
{
	struct virtio_net_hdr_v1 vnet = {};
	struct mytun_rec rec = {};
	size_t len = 0;

	if (f->pi) {
		memcpy(buffer, (uint8_t[]){ 0, 0, shape & 1 ? 0x86 : 8, shape & 1 ? 0xdd : 0 }, 4);
		len += sizeof(struct tun_pi);
	}
	if (!f->vnet)
		return len;
	shape_vnet(&rec, a, shape, f->tap);
	vnet.flags = rec.vnet_flags;
	vnet.gso_type = rec.gso_type;
	vnet.hdr_len = rec.hdr_len;
	vnet.gso_size = rec.gso_size;
	vnet.csum_start = rec.csum_start;
	vnet.csum_offset = rec.csum_offset;
	memcpy(buffer + len, &vnet, sizeof(struct virtio_net_hdr));
	return len + sizeof(struct virtio_net_hdr);
}

/* fd shape payload VNET pieces cut count */
void call_write(const uint64_t *a)
{
	const struct file *f = &files[a[0] % FILES];
	struct iovec iov[8];
	size_t len;

	a++;
	len = put_header(f, a + 2, a[0]);
	len += shape_packet(buffer + len, a[0], a[1], f->tap);
	len -= a[3 + VNET_ARGS] < len ? a[3 + VNET_ARGS] : len;
	for (uint64_t i = 0; i <= a[4 + VNET_ARGS] % 64; i++)
		if (writev(f->fd, iov, split(iov, buffer, len, a[2 + VNET_ARGS])) < 0)
			return;
}

/* fd shape payload VNET size len off count */
void call_writerecords(const uint64_t *a)
{
	const struct file *f = &files[a[0] % FILES];
	size_t end = 0, count;
	uint32_t size;

	a++;
	count = 1 + a[5 + VNET_ARGS] % 40;
	for (size_t i = 0; i < count && end + PACKET_BYTES < sizeof(buffer); i++) {
		struct mytun_rec *rec = (struct mytun_rec *)(buffer + end);
		size_t len = shape_packet((uint8_t *)(rec + 1), a[0], a[1], f->tap);

		memset(rec, 0, sizeof(*rec));
		shape_vnet(rec, a + 2, a[0], f->tap);
		size = (sizeof(*rec) + len + 15) / 16 * 16;
		rec->size = size;
		rec->len = len;
		rec->off = sizeof(*rec);
		if (i == count - 1) { /* the last one may lie */
			rec->size += a[2 + VNET_ARGS];
			rec->len += a[3 + VNET_ARGS];
			rec->off += a[4 + VNET_ARGS];
		}
		end += size;
	}
	if (write(f->fd, buffer, end) < 0)
		return;
}
