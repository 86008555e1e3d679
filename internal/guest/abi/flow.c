// SPDX-License-Identifier: MIT
/* The table of flows: it knows many, has one size, and forgets a queue that leaves. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

/* Queues of an interface, and a socket for flows with many ports behind it. */
struct flows {
	struct tun t[4];
	struct ring r[4];
	int queues;
	int udp;
};

static void flows_open(struct flows *f, int queues)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT_HERE) };
	int size = 1 << 24;

	f->queues = queues;
	for (int i = 0; i < queues; i++) {
		if (i)
			f->t[i] = tun_open(f->t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
		else
			f->t[i] = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
		f->r[i] = ring_new(f->t[i].fd, ring_args(1 << 20));
	}
	inet_pton(AF_INET, HERE4, &here.sin_addr);
	f->udp = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	must(setsockopt(f->udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)));
	must(bind(f->udp, (struct sockaddr *)&here, sizeof(here)));
}

/* The program sends a packet of flow @port on a queue, and the host gets it. */
static void flow_sent(struct flows *f, int queue, uint16_t port)
{
	struct packet p;
	char byte;

	packet_inbound(&p, &f->t[queue], AF_INET, "f", 1);
	((struct udphdr *)(p.bytes + sizeof(struct iphdr)))->source = htons(port);
	packet_finish(&p, false);
	ring_tx_packet(&f->r[queue], p.bytes, p.len);
	ring_tx_flush(&f->r[queue]);
	expect_eq(must(recv(f->udp, &byte, 1, 0)), 1);
}

static void answer(const struct flows *f, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, THERE4, &to.sin_addr);
	must(sendto(f->udp, "a", 1, 0, (struct sockaddr *)&to, sizeof(to)));
}

/* The queue on which the answer to flow @port comes. */
static int answered_on(struct flows *f, uint16_t port)
{
	int on = -1;

	answer(f, port);
	for (int i = 0; i < f->queues; i++) {
		if (!ring_rx(&f->r[i]))
			continue;
		expect_eq(on, -1);
		on = i;
		expect_eq(ring_rx_drain(&f->r[i]), 1);
	}
	return on;
}

enum {
	FLOWS = 64
};

TEST(a_flow_follows_its_queue_to_another_index)
{
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct flows f;

	flows_open(&f, 3);
	for (uint16_t i = 0; i < FLOWS; i++)
		flow_sent(&f, 2, 3000 + i);
	/* The last takes the first's place. */
	must(ioctl(f.t[0].fd, TUNSETQUEUE, &off));
	for (uint16_t i = 0; i < FLOWS; i++)
		expect_eq(answered_on(&f, 3000 + i), 2);
}

struct talk {
	struct flows f;
	bool over;
};

/* The program goes on to send all flows on the last queue, and the host answers each again and
 * again.
 */
static void *talk(void *arg)
{
	struct talk *k = arg;

	for (uint16_t i = 0; !__atomic_load_n(&k->over, __ATOMIC_RELAXED); i++) {
		flow_sent(&k->f, 2, 3000 + i % FLOWS);
		for (uint16_t j = 0; j < 8; j++)
			answer(&k->f, 3000 + (i * 8 + j) % FLOWS);
		ring_rx_drain(&k->f.r[2]);
	}
	return NULL;
}

TEST_WITHIN(60, flows_stay_on_a_queue_while_it_moves)
{
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct ifreq on = { .ifr_flags = IFF_ATTACH_QUEUE };
	struct talk k = {};
	pthread_t thread;

	flows_open(&k.f, 3);
	for (int round = 0; round < 10; round++) {
		for (uint16_t i = 0; i < FLOWS; i++)
			flow_sent(&k.f, 2, 3000 + i);
		k.over = false;
		pthread_create(&thread, NULL, talk, &k);
		sleep_ms(5);
		/* The last takes the first's place. */
		must(ioctl(k.f.t[0].fd, TUNSETQUEUE, &off));
		sleep_ms(5);
		__atomic_store_n(&k.over, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		expect_eq(ring_rx_drain(&k.f.r[0]), 0);
		expect_eq(ring_rx_drain(&k.f.r[1]), 0);
		/* And becomes the last again. */
		must(ioctl(k.f.t[0].fd, TUNSETQUEUE, &on));
		must(ioctl(k.f.t[2].fd, TUNSETQUEUE, &off));
		must(ioctl(k.f.t[2].fd, TUNSETQUEUE, &on));
	}
	expect_eq(iface_stats(k.f.t[0].name).tx_dropped, 0);
}

TEST(flows_of_a_queue_that_left_are_spread)
{
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	int on[3] = {};
	struct flows f;

	flows_open(&f, 3);
	for (uint16_t i = 0; i < FLOWS; i++)
		flow_sent(&f, 0, 3000 + i);
	must(ioctl(f.t[0].fd, TUNSETQUEUE, &off));
	for (uint16_t i = 0; i < FLOWS; i++)
		on[answered_on(&f, 3000 + i)]++;
	expect_eq(on[0], 0);
	/* Half of them each, if not for chance. */
	expect(on[1] > FLOWS / 8);
	expect(on[2] > FLOWS / 8);
}

TEST_WITHIN(120, thousands_of_flows_are_known)
{
	const unsigned int flows = 8192;
	unsigned int known = 0;
	struct flows f;

	flows_open(&f, 4);
	for (unsigned int i = 0; i < flows; i++)
		flow_sent(&f, 1, 3000 + i);
	for (unsigned int i = 0; i < flows; i++)
		known += answered_on(&f, 3000 + i) == 1;
	/* A quarter of those that are not would come there by chance. */
	expect(known > flows * 9 / 10);
}

/* A million flows leave the table as large as it was, and the latest known. */
TEST_WITHIN(300, a_million_flows_make_room_for_the_next)
{
	const unsigned int flows = 1000000, batch = 50;
	struct flows f;
	struct packet p;
	struct iphdr *ip = (struct iphdr *)p.bytes;
	struct udphdr *udp = (struct udphdr *)(ip + 1);
	unsigned int known = 0;

	flows_open(&f, 4);
	packet_inbound(&p, &f.t[1], AF_INET, "f", 1);
	/* They are learned; the stack throws them away for their checksum. */
	ip->check ^= 0xffff;
	for (unsigned int i = 0; i < flows; i += batch) {
		for (unsigned int j = i; j < i + batch; j++) {
			ip->saddr = htonl(0x0a090002 + (j & 0x7f));
			udp->source = htons(1000 + (j >> 7));
			ring_tx_packet(&f.r[1], p.bytes, p.len);
		}
		ring_tx_flush(&f.r[1]);
	}
	for (uint16_t i = 0; i < FLOWS; i++)
		flow_sent(&f, 2, 60000 + i);
	for (uint16_t i = 0; i < FLOWS; i++)
		known += answered_on(&f, 60000 + i) == 2;
	/* Some may have taken each other's place. */
	expect(known > FLOWS - 8);
}
