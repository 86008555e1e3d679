// SPDX-License-Identifier: MIT
/* What becomes of a call whose queue changes while it waits: for a page of its caller's, for
 * memory, or for the CPU.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fetch.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "records.h"
#include "ring.h"

/* A packet leaves by an interface that may have no address. */
static void packet_out(const char *name)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(0x0800),
				  .sll_ifindex = iface_index(name) };
	int fd = must(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	must(sendto(fd, "out", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
}

/* An interface that stays when its file leaves it: nobody has to wait for the call to end. */
static struct tun stays(const char *name, int flags)
{
	struct tun t = tun_open(name, flags);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	iface_up(t.name);
	return t;
}

static void leave(void *arg)
{
	struct tun *t = arg;

	must(ioctl(t->fd, MYTUN_IOC_DETACH, 0));
}

static void move(void *arg)
{
	struct tun *t = arg;
	struct ifreq ifr;

	leave(t);
	must(tun_set_iff(t->fd, "other0", IFF_TUN | IFF_NO_PI | IFF_NAPI, &ifr));
	iface_up_bare("other0");
}

static void expect_nothing_came(int udp, const char *name)
{
	sleep_ms(50);
	udp_expect_none(udp);
	expect_eq(iface_stats(name).rx_packets, 0);
}

TEST(a_packet_is_not_of_the_interface_that_its_file_moves_to)
{
	struct tun t = stays("first0", IFF_TUN | IFF_NAPI);
	int udp = udp_here(AF_INET);
	struct packet p;
	struct fetched f = { .packet = p.bytes, .change = move, .arg = &t };
	pthread_t thread;

	packet_inbound(&p, &t, AF_INET, "late", 4);
	f.len = p.len;
	thread = fetch_later(&f);
	expect_errno(write(t.fd, f.page, p.len), EBADFD);
	pthread_join(thread, NULL);
	expect_nothing_came(udp, "first0");
	expect_eq(iface_stats("first0").rx_dropped, 1);
	expect_nothing_came(udp, "other0");
	iface_del("first0");
}

TEST(a_record_is_not_of_the_interface_that_its_file_moves_to)
{
	struct tun t = stays("first0", IFF_TUN | IFF_NAPI);
	int udp = udp_here(AF_INET);
	static struct records r;
	struct packet p;
	struct fetched f = { .change = move, .arg = &t };
	struct iovec iov[2];
	pthread_t thread;

	records_on(t.fd);
	packet_inbound(&p, &t, AF_INET, "late", 4);
	records_add(&r, &p);
	records_add(&r, &p);
	iov[0] = (struct iovec){ r.bytes, r.rec[0]->size };
	f.packet = r.rec[1];
	f.len = r.rec[1]->size;
	thread = fetch_later(&f);
	iov[1] = (struct iovec){ f.page, f.len };
	/* The second is not consumed. */
	expect_eq(must(writev(t.fd, iov, 2)), r.rec[0]->size);
	pthread_join(thread, NULL);
	expect_eq(iface_stats("first0").rx_dropped, 1);
	expect_nothing_came(udp, "other0");
	iface_del("first0");
}

enum {
	MANY = 6
};

/* To a queue whose number the first interface does not have. */
static void move_among_many(void *arg)
{
	struct tun *t = arg;
	struct ifreq ifr;

	leave(t);
	for (int i = 1; i < MANY; i++)
		tun_open("many0", IFF_TUN | IFF_MULTI_QUEUE);
	must(tun_set_iff(t->fd, "many0", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, &ifr));
}

/* A socket for what comes by each receive queue of an interface; the first is for what comes by
 * none that is known.
 */
static void listen_by_queue(int fds[MANY + 1], const char *name)
{
	struct sockaddr_ll from = { .sll_family = AF_PACKET,
				    .sll_protocol = htons(0x0800),
				    .sll_ifindex = iface_index(name) };
	uint32_t by_queue = 1 | PACKET_FANOUT_QM << 16;

	for (int i = 0; i <= MANY; i++) {
		fds[i] = must(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
		must(bind(fds[i], (struct sockaddr *)&from, sizeof(from)));
		must(setsockopt(fds[i], SOL_PACKET, PACKET_FANOUT, &by_queue, sizeof(by_queue)));
	}
}

static void no_number_of_another(bool records)
{
	struct tun t = stays("first0", IFF_TUN | IFF_MULTI_QUEUE);
	struct fetched f = { .change = move_among_many, .arg = &t };
	int fds[MANY + 1];
	static struct records r;
	struct packet p;
	struct iovec iov[2];
	pthread_t thread;
	ssize_t len;
	char byte;

	tun_open("first0", IFF_TUN | IFF_MULTI_QUEUE);
	if (records)
		records_on(t.fd);
	listen_by_queue(fds, "first0");
	packet_inbound(&p, &t, AF_INET, "late", 4);
	records_clear(&r);
	records_add(&r, &p);
	iov[0] = (struct iovec){ records ? (void *)r.bytes : p.bytes, records ? r.len : 20 };
	f.packet = records ? r.bytes : p.bytes + 20;
	f.len = records ? r.len : p.len - 20;
	thread = fetch_later(&f);
	iov[1] = (struct iovec){ f.page, f.len };
	/* Of the records the second is not consumed. */
	len = must(writev(t.fd, iov, 2));
	expect_eq(len, records ? r.len : p.len);
	pthread_join(thread, NULL);
	eventually(iface_stats("first0").rx_packets == 1);
	eventually(recv(fds[0], &byte, 1, MSG_DONTWAIT) == 1);
	for (int i = 1; i <= MANY; i++)
		expect_errno(recv(fds[i], &byte, 1, MSG_DONTWAIT), EAGAIN);
	iface_del("first0");
}

TEST(a_packet_has_no_queue_of_the_interface_that_its_file_moves_to)
{
	no_number_of_another(false);
}

TEST(a_record_has_no_queue_of_the_interface_that_its_file_moves_to)
{
	no_number_of_another(true);
}

/* Those that carry nothing, too, keep the interface as long as they take. */
TEST(records_after_its_file_has_left_are_not_taken)
{
	struct tun t = stays("first0", IFF_TUN);
	struct mytun_rec skipped[8];
	struct fetched f = {
		.packet = skipped, .len = sizeof(skipped), .change = leave, .arg = &t
	};
	pthread_t thread;

	records_on(t.fd);
	for (size_t i = 0; i < ARRAY_SIZE(skipped); i++)
		skipped[i] = (struct mytun_rec){ .size = sizeof(*skipped),
						 .flags = MYTUN_REC_F_SKIP };
	thread = fetch_later(&f);
	/* The one that it was at when its page came. */
	expect_eq(must(write(t.fd, f.page, f.len)), sizeof(*skipped));
	pthread_join(thread, NULL);
	iface_del("first0");
}

/* Packets wait on the other interface when the page comes. */
static void move_to_packets(void *arg)
{
	struct tun *t = arg;
	struct ifreq ifr;

	leave(t);
	must(tun_set_iff(t->fd, "other0", IFF_TUN | IFF_NO_PI, &ifr));
	iface_up_bare("other0");
	for (int i = 0; i < 3; i++)
		packet_out("other0");
}

TEST(a_read_takes_none_of_the_interface_that_its_file_moves_to)
{
	struct tun t = stays("first0", IFF_TUN);
	struct fetched f = {
		.packet = "", .len = 1, .change = move_to_packets, .arg = &t
	};
	pthread_t thread;

	records_on(t.fd);
	packet_out("first0");
	thread = fetch_later(&f);
	expect_errno(read(t.fd, f.page, 4096), EBADFD);
	pthread_join(thread, NULL);
	expect_eq(iface_stats("first0").tx_packets, 0);
	expect_eq(iface_stats("first0").tx_dropped, 1);
	expect_eq(iface_stats("other0").tx_dropped, 0);
	iface_del("first0");
}

/* The protocol is what the writer waits for; there is no skb yet. */
static void no_memory_for_who_left(int rwf)
{
	struct tun_pi pi = { .proto = htons(0x0800) };
	struct tun t = { .fd = tun_open_file() };
	struct fetched f = {
		.packet = &pi, .len = sizeof(pi), .change = leave, .arg = &t
	};
	struct iovec iov[2];
	struct packet p;
	struct ifreq ifr;
	pthread_t thread;

	must(tun_set_iff(t.fd, "first0", IFF_TUN, &ifr));
	strcpy(t.name, "first0");
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	iface_up_bare(t.name);
	packet_inbound(&p, &t, AF_INET, "late", 4);
	thread = fetch_later(&f);
	iov[0] = (struct iovec){ f.page, sizeof(pi) };
	iov[1] = (struct iovec){ p.bytes, p.len };
	expect_errno(pwritev2(t.fd, iov, 2, -1, rwf), EBADFD);
	pthread_join(thread, NULL);
	expect_eq(iface_stats("first0").rx_packets, 0);
	iface_del("first0");
	tun_close(&t);
}

TEST(a_file_that_left_has_no_memory_for_packets)
{
	no_memory_for_who_left(0);
	no_memory_for_who_left(RWF_NOWAIT);
}

/* Of a process that runs only when this one sleeps, and on the same CPU. */
struct reader {
	struct tun t;
	pid_t pid;
};

static void reader_run(void *arg)
{
	const struct reader *r = arg;
	char bytes[2048];
	ssize_t n;

	n = read(r->t.fd, bytes, sizeof(bytes));
	if (n < 0)
		expect_eq(errno, EBADFD);
}

static void fifo(bool on)
{
	struct sched_param p = { .sched_priority = on ? 1 : 0 };

	must(sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &p));
}

/* The reader has been woken by a packet, and comes to run while the queue is leaving: the core's
 * thread, which does not run either, still has a packet of ours.
 */
static void leave_before_a_reader_runs(bool records)
{
	struct reader r = { .t = stays("first0", IFF_TUN | IFF_NAPI) };
	int udp = udp_here(AF_INET);
	struct packet p;

	pin(0);
	iface_knob(r.t.name, "threaded", "1");
	if (records)
		records_on(r.t.fd);
	packet_inbound(&p, &r.t, AF_INET, "up", 2);
	r.pid = spawn(reader_run, &r);
	wait_asleep(r.pid);
	fifo(true);
	if (records) {
		static struct records recs;

		records_clear(&recs);
		records_add(&recs, &p);
		expect_eq(must(write(r.t.fd, recs.bytes, recs.len)), recs.len);
	} else {
		expect_eq(must(write(r.t.fd, p.bytes, p.len)), p.len);
	}
	udp_send(udp, "down", 4);
	leave(&r.t);
	fifo(false);
	spawn_wait(r.pid);
	expect_eq(iface_stats("first0").tx_packets + iface_stats("first0").tx_dropped, 1);
	iface_del("first0");
	tun_close(&r.t);
	close(udp);
}

TEST(a_reader_that_is_woken_too_late_is_told_so)
{
	sysfs_here();
	for (int i = 0; i < 10; i++)
		leave_before_a_reader_runs(i & 1);
}

/* The core polls the interface's only queue in a thread, which runs on the first CPU alone. */
static void napi_in_a_thread(const struct tun *t)
{
	cpu_set_t first;
	pid_t pid;

	iface_knob(t->name, "threaded", "1");
	expect_eq(kernel_threads("napi/", &pid), 1);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	must(sched_setaffinity(pid, sizeof(first), &first));
}

/* The core's thread has not run when many packets wait and their queue leaves, which waits for one
 * poll: some of the rest go up, and not all, on whose time others wait for RTNL.
 */
TEST(of_many_packets_that_wait_the_last_are_dropped_and_counted)
{
	const unsigned int written = 1000, last = 256;
	struct tun t = stays("first0", IFF_TUN | IFF_NAPI);
	struct rtnl_link_stats64 s;
	struct packet p;

	sysfs_here();
	pin(0);
	napi_in_a_thread(&t);
	packet_inbound(&p, &t, AF_INET, "up", 2);
	fifo(true);
	for (unsigned int i = 0; i < written; i++)
		expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
	leave(&t);
	fifo(false);
	s = iface_stats("first0");
	expect_eq(s.rx_packets + s.rx_dropped, written);
	expect(s.rx_packets >= last);
	expect(s.rx_dropped > 0);
	iface_del("first0");
	tun_close(&t);
}

struct spinner {
	pthread_t thread;
	bool runs, stop;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;

	pin(0);
	fifo(true);
	__atomic_store_n(&s->runs, true, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
		;
	return NULL;
}

/* Keeps the first CPU from all others. */
static void spinner_start(struct spinner *s)
{
	*s = (struct spinner){};
	pthread_create(&s->thread, NULL, spin, s);
	while (!__atomic_load_n(&s->runs, __ATOMIC_RELAXED))
		sleep_ms(1);
}

static void spinner_stop(struct spinner *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
	pthread_join(s->thread, NULL);
}

/* Nor has it run when packets wait and the interface goes down. */
TEST(packets_that_wait_do_not_go_up_at_an_interface_that_is_down)
{
	struct tun t = tun_open_up(IFF_TUN | IFF_NAPI);
	int udp = udp_here(AF_INET);
	struct rtnl_link_stats64 s;
	struct spinner spinner;
	struct packet p;

	two_cpus();
	sysfs_here();
	pin(1);
	napi_in_a_thread(&t);
	packet_inbound(&p, &t, AF_INET, "up", 2);
	spinner_start(&spinner);
	for (int i = 0; i < 5; i++)
		expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
	iface_down(t.name);
	s = iface_stats(t.name);
	expect_eq(s.rx_packets + s.rx_dropped, 0);
	spinner_stop(&spinner);
	eventually(iface_stats(t.name).rx_dropped == 5);
	expect_eq(iface_stats(t.name).rx_packets, 0);
	udp_expect_none(udp);
	tun_close(&t);
	close(udp);
}

/* Rings are made without a lock, and take their time. */
#define LARGE (1 << 25)

static void make_rings(void *arg)
{
	const struct tun *t = arg;
	struct mytun_rings g = ring_args(LARGE);

	if (ioctl(t->fd, MYTUN_IOC_RINGS, &g))
		_exit(errno);
}

static int status_of(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0));
	return status;
}

TEST_WITHIN(60, rings_come_once_though_two_ask_for_them)
{
	for (int i = 0; i < 5; i++) {
		struct tun t = tun_open_up(IFF_TUN);
		pid_t a = spawn(make_rings, &t), b = spawn(make_rings, &t);
		int first = status_of(a), second = status_of(b);

		expect(WIFEXITED(first) && WIFEXITED(second));
		first = WEXITSTATUS(first);
		second = WEXITSTATUS(second);
		expect((!first && second == EBUSY) || (!second && first == EBUSY));
		tun_close(&t);
	}
}

/* What comes of rings when @meanwhile happens to who is making them, sooner or later. */
static void while_rings_are_made(void (*meanwhile)(struct tun *t, pid_t pid),
				 void (*look)(int status))
{
	pin(0);
	for (int ms = 1; ms <= 24; ms += 3) {
		struct tun t = tun_open("", IFF_TUN);
		pid_t pid = spawn(make_rings, &t);

		fifo(true);
		sleep_ms(ms);
		meanwhile(&t, pid);
		fifo(false);
		look(status_of(pid));
		tun_close(&t);
	}
}

static void leave_now(struct tun *t, pid_t pid)
{
	(void)pid;
	leave(t);
}

static void expect_rings_or_ebadfd(int status)
{
	expect(WIFEXITED(status));
	status = WEXITSTATUS(status);
	expect(!status || status == EBADFD);
}

TEST_WITHIN(60, rings_are_not_of_a_queue_that_has_left)
{
	while_rings_are_made(leave_now, expect_rings_or_ebadfd);
}

static void kill_now(struct tun *t, pid_t pid)
{
	(void)t;
	must(kill(pid, SIGKILL));
}

static void expect_killed_or_done(int status)
{
	expect((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || !status);
}

TEST_WITHIN(60, who_makes_rings_can_be_killed)
{
	while_rings_are_made(kill_now, expect_killed_or_done);
}
