// SPDX-License-Identifier: MIT
/*
 * write(2): what the program was told is gone has come in whole, or is counted; what it was told
 * has failed has not.
 */
#define _GNU_SOURCE
#include <linux/virtio_net.h>
#include <mytun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "iface.h"
#include "nth.h"
#include "records.h"

#define FRAMES_MAX 8

enum how {
	PLAIN,
	RECORDS, /* MYTUN_MODE_F_RECORDS */
	NOWAIT /* RWF_NOWAIT: who may wait shall try again */
};

/**
 * struct writing - a way to write
 * @what:    its name
 * @flags:   of TUNSETIFF; IFF_NO_PI is not added
 * @how:     see above
 * @frames:  how many a call
 * @len:     of the first; each other one is longer
 * @pieces:  of the iovec
 */
struct writing {
	const char *what;
	int flags;
	enum how how;
	unsigned int frames;
	unsigned int len;
	unsigned int pieces;
};

#define TUN  (IFF_TUN | IFF_NO_PI)
#define TAP  (IFF_TAP | IFF_NO_PI)
#define VNET IFF_VNET_HDR

static const struct writing ways[] = {
	{ "write, TAP", TAP, PLAIN, 1, 200, 1 },
	{ "write, TUN", TUN, PLAIN, 1, 200, 1 },
	{ "write, struct tun_pi", IFF_TUN, PLAIN, 1, 200, 1 },
	{ "write, several pages", TAP, PLAIN, 1, 30000, 1 },
	{ "writev, an unfinished checksum", TAP | VNET, PLAIN, 1, 200, 5 },
	{ "writev, a virtio header, several pages", TUN | VNET, PLAIN, 1, 9000, 3 },
	{ "write, many queues", TUN | IFF_MULTI_QUEUE, PLAIN, 1, 200, 1 },
	{ "write, IFF_NAPI", TAP | IFF_NAPI, PLAIN, 1, 200, 1 },
	{ "write, RWF_NOWAIT", TUN, NOWAIT, 1, 200, 1 },
	{ "write, records", TAP, RECORDS, 5, 200, 1 },
	{ "write, records of several pages", TUN, RECORDS, 3, 9000, 1 },
	{ "write, records, IFF_NAPI", TAP | IFF_NAPI, RECORDS, 5, 200, 1 },
};

static struct frame frames[FRAMES_MAX];
static uint8_t buffer[1 << 18] __attribute__((aligned(16)));

/* Plain: the headers that the file was set up for, and the packet. Bytes. */
static size_t build_plain(const struct writing *w, const struct frame *f)
{
	uint8_t *p = buffer;

	if (!(w->flags & IFF_NO_PI)) {
		struct tun_pi pi = { .proto = __builtin_bswap16(f->proto) };

		memcpy(p, &pi, sizeof(pi));
		p += sizeof(pi);
	}
	if (w->flags & IFF_VNET_HDR) {
		struct virtio_net_hdr vnet = {};

		/* The packet socket is shown the packet as it is. */
		if (w->flags & IFF_TAP) {
			vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
			vnet.csum_start = 60;
			vnet.csum_offset = 16;
		}
		memcpy(p, &vnet, sizeof(vnet));
		p += sizeof(vnet);
	}
	memcpy(p, f->bytes, f->len);
	return p + f->len - buffer;
}

static size_t build_records(unsigned int n)
{
	struct mytun_rec *rec = (struct mytun_rec *)buffer;

	memset(buffer, 0, sizeof(buffer));
	for (unsigned int i = 0; i < n; i++) {
		rec->size = (sizeof(*rec) + frames[i].len + 15) & -16;
		rec->len = frames[i].len;
		rec->off = sizeof(*rec);
		memcpy(rec + 1, frames[i].bytes, frames[i].len);
		rec = (struct mytun_rec *)((uint8_t *)rec + rec->size);
	}
	return (uint8_t *)rec - buffer;
}

static ssize_t write_in_pieces(int fd, size_t len, unsigned int pieces, enum how how)
{
	struct iovec iov[8];
	size_t each;

	if (pieces < 2 && how != NOWAIT)
		return write(fd, buffer, len);
	each = len / pieces;
	for (unsigned int i = 0; i < pieces; i++)
		iov[i] = (struct iovec){ buffer + i * each,
					 i + 1 < pieces ? each : len - i * each };
	return pwritev2(fd, iov, pieces, -1, how == NOWAIT ? RWF_NOWAIT : 0);
}

static struct tun open_for(const struct writing *w)
{
	struct tun t = { .fd = tun_open_file(), .tap = w->flags & IFF_TAP };
	struct ifreq ifr;

	must(tun_set_iff(t.fd, "w0", w->flags, &ifr));
	memcpy(t.name, ifr.ifr_name, IFNAMSIZ);
	if (w->how == RECORDS)
		records_on(t.fd);
	iface_up_bare(t.name);
	return t;
}

static void write_and_count(const struct writing *w)
{
	unsigned int sent, in, missed, n = w->frames;
	bool records = w->how == RECORDS;
	int nowait = w->how == NOWAIT ? EAGAIN : ENOMEM;
	struct failing f = failing(w->what);
	struct tun t = open_for(w);
	int raw = frame_socket(t.name);
	size_t len;

	for (unsigned int i = 0; i < n; i++)
		frame_new(&frames[i], t.tap, w->len + i * 16, i);
	len = records ? build_records(n) : build_plain(w, &frames[0]);

	while (fail_next(&f)) {
		struct rtnl_link_stats64 before = iface_stats(t.name), after;
		unsigned int dropped;

		under(&f, write_in_pieces(t.fd, len, w->pieces, w->how));
		/* No memory for the packet, or it could not be read. */
		sent = 0;
		if (fail_done(&f, nowait, ENOMEM, ENOBUFS, EFAULT)) {
			expect(records || f.ret == (long long)len);
			sent = records ? records_in(buffer, f.ret) : 1;
		}
		in = missed = 0;
		/* NAPI may run later, where softirq is left to its thread. */
		for (int ms = 0; ms < 1000; ms++) {
			in += frames_in(raw, frames, n);
			/* By the packet socket, which had no memory for a clone. */
			missed += frames_missed(raw);
			/* Last: each is counted before it goes up. */
			after = iface_stats(t.name);
			dropped = after.rx_dropped - before.rx_dropped;
			if (in + missed + dropped >= sent)
				break;
			sleep_ms(1);
		}
		if (records || sent)
			expect_eq(in + missed + dropped, sent);
		else
			expect_eq(in, 0);
		expect_eq(after.rx_packets - before.rx_packets, in + missed);
		expect(f.fired || in == n);
	}
	close(raw);
	tun_close(&t);
}

TEST_WITHIN(600, written_packets_come_in_or_are_counted)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		write_and_count(&ways[i]);
}
