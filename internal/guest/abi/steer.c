// SPDX-License-Identifier: MIT
/* Where packets are processed: RPS, RFS and XPS, as on a NIC. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "ring.h"

enum {
	PACKETS = 200
};

static void queue_knob(const struct tun *t, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues/%s", t->name, name);
	if (access(path, F_OK))
		skip("this kernel has no %s", name);
	must(write_file(path, value));
}

/* Packets that the stack has processed on a CPU, of all interfaces. */
static unsigned int processed(int cpu)
{
	const char *line = read_file("/proc/net/softnet_stat");
	unsigned int n = 0;

	for (int i = 0; line && *line; i++) {
		if (i == cpu && sscanf(line, "%x", &n) == 1)
			return n;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	fail("no line of CPU %d", cpu);
}

/* Sends from CPU 0; how many of the packets CPU 1 took up. */
static unsigned int sent_to_cpu1(struct ring *r, const struct tun *t, int udp, int reader)
{
	unsigned int before = processed(1);
	struct packet p;

	packet_inbound(&p, t, AF_INET, "where", 5);
	for (int i = 0; i < PACKETS; i++) {
		pin(0);
		ring_tx_packet(r, p.bytes, p.len);
		ring_tx_flush(r);
		pin(reader);
		udp_expect(udp, "where", 5);
	}
	return processed(1) - before;
}

TEST(rps_takes_packets_to_the_cpus_that_are_said)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);

	two_cpus();
	sysfs_here();
	expect(sent_to_cpu1(&r, &t, udp, 0) < PACKETS / 10);
	queue_knob(&t, "rx-0/rps_cpus", "2");
	expect(sent_to_cpu1(&r, &t, udp, 0) >= PACKETS);
	queue_knob(&t, "rx-0/rps_cpus", "1");
	expect(sent_to_cpu1(&r, &t, udp, 0) < PACKETS / 10);
}

/* The queue that a packet came by is the one whose rps_cpus count. */
TEST(rps_knows_the_queue)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun u = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring rt = ring_small(t.fd), ru = ring_small(u.fd);
	int udp = udp_here(AF_INET);

	two_cpus();
	sysfs_here();
	queue_knob(&t, "rx-0/rps_cpus", "1");
	queue_knob(&t, "rx-1/rps_cpus", "2");
	for (uint32_t mode = 0; mode < 3; mode++) {
		inject(t.fd, mode);
		inject(u.fd, mode);
		expect(sent_to_cpu1(&rt, &t, udp, 0) < PACKETS / 10);
		expect(sent_to_cpu1(&ru, &u, udp, 0) >= PACKETS);
	}
}

/* A setting of the machine, not of a network namespace. */
static void global_setting(void *value)
{
	int ns = must(open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC));

	must(setns(ns, CLONE_NEWNET));
	must(write_file("/proc/sys/net/core/rps_sock_flow_entries", value));
}

TEST(rfs_takes_packets_to_their_reader)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	unsigned int there, here;

	two_cpus();
	sysfs_here();
	queue_knob(&t, "rx-0/rps_flow_cnt", "256");
	spawn_wait(spawn(global_setting, "256"));
	there = sent_to_cpu1(&r, &t, udp, 1);
	here = sent_to_cpu1(&r, &t, udp, 0);
	spawn_wait(spawn(global_setting, "0"));
	/* All but the first, of which nobody knew who would read it. */
	expect(there >= PACKETS * 9 / 10);
	expect(here < PACKETS / 10);
}

/* From this CPU, of a flow that nobody knows: the queue that it arrives on. */
static int arrives_on(struct ring *rt, struct ring *ru, int cpu, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(0x0a090002) } };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), queue;
	struct pollfd pfd[2] = { { .fd = rt->fd, .events = POLLIN },
				 { .fd = ru->fd, .events = POLLIN } };

	pin(cpu);
	must(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
	expect_eq(must(poll(pfd, 2, 5000)), 1);
	queue = !!pfd[1].revents;
	ring_rx_drain(rt);
	ring_rx_drain(ru);
	return queue;
}

/* How many of these flows arrive on the second queue. */
static int arrive_on_the_second(struct ring *rt, struct ring *ru, int cpu)
{
	int n = 0;

	for (int i = 0; i < 30; i++)
		n += arrives_on(rt, ru, cpu, 3000 + i);
	return n;
}

TEST(xps_chooses_the_queue_of_an_unknown_flow)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun u = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring rt = ring_small(t.fd), ru = ring_small(u.fd);
	int n;

	two_cpus();
	sysfs_here();
	n = arrive_on_the_second(&rt, &ru, 0); /* by their hash */
	expect(n > 3 && n < 27);
	queue_knob(&t, "tx-0/xps_cpus", "1");
	queue_knob(&t, "tx-1/xps_cpus", "2");
	expect_eq(arrive_on_the_second(&rt, &ru, 0), 0);
	expect_eq(arrive_on_the_second(&rt, &ru, 1), 30);
	queue_knob(&t, "tx-0/xps_cpus", "2");
	queue_knob(&t, "tx-1/xps_cpus", "1");
	expect_eq(arrive_on_the_second(&rt, &ru, 0), 30);
	expect_eq(arrive_on_the_second(&rt, &ru, 1), 0);
	queue_knob(&t, "tx-0/xps_cpus", "0");
	queue_knob(&t, "tx-1/xps_cpus", "0");
	n = arrive_on_the_second(&rt, &ru, 0);
	expect(n > 3 && n < 27);
}

struct spread {
	bool over;
	unsigned int sent;
};

/* Unknown flows, one after the other: their hash is their socket's. */
static void *spread(void *arg)
{
	struct spread *s = arg;
	struct sockaddr_in to = { .sin_family = AF_INET };

	inet_pton(AF_INET, THERE4, &to.sin_addr);
	while (!__atomic_load_n(&s->over, __ATOMIC_RELAXED)) {
		int udp = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

		to.sin_port = htons(2000 + s->sent % 50000);
		must(connect(udp, (struct sockaddr *)&to, sizeof(to)));
		must(send(udp, "", 0, 0));
		close(udp);
		__atomic_add_fetch(&s->sent, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The core knows a queue before it can take packets, and a map of some other queue's makes the core
 * choose among all that it knows.
 */
TEST_WITHIN(60, a_queue_that_comes_costs_no_packet_where_xps_is_set)
{
	struct tun t[32] = { tun_open_up(IFF_TUN | IFF_MULTI_QUEUE) };
	struct spread s = {};
	struct rtnl_link_stats64 stats;
	pthread_t thread;

	two_cpus();
	sysfs_here();
	t[1] = tun_open(t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
	ring_new(t[0].fd, ring_args(1 << 24));
	ring_new(t[1].fd, ring_args(1 << 24));
	queue_knob(&t[0], "tx-1/xps_cpus", "2");
	/* Nobody reads the others. */
	must(iface_set_txqueuelen(t[0].name, 10000));
	pin(0);
	pthread_create(&thread, NULL, spread, &s);
	for (size_t i = 2; i < ARRAY_SIZE(t); i++) {
		unsigned int sent = __atomic_load_n(&s.sent, __ATOMIC_RELAXED);

		eventually(__atomic_load_n(&s.sent, __ATOMIC_RELAXED) > sent + 5);
		t[i] = tun_open(t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
	}
	__atomic_store_n(&s.over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	stats = iface_stats(t[0].name);
	printf("# %u packets sent, %llu dropped\n", s.sent, (unsigned long long)stats.tx_dropped);
	expect_eq(stats.tx_dropped, 0);
}

TEST(xps_does_not_move_a_flow_that_the_program_sends)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun u = tun_open(t.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring rt = ring_small(t.fd), ru = ring_small(u.fd);
	struct ring *rings[] = { &rt, &ru };
	int udp = udp_here(AF_INET);
	struct packet p;

	two_cpus();
	sysfs_here();
	queue_knob(&t, "tx-0/xps_cpus", "1");
	queue_knob(&t, "tx-1/xps_cpus", "2");
	packet_inbound(&p, &t, AF_INET, "flow", 4);
	for (int i = 0; i < 20; i++) {
		struct ring *known = rings[i / 2 % 2];

		ring_tx_packet(known, p.bytes, p.len);
		ring_tx_flush(known);
		udp_expect(udp, "flow", 4);
		pin(i % 2);
		udp_send(udp, "back", 4);
		ring_rx_wait(known);
		expect_eq(ring_rx_drain(known), 1);
		expect_eq(ring_rx_drain(rings[!(i / 2 % 2)]), 0);
	}
}
