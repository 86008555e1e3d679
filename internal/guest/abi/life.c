// SPDX-License-Identifier: MIT
/* The end of a queue with rings, from every side, and what its program sees of it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"

static short poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	must(poll(&p, 1, 0));
	return p.revents;
}

static void expect_detached(const struct ring *r)
{
	struct mytun_info info;

	must(ioctl(r->fd, MYTUN_IOC_INFO, &info));
	expect_eq(info.ifindex, 0);
	expect_eq(info.queue, ~0u);
	expect(load_acquire(&r->rx_prod->flags) & MYTUN_END_F_DETACHED);
	expect(load_acquire(&r->tx_cons->flags) & MYTUN_END_F_DETACHED);
	expect_eq(poll_now(r->fd), POLLIN | POLLHUP);
	expect_errno(ring_doorbell(r), EBADFD);
	expect_errno(ioctl(r->fd, MYTUN_IOC_DETACH, 0), EBADFD);
}

TEST(detach_needs_an_attached_file)
{
	int fd = tun_open_file();

	expect_errno(ioctl(fd, MYTUN_IOC_DETACH, 0), EBADFD);
}

TEST(detach_takes_no_argument)
{
	struct tun t = tun_open("", IFF_TUN);

	expect_errno(ioctl(t.fd, MYTUN_IOC_DETACH, 1), EINVAL);
	expect(iface_exists(t.name));
}

TEST(detach_works_without_rings)
{
	struct tun t = tun_open("", IFF_TUN);
	char byte;

	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	expect(!iface_exists(t.name));
	expect_errno(ioctl(t.fd, MYTUN_IOC_DETACH, 0), EBADFD);
	expect_errno(read(t.fd, &byte, 1), EBADFD);
}

TEST(detach_deletes_the_interface_though_it_is_mapped)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);

	expect_eq(r.rx_prod->flags, 0);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	expect(!iface_exists(t.name));
	expect_detached(&r);
	memset(r.rx_data, 1, 2 * r.g.rx_size); /* the memory is still there */
	ring_unmap(&r);
}

TEST(detach_of_one_queue_leaves_the_others_at_work)
{
	struct tun a = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring ra = ring_small(a.fd), rb = ring_small(b.fd);
	int udp = udp_here(AF_INET);
	struct packet p;

	must(ioctl(a.fd, MYTUN_IOC_DETACH, 0));
	expect(iface_exists(b.name));
	expect_detached(&ra);

	udp_send(udp, "out", 3);
	ring_rx_wait(&rb);
	packet_inbound(&p, &b, AF_INET, "in", 2);
	ring_tx_packet(&rb, p.bytes, p.len);
	ring_tx_flush(&rb);
	udp_expect(udp, "in", 2);
}

/* Sends as many as the ring holds, or until it is to stop. */
struct sender {
	int raw;
	bool stop;
	uint32_t sent;
};

static void *send_on(void *arg)
{
	static const uint8_t bytes[100];
	struct sender *s = arg;

	while (s->sent < 5000 && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		raw_send(s->raw, 0x88b5, bytes, sizeof(bytes));
		__atomic_store_n(&s->sent, s->sent + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The last queue takes the place of one that leaves, while packets are under way to it. */
static void one_leaves(void)
{
	struct tun a = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TUN | IFF_MULTI_QUEUE);
	struct ring r = ring_new(b.fd, ring_args(1 << 20));
	struct sender s = { .raw = raw_socket(a.name) };
	uint32_t got = 0;
	pthread_t thread;

	must(ebpf_set(&a, TUNSETSTEERINGEBPF, bpf_constant(1)));
	expect_eq(pthread_create(&thread, NULL, send_on, &s), 0);
	while (__atomic_load_n(&s.sent, __ATOMIC_RELAXED) < 20)
		sched_yield();
	must(ioctl(a.fd, MYTUN_IOC_DETACH, 0));
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	expect_eq(pthread_join(thread, NULL), 0);
	for (; ring_rx(&r); ring_rx_done(&r))
		got++;
	expect_eq(got, s.sent);
	expect_eq(iface_stats(b.name).tx_dropped, 0);
	close(s.raw);
	ring_unmap(&r);
	tun_close(&a);
	tun_close(&b);
}

TEST_WITHIN(60, detach_of_one_queue_costs_the_others_no_packet)
{
	for (unsigned int i = 0; i <= 20 / patience(); i++)
		one_leaves();
}

TEST(a_persistent_interface_outlives_its_queue)
{
	struct tun t = tun_open("", IFF_TUN), again;
	struct ring r = ring_small(t.fd);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	expect_detached(&r);
	expect(iface_exists(t.name));
	expect(!(iface_flags(t.name) & IFF_RUNNING));

	again = tun_open(t.name, IFF_TUN);
	ring_small(again.fd);
	must(ioctl(again.fd, TUNSETPERSIST, 0));
	must(ioctl(again.fd, MYTUN_IOC_DETACH, 0));
	expect(!iface_exists(t.name));
}

TEST(deleting_the_interface_detaches_its_mapped_queues)
{
	struct tun a = tun_open_up(IFF_TAP | IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TAP | IFF_MULTI_QUEUE);
	struct ring ra = ring_small(a.fd), rb = ring_small(b.fd);

	iface_del(a.name);
	expect_detached(&ra);
	expect_detached(&rb);
	ring_unmap(&ra);
	close(a.fd);
}

TEST(records_that_lie_in_a_ring_outlive_the_interface)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);
	struct mytun_rec *rec;

	udp_send(udp, "first", 5);
	udp_send(udp, "second", 6);
	ring_rx_wait(&r);
	iface_del(t.name);
	rec = ring_rx(&r);
	expect(rec && rec->len == UDP4 + 5);
	expect(!memcmp((char *)rec_packet(rec) + UDP4, "first", 5));
	ring_rx_done(&r);
	rec = ring_rx(&r);
	expect(rec && rec->len == UDP4 + 6);
	ring_rx_done(&r);
	expect(!ring_rx(&r));
}

static void delete_tun0(void *arg)
{
	wait_asleep(getppid());
	iface_del(arg);
}

TEST(deleting_the_interface_wakes_poll)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct mytun_rings args = ring_args(1 << 16);
	struct pollfd p = { .fd = t.fd, .events = POLLIN };
	pid_t child;

	args.flags = MYTUN_RINGS_F_EVENT_IDX; /* an event position must not hold it back */
	ring_new(t.fd, args);
	child = spawn(delete_tun0, t.name);
	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect_eq(p.revents, POLLIN | POLLHUP);
	spawn_wait(child);
}

static void detach_fd(void *arg)
{
	wait_asleep(getppid());
	must(ioctl(*(int *)arg, MYTUN_IOC_DETACH, 0));
}

TEST(detach_wakes_poll)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct pollfd p = { .fd = t.fd, .events = POLLIN };
	struct ring r = ring_small(t.fd);
	pid_t child = spawn(detach_fd, &t.fd);

	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect_eq(p.revents, POLLIN | POLLHUP);
	spawn_wait(child);
	expect_detached(&r);
}

TEST(detach_wakes_read)
{
	struct tun t = tun_open_up(IFF_TUN);
	pid_t child = spawn(detach_fd, &t.fd);
	char buf[100];

	expect_errno(read(t.fd, buf, sizeof(buf)), EBADFD);
	spawn_wait(child);
}

TEST(a_mapping_keeps_the_queue_and_the_last_unmap_deletes_the_interface)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_small(t.fd);
	int udp = udp_here(AF_INET);

	close(t.fd);
	expect(iface_exists(t.name));
	expect(iface_flags(t.name) & IFF_RUNNING);
	udp_send(udp, "still", 5);
	eventually(ring_rx(&r));
	ring_rx_done(&r);
	expect_eq(r.rx_prod->flags, 0);
	ring_unmap(&r);
	expect(!iface_exists(t.name));
}

struct held {
	struct ring r;
	int go[2];
};

static void hold_mapping(void *arg)
{
	struct held *h = arg;
	char byte;

	close(h->r.fd);
	close(h->go[1]);
	must(read(h->go[0], &byte, 1));
	ring_unmap(&h->r);
}

TEST(a_forked_child_with_the_mapping_keeps_the_queue)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct held h = { .r = ring_small(t.fd) };
	pid_t child;

	must(pipe(h.go));
	child = spawn(hold_mapping, &h);
	close(t.fd);
	ring_unmap(&h.r);
	expect(iface_exists(t.name));
	close(h.go[1]);
	spawn_wait(child);
	expect(!iface_exists(t.name));
}

TEST(a_killed_process_takes_its_interface_along)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct held h = { .r = ring_small(t.fd) };
	pid_t child;

	must(pipe(h.go));
	child = spawn(hold_mapping, &h);
	close(t.fd);
	ring_unmap(&h.r);
	must(kill(child, SIGKILL));
	must(waitpid(child, NULL, 0));
	eventually(!iface_exists(t.name));
}

TEST(a_network_namespace_that_ends_detaches_the_queues_of_interfaces_in_it)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);
	int home = must(open("/proc/self/ns/net", O_RDONLY)), away;
	struct pollfd p = { .fd = t.fd, .events = POLLIN };

	/* A file keeps the namespace in which it was opened. Another one can end. */
	netns_new();
	away = must(open("/proc/self/ns/net", O_RDONLY));
	must(setns(home, CLONE_NEWNET));
	iface_move(t.name, away);
	close(away);
	expect_eq(must(poll(&p, 1, 20000)), 1);
	expect_detached(&r);
}

TEST(a_queue_serves_its_interface_in_another_network_namespace)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);
	int home = must(open("/proc/self/ns/net", O_RDONLY)), away, udp;
	struct packet p;

	netns_new();
	away = must(open("/proc/self/ns/net", O_RDONLY));
	must(setns(home, CLONE_NEWNET));
	iface_move(t.name, away);
	expect(!iface_exists(t.name));
	must(setns(away, CLONE_NEWNET));
	iface_up(t.name);
	udp = udp_here(AF_INET);
	udp_send(udp, "out", 3);
	ring_rx_wait(&r);
	packet_inbound(&p, &t, AF_INET, "in", 2);
	ring_tx_packet(&r, p.bytes, p.len);
	ring_tx_flush(&r);
	udp_expect(udp, "in", 2);
	must(ioctl(t.fd, MYTUN_IOC_DETACH, 0));
	expect(!iface_exists(t.name));
}

static void open_in_new_netns(void *arg)
{
	struct tun t;

	netns_new();
	t = tun_open_up(IFF_TUN);
	ring_small(t.fd);
	(void)arg;
}

TEST(a_network_namespace_ends_with_the_process_that_had_a_mapped_queue_in_it)
{
	spawn_wait(spawn(open_in_new_netns, NULL));
}
