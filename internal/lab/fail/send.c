// SPDX-License-Identifier: MIT
/*
 * What the stack sends, in the sender's own task: each packet comes out whole, or is counted, or
 * its sender was told. Super-packets are cut on their way, checksums made, VLAN tags put in.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf.h"
#include "carry.h"
#include "check.h"
#include "iface.h"
#include "nth.h"
#include "packet.h"
#include "records.h"
#include "slow.h"
#include "super.h"

#define OUT_MAX 64

enum source {
	FROM_PACKET_SOCKET, /* a finished frame */
	FROM_SUPER, /* a TCP super-packet of a packet socket */
	FROM_EXTENSION, /* the same, which only the stack can cut */
	FROM_UDP,
	FROM_UDP_GSO,
	FROM_ZEROCOPY, /* UDP in pages that are still the sender's */
	FROM_VLAN
};

enum how {
	RINGS = 1, /* else by read(2) */
	HOLD = 2, /* backpressure */
	RECORDS = 4,
	WHOLE = 8, /* super-packets come as they are */
	FILTER = 16, /* a classic program that shortens packets, and then an extended one */
	SEEN = 32, /* somebody captures what goes out, so that it is not the interface's alone */
	BESIDE = 64, /* the interface has another queue, and that has rings */
	EXTENDED = 128, /* an extended program that shortens packets */
};

/**
 * struct sending - a way out
 * @what:  its name
 * @flags: of TUNSETIFF, beside IFF_NO_PI
 * @from:  who sends
 * @how:   bits of enum how
 */
struct sending {
	const char *what;
	int flags;
	enum source from;
	unsigned int how;
};

static const struct sending ways[] = {
	{ "send, plain", IFF_TAP, FROM_PACKET_SOCKET, 0 },
	{ "send, rings", IFF_TAP, FROM_PACKET_SOCKET, RINGS },
	{ "send, rings, many queues", IFF_TUN | IFF_MULTI_QUEUE, FROM_PACKET_SOCKET, RINGS },
	{ "send, rings, captured", IFF_TUN, FROM_PACKET_SOCKET, RINGS | SEEN },
	{ "send, plain, UDP, captured", IFF_TUN, FROM_UDP, SEEN },
	{ "send, rings, UDP, captured", IFF_TUN, FROM_UDP, RINGS | SEEN },
	{ "send, plain, zerocopy", IFF_TUN, FROM_ZEROCOPY, 0 },
	{ "send, plain, zerocopy, unfinished", IFF_TUN, FROM_ZEROCOPY, WHOLE },
	{ "send, rings, zerocopy", IFF_TUN, FROM_ZEROCOPY, RINGS },
	{ "send, plain beside rings, UDP", IFF_TUN | IFF_MULTI_QUEUE, FROM_UDP, SEEN | BESIDE },
	{ "send, plain beside rings", IFF_TUN | IFF_MULTI_QUEUE, FROM_SUPER, SEEN | BESIDE },
	{ "send, rings, cut", IFF_TUN, FROM_SUPER, RINGS },
	{ "send, rings, cut by the stack", IFF_TUN, FROM_EXTENSION, RINGS | SEEN },
	{ "send, plain, cut by the stack", IFF_TUN, FROM_SUPER, SEEN },
	{ "send, rings, UDP cut", IFF_TUN, FROM_UDP_GSO, RINGS | SEEN },
	{ "send, rings, whole", IFF_TUN, FROM_SUPER, RINGS | WHOLE },
	{ "send, plain, whole", IFF_TUN | IFF_VNET_HDR, FROM_SUPER, WHOLE },
	{ "send, records, whole", IFF_TUN, FROM_SUPER, RECORDS | WHOLE },
	{ "send, rings, backpressure", IFF_TUN, FROM_UDP, RINGS | HOLD },
	{ "send, plain, backpressure", IFF_TUN, FROM_UDP, HOLD },
	{ "send, rings, backpressure, cut", IFF_TUN, FROM_SUPER, RINGS | HOLD },
	{ "send, rings, filters", IFF_TAP, FROM_PACKET_SOCKET, RINGS | FILTER | SEEN },
	{ "send, plain, filters", IFF_TAP, FROM_PACKET_SOCKET, FILTER | SEEN },
	{ "send, rings, an extended filter", IFF_TAP, FROM_SUPER, RINGS | EXTENDED | WHOLE | SEEN },
	{ "send, rings, filters, UDP", IFF_TAP, FROM_UDP, RINGS | FILTER | SEEN },
	{ "send, rings, filters, whole", IFF_TAP, FROM_SUPER, RINGS | FILTER | WHOLE | SEEN },
	{ "send, rings, filters, cut", IFF_TAP, FROM_SUPER, RINGS | FILTER },
};

/* What came out, one after the other. */
struct out {
	unsigned int n;
	struct {
		uint32_t len;
		uint8_t *bytes;
	} packets[OUT_MAX];
};

static void out_add(struct out *o, const void *bytes, uint32_t len)
{
	if (o->n == OUT_MAX)
		fail("more than %d packets came out", OUT_MAX);
	o->packets[o->n].len = len;
	o->packets[o->n].bytes = malloc(len);
	memcpy(o->packets[o->n++].bytes, bytes, len);
}

static void out_free(struct out *o)
{
	while (o->n)
		free(o->packets[--o->n].bytes);
}

static void collect(struct out *o, const struct tun *t, struct ring *r)
{
	static uint8_t bytes[1 << 18];
	struct mytun_rec *rec;
	ssize_t n;

	if (r->map) {
		for (; (rec = ring_rx(r)); ring_rx_done(r))
			out_add(o, rec_packet(rec), rec->len);
		return;
	}
	while ((n = read(t->fd, bytes, sizeof(bytes))) > 0)
		out_add(o, bytes, n);
	expect_eq(errno, EAGAIN);
}

/* The IPv4 ID, and the sum that it is in, are another each time. */
static bool alike(const uint8_t *a, const uint8_t *b, size_t len, const struct sending *w)
{
	size_t ip = (w->flags & IFF_TAP ? ETH : 0) + (w->from == FROM_VLAN ? 4 : 0);

	if (w->from < FROM_UDP)
		return !memcmp(a, b, len);
	return !memcmp(a, b, ip + 4) && !memcmp(a + ip + 6, b + ip + 6, 4) &&
	       !memcmp(a + ip + 12, b + ip + 12, len - ip - 12);
}

/* Each is one of those that come when nothing fails, in their order. */
static void expect_whole(const struct out *is, const struct out *wanted, const struct sending *w)
{
	unsigned int next = 0;

	for (unsigned int i = 0; i < is->n; i++, next++) {
		while (next < wanted->n &&
		       (is->packets[i].len != wanted->packets[next].len ||
			!alike(is->packets[i].bytes, wanted->packets[next].bytes,
			       is->packets[i].len, w)))
			next++;
		if (next == wanted->n)
			fail("%s: packet %u of %u bytes is none that was sent", w->what, i,
			     is->packets[i].len);
	}
}

struct sender {
	int fd;
	int ifindex;
	struct frame frame;
	struct super super;
};

static void sender_init(struct sender *s, const struct sending *w, const struct tun *t)
{
	struct super_kind kind = { .tap = t->tap };
	int mss = 500, on = 1;

	s->ifindex = iface_index(t->name);
	switch (w->from) {
	case FROM_PACKET_SOCKET:
		frame_new(&s->frame, t->tap, 900, 1);
		s->fd = frame_socket(t->name);
		break;
	case FROM_EXTENSION:
		kind.ipv6 = true;
		kind.extensions = 1;
		/* fall through */
	case FROM_SUPER:
		s->fd = super_socket(t->name);
		super_new(&s->super, kind, 1000, 12, 77);
		break;
	case FROM_UDP:
	case FROM_UDP_GSO:
	case FROM_ZEROCOPY:
		s->fd = udp_here(AF_INET);
		if (w->from == FROM_ZEROCOPY)
			must(setsockopt(s->fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)));
		if (w->from == FROM_UDP_GSO)
			must(setsockopt(s->fd, IPPROTO_UDP, UDP_SEGMENT, &mss, sizeof(mss)));
		break;
	case FROM_VLAN:
		s->fd = vlan_socket(t->name);
		if (s->fd < 0)
			fail("this kernel has no VLANs");
	}
}

static int sender_go(const struct sender *s, enum source from)
{
	static uint8_t payload[5000];
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct iovec iov[] = { { (void *)&s->super.vnet, sizeof(s->super.vnet) },
			       { (void *)s->super.bytes, s->super.len } };
	struct msghdr msg = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 2
	};

	switch (from) {
	case FROM_PACKET_SOCKET:
		return frame_out(s->fd, &s->frame);
	case FROM_SUPER:
	case FROM_EXTENSION:
		to.sll_protocol = htons(s->super.proto);
		to.sll_ifindex = s->ifindex;
		return sendmsg(s->fd, &msg, 0);
	case FROM_UDP_GSO:
		return send(s->fd, payload, sizeof(payload), 0);
	case FROM_ZEROCOPY:
		return send(s->fd, payload, 1400, MSG_ZEROCOPY);
	default:
		return send(s->fd, payload, 900, 0);
	}
}

/* What the core gave to the interface, as far as there was memory to capture it. */
static unsigned int captured(int capture)
{
	struct sockaddr_ll ll;
	unsigned int n = 0;
	socklen_t len;
	char byte;

	for (;;) {
		len = sizeof(ll);
		if (recvfrom(capture, &byte, 1, MSG_DONTWAIT, (struct sockaddr *)&ll, &len) < 0)
			return n;
		n += ll.sll_pkttype == PACKET_OUTGOING;
	}
}

static void expect_counted(const struct failing *f, const struct out *is,
			   const struct out *wanted, unsigned int dropped, unsigned int given)
{
	unsigned int lost = wanted->n - is->n;

	if (f->ret == -1) {
		/* Its sender was told. A packet that never came so far is not counted. */
		if (is->n || dropped > wanted->n || (given && !dropped))
			fail("%s: %s, but %u packets came out and %u were dropped", f->what,
			     strerrorname(f->err), is->n, dropped);
		return;
	}
	/* A super-packet that could not be cut is one that was dropped. */
	if (dropped != lost && !(dropped == 1 && !is->n))
		fail("%s, failure number %u: %u of %u packets came out, %u were dropped",
		     f->what, f->nth, is->n, wanted->n, dropped);
}

static void send_and_count(const struct sending *w)
{
	struct tun t = tun_open("s0", w->flags);
	struct mytun_mode mode = {
		.flags = (w->how & HOLD ? MYTUN_MODE_F_BACKPRESSURE : 0) |
			 (w->how & RECORDS ? MYTUN_MODE_F_RECORDS : 0),
	};
	struct out wanted = {}, is = {};
	static struct sender s;
	struct failing f;
	struct ring r = {};
	int capture = -1;
	struct tun beside = { .fd = -1 };
	struct mytun_rings g;

	must(ioctl(t.fd, MYTUN_IOC_SET_MODE, &mode));
	if (w->how & WHOLE)
		must(ioctl(t.fd, TUNSETOFFLOAD,
			   TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN));
	if (w->how & RINGS)
		r = ring_new(t.fd, ring_args(1 << 17));
	if (w->how & BESIDE) {
		beside = tun_open(t.name, w->flags);
		g = ring_args(1 << 14);
		must(ioctl(beside.fd, MYTUN_IOC_RINGS, &g));
		must(ebpf_set(&t, TUNSETSTEERINGEBPF, bpf_constant(0)));
	}
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	iface_up(t.name);
	if (w->how & FILTER)
		must(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(800)));
	if (w->how & (FILTER | EXTENDED))
		must(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(700)));
	sender_init(&s, w, &t);
	if (w->how & SEEN)
		capture = raw_socket(t.name);

	must(sender_go(&s, w->from));
	collect(&wanted, &t, &r);
	if (w->how & WHOLE)
		expect_eq(wanted.n, 1);
	else
		expect(wanted.n > 0);
	if (w->how & SEEN)
		expect(captured(capture) > 0);
	f = failing(w->what);
	while (fail_next(&f)) {
		struct rtnl_link_stats64 before = iface_stats(t.name), after;

		under(&f, sender_go(&s, w->from));
		/* The sender has no memory; or the interface's drop is told as ENOBUFS. */
		fail_done(&f, ENOMEM, ENOBUFS, EFAULT);
		collect(&is, &t, &r);
		after = iface_stats(t.name);
		expect_whole(&is, &wanted, w);
		expect_counted(&f, &is, &wanted, after.tx_dropped - before.tx_dropped,
			       w->how & SEEN ? captured(capture) : 0);
		expect(f.fired || is.n == wanted.n);
		out_free(&is);
	}
	out_free(&wanted);
	if (w->from == FROM_VLAN)
		run("ip link del vlan7");
	close(s.fd);
	close(capture);
	tun_close(&t);
	tun_close(&beside);
	if (r.map)
		ring_unmap(&r);
}

TEST_WITHIN(900, sent_packets_come_out_or_are_counted)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		send_and_count(&ways[i]);
}

TEST_WITHIN(300, tagged_packets_come_out_or_are_counted)
{
	static const struct sending way = { "send, rings, a VLAN tag", IFF_TAP, FROM_VLAN,
					    RINGS | SEEN };

	send_and_count(&way);
}
