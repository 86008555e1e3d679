// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "packets.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "foreign.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "segment.h"
#include "tally.h"

struct work {
	struct queue *q;
	struct rnd *r;
	char *map;
};

static const struct tun l3 = { .fd = -1 };
static __thread struct packet packet;
static __thread uint8_t payload[66000];

/* To the hostile interface's own address, where the queue is of that. */
static void readdress(struct packet *p, const struct queue *q)
{
	if (q->shared || p->bytes[0] >> 4 != 4)
		return;
	inet_pton(AF_INET, HOSTILE_THERE, p->bytes + 12);
	inet_pton(AF_INET, HOSTILE_HERE, p->bytes + 16);
}

/* A question that the kernel answers. */
static void echo(struct packet *p, size_t len)
{
	packet_inbound(p, &l3, AF_INET, payload, len);
	p->bytes[9] = IPPROTO_ICMP;
	memset(p->bytes + 20, 0, 8);
	p->bytes[20] = 8;
}

static void sum_up(struct packet *p)
{
	uint16_t sum;

	memset(p->bytes + 10, 0, 2);
	sum = packet_fold(packet_sum(0, p->bytes, 20));
	memcpy(p->bytes + 10, &sum, 2);
	if (p->bytes[9] != IPPROTO_ICMP)
		return;
	memset(p->bytes + 22, 0, 2);
	sum = packet_fold(packet_sum(0, p->bytes + 20, p->len - 20));
	memcpy(p->bytes + 22, &sum, 2);
}

/* A packet without its Ethernet header, and what a record says of it. */
static void make_packet(struct packet *p, const struct queue *q, struct rnd *r,
			struct mytun_rec *head)
{
	int family = below(r, 4) ? AF_INET : AF_INET6;
	struct conn c = { family, family == AF_INET ? THERE4 : THERE6,
			  family == AF_INET ? HERE4 : HERE6, 5555, 6666, rnd(r), rnd(r) };
	size_t len = below(r, 3) ? below(r, 1400) : below(r, 20000);

	for (size_t i = 0; i < len; i += 61)
		payload[i] = rnd(r);
	memset(head, 0, sizeof(*head));
	switch (below(r, 5)) {
	case 0:
		segment(p, &c, rnd(r), payload, len);
		head->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		if (family == AF_INET6)
			head->gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
		head->csum_offset = 16;
		break;
	case 1:
		packet_inbound(p, &l3, family, payload, len);
		head->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		head->csum_offset = 6;
		break;
	case 2:
		packet_inbound(p, &l3, family, payload, len);
		break;
	default:
		family = AF_INET;
		echo(p, len);
	}
	if (p->bytes[family == AF_INET ? 9 : 6] == IPPROTO_UDP) {
		/* Not the neighbours' ports. */
		memcpy(p->bytes + (family == AF_INET ? 20 : 40), "\x15\xb3\x1a\x0a", 4);
	}
	/* Their answers are for the hostile queues, see traffic.c. */
	p->bytes[1] |= family == AF_INET ? 1 + below(r, 2) : 0x10;
	readdress(p, q);
	if (family == AF_INET)
		sum_up(p);
	if (!head->gso_type)
		return;
	head->vnet_flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	head->gso_size = 1 + below(r, 1400);
	head->csum_start = family == AF_INET ? 20 : 40;
}

/* The same for a queue of Ethernet frames. */
static void make_frame(struct packet *p, const struct queue *q, struct rnd *r,
		       struct mytun_rec *head)
{
	make_packet(p, q, r, head);
	if (q->shared)
		return;
	memmove(p->bytes + ETH, p->bytes, p->len);
	memcpy(p->bytes, q->mac, 6);
	memcpy(p->bytes + 6, "\x02\0\0\0\0\x02", 6);
	p->bytes[12] = p->bytes[ETH] >> 4 == 4 ? 0x08 : 0x86;
	p->bytes[13] = p->bytes[ETH] >> 4 == 4 ? 0x00 : 0xdd;
	p->len += ETH;
	if (head->vnet_flags)
		head->csum_start += ETH;
}

/* Some fields lie. */
static void lie(struct mytun_rec *head, struct rnd *r, uint32_t ring_size)
{
	uint32_t size = below(r, 2) ? head->size : ring_size;

	switch (below(r, 8)) {
	case 0:
		head->len = almost(r, head->len, size);
		break;
	case 1:
		head->off = almost(r, head->off, size);
		break;
	case 2:
		head->gso_size = almost(r, head->gso_size, head->len);
		break;
	case 3:
		head->csum_start = almost(r, head->csum_start, head->len);
		break;
	case 4:
		head->csum_offset = almost(r, head->csum_offset, head->len);
		break;
	case 5:
		head->vnet_flags = rnd(r);
		head->gso_type = rnd(r);
		break;
	case 6:
		head->flags = below(r, 4);
		break;
	default:
		head->proto = rnd(r);
	}
}

static void send_guarded(void *arg)
{
	struct work *w = arg;
	struct queue *q = w->q;
	struct mytun_end *prod = tx_prod_of(q, w->map), *cons = tx_cons_of(q, w->map);
	uint32_t size, held;
	struct mytun_rec head;

	for (unsigned int n = 1 + below(w->r, 12); n; n--) {
		held = q->tx - load_acquire(&cons->pos);
		if (held > q->g.tx_size || held % MYTUN_REC_ALIGN)
			q->tx = load_acquire(&cons->pos) & -MYTUN_REC_ALIGN; /* lost count */
		make_frame(&packet, q, w->r, &head);
		size = (sizeof(head) + packet.len + 15) & -16u;
		if (size > q->g.tx_size - (q->tx - load_acquire(&cons->pos)))
			break;
		head.size = size;
		head.len = packet.len;
		head.off = sizeof(head);
		if (below(w->r, 3) == 0)
			lie(&head, w->r, q->g.tx_size);
		memcpy((char *)tx_rec_of(q, w->map, q->tx) + sizeof(head), packet.bytes,
		       packet.len);
		*tx_rec_of(q, w->map, q->tx) = head;
		q->tx += size;
		tally_add(RECORDS_SENT, 1);
	}
	store_release(&prod->pos, q->tx);
}

void send_some(struct queue *q, struct rnd *r)
{
	struct work w = { q, r, NULL };

	if (!q->ringed)
		return;
	w.map = queue_map(q, r);
	guarded(send_guarded, &w);
	/* Or later: what waits is what can be written over. */
	if (below(r, 2)) {
		tally_add(CALLS, 1);
		ioctl(q->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_TX);
	}
}

static void take_guarded(void *arg)
{
	struct work *w = arg;
	struct mytun_end *cons = rx_cons_of(w->q, w->map), *prod = rx_prod_of(w->q, w->map);
	uint32_t pos = load_acquire(&cons->pos), end = load_acquire(&prod->pos);

	/* A record or many; what cannot be told apart is given back together. */
	while (pos != end && below(w->r, 50)) {
		struct mytun_rec *rec = rx_rec_of(w->q, w->map, pos);
		uint32_t size = load_acquire(&rec->size);

		if (size & MYTUN_REC_BUSY)
			break;
		if (size < sizeof(*rec) || size > end - pos || size % MYTUN_REC_ALIGN)
			size = end - pos;
		else
			foreign_search("a record", rec, size);
		pos += size;
	}
	store_release(&cons->pos, pos);
	store_release(&cons->event, pos);
	tally_add(RECORDS_TAKEN, 1);
}

void take_some(struct queue *q, struct rnd *r)
{
	struct work w = { q, r, NULL };

	if (!q->ringed)
		return;
	w.map = queue_map(q, r);
	guarded(take_guarded, &w);
	if (below(r, 3) == 0) {
		tally_add(CALLS, 1);
		ioctl(q->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX);
	}
}

static void search_guarded(void *arg)
{
	struct work *w = arg;

	foreign_search("a mapping", w->map, w->q->g.map_size);
}

void search_mapping(struct queue *q, struct rnd *r)
{
	struct work w = { q, r, NULL };

	if (!q->ringed || q->g.map_size > PLACE_LEN)
		return;
	w.map = queue_map(q, r);
	guarded(search_guarded, &w);
}

/* A buffer of its own, or the memory of a ring. */
void read_some(struct queue *q, struct rnd *r)
{
	static __thread char own[1 << 16];
	struct queue *other = &queues[below(r, QUEUES)];
	bool ours = !other->ringed || below(r, 4);
	char *to = ours ? own : queue_map(other, r) + other->g.rx_data;
	size_t len = below(r, 2) ? sizeof(own) : below(r, 300);
	ssize_t n;

	memset(own, 1, len);
	for (int i = 0; i < 20; i++) {
		tally_add(CALLS, 1);
		n = read(q->fd, to, len);
		if (n <= 0)
			return;
		if (ours)
			foreign_search("a buffer of read(2)", own, n);
	}
}

void write_some(struct queue *q, struct rnd *r)
{
	static __thread struct {
		struct mytun_rec head;
		uint8_t bytes[sizeof(packet.bytes) + MYTUN_REC_ALIGN];
	} record;
	struct queue *other = &queues[below(r, QUEUES)];
	struct iovec iov[3] = {};
	struct virtio_net_hdr vnet;
	struct mytun_rec head;
	int n = 0;

	make_frame(&packet, q, r, &head);
	head.size = (sizeof(head) + packet.len + 15) & -16u;
	head.len = packet.len;
	head.off = sizeof(head);
	if (below(r, 3) == 0)
		lie(&head, r, 1 << 16);
	vnet = (struct virtio_net_hdr){ head.vnet_flags, head.gso_type, head.hdr_len,
					head.gso_size, head.csum_start, head.csum_offset };
	record.head = head;
	memcpy(record.bytes, packet.bytes, packet.len);
	switch (below(r, 4)) {
	case 0: /* as records */
		iov[n++] = (struct iovec){ &record, head.size };
		break;
	case 1: /* behind a virtio header */
		iov[n++] = (struct iovec){ &vnet, 10 };
		iov[n++] = (struct iovec){ packet.bytes, packet.len };
		break;
	case 2: /* bare */
		iov[n++] = (struct iovec){ packet.bytes, packet.len };
		break;
	default: /* what lies in a ring, and changes */
		if (!other->ringed)
			return;
		iov[n++] = (struct iovec){ queue_map(other, r) + other->g.tx_data,
					   below(r, 3000) };
	}
	tally_add(CALLS, 1);
	if (writev(q->fd, iov, n) > 0)
		tally_add(RECORDS_SENT, 1);
}
