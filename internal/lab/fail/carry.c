// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "carry.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"

/* For experiments. */
#define PROTO_ETH 0x88b5
#define PROTO_IP  253

void frame_new(struct frame *f, bool tap, size_t len, unsigned int seed)
{
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = PROTO_IP };

	f->len = len;
	fill(f->bytes, len, seed);
	if (tap) {
		f->proto = PROTO_ETH;
		memcpy(f->bytes, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x88\xb5", ETH);
		return;
	}
	f->proto = ETH_P_IP;
	ip.tot_len = htons(len);
	inet_pton(AF_INET, HERE4, &ip.saddr);
	inet_pton(AF_INET, THERE4, &ip.daddr);
	ip.check = packet_fold(packet_sum(0, &ip, sizeof(ip)));
	memcpy(f->bytes, &ip, sizeof(ip));
}

int frame_socket(const char *name)
{
	return raw_socket(name);
}

int frame_out(int raw, const struct frame *f)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET };
	socklen_t n = sizeof(ll);

	if (getsockname(raw, (struct sockaddr *)&ll, &n))
		return -1;
	ll.sll_protocol = htons(f->proto);
	return sendto(raw, f->bytes, f->len, 0, (struct sockaddr *)&ll, sizeof(ll));
}

unsigned int frames_missed(int raw)
{
	struct tpacket_stats st;
	socklen_t len = sizeof(st);

	must(getsockopt(raw, SOL_PACKET, PACKET_STATISTICS, &st, &len));
	return st.tp_drops;
}

unsigned int frames_in(int raw, const struct frame *frames, unsigned int n)
{
	static uint8_t bytes[1 << 17];
	unsigned int found = 0, next = 0;
	struct sockaddr_ll ll;
	socklen_t len;
	ssize_t got;

	for (;;) {
		len = sizeof(ll);
		got = recvfrom(raw, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&ll,
			       &len);
		if (got < 0 && errno == EAGAIN)
			return found;
		if (got < 0)
			fail("recvfrom: %s", strerrorname(errno));
		if (ll.sll_pkttype == PACKET_OUTGOING)
			continue;
		while (next < n && (got != frames[next].len ||
				    memcmp(bytes, frames[next].bytes, got)))
			next++;
		if (next == n)
			fail("%zd bytes came in that are none of the %u frames, or out of order",
			     got, n);
		next++;
		found++;
	}
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (must(poll(&p, 1, 5000)) != 1 || !(p.revents & POLLIN))
		fail("no packet came; poll says %x", p.revents);
}

static void expect_out(const struct frame *f, const void *bytes, ssize_t len)
{
	if (len != f->len || memcmp(bytes, f->bytes, len))
		fail("a frame of %u bytes came out with %zd, or changed", f->len, len);
}

void carry_plain(const struct tun *t)
{
	int raw = frame_socket(t->name);
	static struct frame f;
	uint8_t bytes[4096];

	frame_new(&f, t->tap, 300, 1);
	must(frame_out(raw, &f));
	wait_readable(t->fd);
	expect_out(&f, bytes, must(read(t->fd, bytes, sizeof(bytes))));

	frame_new(&f, t->tap, 400, 2);
	expect_eq(must(write(t->fd, f.bytes, f.len)), f.len);
	eventually(frames_in(raw, &f, 1) == 1);
	close(raw);
}

void carry_ring(const struct tun *t, struct ring *r)
{
	int raw = frame_socket(t->name);
	struct mytun_rec *rec;
	static struct frame f;

	frame_new(&f, t->tap, 300, 3);
	must(frame_out(raw, &f));
	rec = ring_rx_wait(r);
	expect_out(&f, rec_packet(rec), rec->len);
	ring_rx_done(r);

	frame_new(&f, t->tap, 400, 4);
	ring_tx_packet(r, f.bytes, f.len);
	ring_tx_flush(r);
	eventually(frames_in(raw, &f, 1) == 1);
	close(raw);
}

void carry_up(const struct tun *t)
{
	iface_up_bare(t->name);
	carry_plain(t);
}
