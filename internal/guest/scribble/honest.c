// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "honest.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "clock.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "queue.h"
#include "ring.h"
#include "segment.h"
#include "tally.h"

enum {
	WINDOW = 24, /* packets on their way in each direction */
	ROOM = 48, /* before and after each packet received */
	PATIENCE = 30, /* seconds until something hangs, times patience() */
	UNTOUCHED = 0xe1 /* what the ring is filled with */
};

/* One direction: numbers of packets. */
struct way {
	uint32_t sent, got;
	double since; /* something came */
};

struct neighbour {
	struct tun t;
	struct ring r;
	const char *here, *there;
	int udp;
	struct way up, down;
};

/* The payload of packet number @n, and its length. */
static size_t numbered(uint8_t *payload, uint32_t n)
{
	size_t len = sizeof(n) + n * 37 % 700;

	fill(payload, len, n);
	memcpy(payload, &n, sizeof(n));
	return len;
}

static void arrived(struct neighbour *nb, struct way *w, const char *what, const uint8_t *payload,
		    size_t len)
{
	uint8_t want[1000];
	uint32_t n;

	if (len < sizeof(n))
		fail("%s: %s a packet of %zu bytes", nb->t.name, what, len);
	memcpy(&n, payload, sizeof(n));
	if (n != w->got || n == w->sent)
		fail("%s: %s number %u, not %u, of %u", nb->t.name, what, n, w->got, w->sent);
	if (numbered(want, n) != len || memcmp(want, payload, len))
		fail("%s: %s number %u changed, %zu bytes", nb->t.name, what, n, len);
	w->got++;
	w->since = now();
}

static void send_up(struct neighbour *nb)
{
	uint8_t payload[1000];
	struct packet p;

	while (nb->up.sent - nb->up.got < WINDOW) {
		packet_inbound(&p, &nb->t, AF_INET, payload, numbered(payload, nb->up.sent));
		inet_pton(AF_INET, nb->there, p.bytes + 12);
		inet_pton(AF_INET, nb->here, p.bytes + 16);
		packet_finish(&p, false);
		ring_tx_packet(&nb->r, p.bytes, p.len);
		nb->up.sent++;
	}
	ring_tx_publish(&nb->r);
	must(ring_doorbell(&nb->r));
}

static void receive_up(struct neighbour *nb)
{
	uint8_t got[2000];
	ssize_t n;

	while ((n = recv(nb->udp, got, sizeof(got), MSG_DONTWAIT)) >= 0)
		arrived(nb, &nb->up, "sent", got, n);
}

static void send_down(struct neighbour *nb)
{
	uint8_t payload[1000];

	while (nb->down.sent - nb->down.got < WINDOW) {
		udp_send(nb->udp, payload, numbered(payload, nb->down.sent));
		nb->down.sent++;
	}
}

static void expect_untouched(const struct neighbour *nb, const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != UNTOUCHED)
			fail("%s: byte %zu of the room is %#x", nb->t.name, i, at[i]);
}

/* Is it of ours? What the hostile write over may come to the first queue, too. */
static bool ours(const struct neighbour *nb, const uint8_t *ip, size_t len)
{
	uint8_t addr[4];

	inet_pton(AF_INET, nb->here, addr);
	return len >= UDP4 && ip[0] == 0x45 && ip[9] == IPPROTO_UDP && !memcmp(ip + 12, addr, 4) &&
	       ip[20] == PORT_HERE >> 8 && ip[21] == (PORT_HERE & 0xff) && !(ip[6] & 0x3f);
}

static void receive_down(struct neighbour *nb)
{
	struct mytun_rec *rec;

	while ((rec = ring_rx(&nb->r))) {
		uint8_t *at = (uint8_t *)rec, *ip = rec_packet(rec);
		uint32_t size = rec->size, end = rec->off + rec->len;

		expect_untouched(nb, at + sizeof(*rec), rec->off - sizeof(*rec));
		expect_untouched(nb, at + end, size - end);
		if (ours(nb, ip, rec->len)) {
			if (!(rec->vnet_flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
			    !checksums_right(ip, rec->len))
				fail("%s: a wrong checksum", nb->t.name);
			arrived(nb, &nb->down, "received", ip + UDP4, rec->len - UDP4);
		}
		memset(rec, UNTOUCHED, size);
		nb->r.rx += size;
		store_release(&nb->r.rx_cons->pos, nb->r.rx);
	}
}

/* Ours do not fill the ring, and others hardly come: there is no reason to drop. */
static void expect_no_drops(const struct neighbour *nb)
{
	uint64_t drops = nb->r.rx_prod->drops;

	if (drops)
		fail("%s: dropped %llu packets, with %u of the ring's %u bytes in use", nb->t.name,
		     (unsigned long long)drops, load_acquire(&nb->r.rx_prod->pos) - nb->r.rx,
		     nb->r.g.rx_size);
}

static void expect_progress(const struct neighbour *nb)
{
	if (now() - nb->down.since > PATIENCE * patience())
		fail("%s: nothing comes; flags %x, %u of %u records taken", nb->t.name,
		     nb->r.rx_prod->flags, nb->r.rx, nb->r.rx_prod->pos);
	if (now() - nb->up.since > PATIENCE * patience())
		fail("%s: nothing goes up; the kernel is at %u of %u", nb->t.name,
		     nb->r.tx_cons->pos, nb->r.tx);
}

static void turn(struct neighbour *nb, bool more)
{
	if (more) {
		send_up(nb);
		send_down(nb);
	}
	receive_up(nb);
	expect_no_drops(nb);
	receive_down(nb);
	expect_progress(nb);
	if (nb->r.rx_prod->flags || nb->r.tx_cons->flags || nb->r.tx_cons->drops)
		fail("%s: flags %x and %x, %llu records dropped", nb->t.name,
		     nb->r.rx_prod->flags, nb->r.tx_cons->flags,
		     (unsigned long long)nb->r.tx_cons->drops);
}

static bool done(const struct neighbour *nb)
{
	return nb->up.got == nb->up.sent && nb->down.got == nb->down.sent;
}

static struct neighbour neighbour_new(const char *name, int flags, const char *here,
				      const char *there, uint32_t mode)
{
	struct neighbour nb = { .t = tun_open(name, flags), .here = here, .there = there };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT_HERE) };
	struct mytun_rings g = ring_args(1 << 18);
	int size = 4 << 20;

	g.rx_headroom = ROOM;
	g.rx_tailroom = ROOM;
	nb.r = ring_new(nb.t.fd, g);
	memset(nb.r.rx_data, UNTOUCHED, nb.r.g.rx_size);
	inject(nb.t.fd, mode);
	iface_up_bare(name);
	iface_addr(name, AF_INET, here, 24);

	nb.udp = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	setsockopt(nb.udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	inet_pton(AF_INET, here, &a.sin_addr);
	must(bind(nb.udp, (struct sockaddr *)&a, sizeof(a)));
	inet_pton(AF_INET, there, &a.sin_addr);
	a.sin_port = htons(PORT_THERE);
	must(connect(nb.udp, (struct sockaddr *)&a, sizeof(a)));
	nb.up.since = nb.down.since = now();
	return nb;
}

/* A packet with TOS 0 is for the honest queue, which is and stays the first; others are for others,
 * and as a rule for the hostile program's two, which are the last of five.
 */
static void steer(const struct tun *t)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LD | BPF_ABS | BPF_B, .imm = 1 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = 0, .imm = 4 },
		/* Primes: never 0 modulo the number of queues. Modulo 5 they are 4 and 3. */
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 0, .imm = 19 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (uintptr_t) "GPL",
	};

	must(ebpf_set(t, TUNSETSTEERINGEBPF,
		      must(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)))));
}

/* Queues that drop: were the honest one alone, when the hostile program has been killed, all
 * that is for the hostile would come to its ring.
 */
static void keep_others(void)
{
	for (int i = 0; i < 2; i++)
		ring_new(tun_open(SHARED, IFF_TUN | IFF_MULTI_QUEUE).fd, ring_args(4096));
}

/* Where queues have been faulted and killed, another one works as ever. */
static void expect_new_queue_works(const struct neighbour *nb)
{
	struct tun t = tun_open(nb->t.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_small(t.fd);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "anew", 4);
	inet_pton(AF_INET, nb->there, p.bytes + 12);
	inet_pton(AF_INET, nb->here, p.bytes + 16);
	packet_finish(&p, false);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(nb->udp, "anew", 4);
	expect_eq(r.rx_prod->flags | r.tx_cons->flags, 0);
	ring_unmap(&r);
	tun_close(&t);
}

void honest(void *arg)
{
	struct rnd r = rnd_new(*(uint64_t *)arg, 300);
	struct neighbour nb[] = {
		neighbour_new(SHARED, IFF_TUN | IFF_MULTI_QUEUE, HERE4, THERE4, below(&r, 3)),
		neighbour_new(HONEST, IFF_TUN, "10.8.0.1", "10.8.0.2", below(&r, 3)),
	};
	bool more = true;

	steer(&nb[0].t);
	keep_others();
	__atomic_store_n(&tally->ready, true, __ATOMIC_RELEASE);
	while (more || !done(&nb[0]) || !done(&nb[1])) {
		struct pollfd p[] = { { .fd = nb[0].udp, .events = POLLIN },
				      { .fd = nb[0].t.fd, .events = POLLIN },
				      { .fd = nb[1].udp, .events = POLLIN },
				      { .fd = nb[1].t.fd, .events = POLLIN } };

		more = !__atomic_load_n(&tally->quiet, __ATOMIC_ACQUIRE);
		turn(&nb[0], more);
		turn(&nb[1], more);
		poll(p, ARRAY_SIZE(p), 20);
		sleep_ms(1); /* two processors are shared by all */
	}
	expect_new_queue_works(&nb[0]);
	for (int i = 0; i < 2; i++) {
		tally_add(HONEST_UP, nb[i].up.got);
		tally_add(HONEST_DOWN, nb[i].down.got);
	}
}
