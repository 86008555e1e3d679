// SPDX-License-Identifier: MIT
/*
 * Packets of write(2) that stay in the stack: they count against the file's send buffer,
 * and may outlive file and interface. Here they wait in the queueing discipline of
 * another port of a bridge.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <mytun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "slow.h"
#include "tun.h"

TEST(a_full_send_buffer_is_eagain_and_poll_tells_when_there_is_room)
{
	struct tun t = slow_open(20000);
	struct pollfd pfd = { .fd = t.fd, .events = POLLOUT };
	struct packet p;

	slow_frame(&p);
	expect_eq(must(poll(&pfd, 1, 0)), 1);
	slow_fill_up(&t, &p);
	expect_eq(must(poll(&pfd, 1, 100)), 0);
	run("(sleep 0.2; tc qdisc del dev slow root) &");
	expect_eq(must(poll(&pfd, 1, 10000)), 1);
	expect_eq(pfd.revents, POLLOUT);
	expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
}

TEST(a_packet_that_no_skb_holds_is_emsgsize_however_it_comes)
{
	struct tun t = tun_open_up(IFF_TUN);
	static uint8_t huge[1 << 20] = { 0x45 };
	struct iovec iov = { huge, sizeof(huge) };

	expect_errno(write(t.fd, huge, sizeof(huge)), EMSGSIZE);
	expect_errno(pwritev2(t.fd, &iov, 1, -1, RWF_NOWAIT), EMSGSIZE);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	expect_errno(write(t.fd, huge, sizeof(huge)), EMSGSIZE);
	expect_eq(iface_stats(t.name).rx_dropped, 3);
}

struct writer {
	struct tun t;
	struct packet p;
	int err;
	bool awake;
	unsigned int *written; /* shared with whoever looks; may be NULL */
};

static void write_until(void *arg)
{
	struct writer *w = arg;

	while (write(w->t.fd, w->p.bytes, w->p.len) == w->p.len)
		if (w->written)
			__atomic_add_fetch(w->written, 1, __ATOMIC_RELAXED);
	/* One that is not asleep may find the interface down before it is gone. */
	if (!(w->awake && errno == EIO))
		expect_eq(errno, w->err);
}

TEST(a_writer_that_waits_for_memory_is_woken_when_its_interface_is_deleted)
{
	static struct writer w = { .err = EBADFD };
	pid_t child;

	w.t = slow_open(20000);
	slow_frame(&w.p);
	child = spawn(write_until, &w);
	wait_asleep(child);
	iface_del("port0");
	spawn_wait(child);
	expect(!iface_exists("port0"));
	/* The packets keep the socket, that the namespace, and that the packets. */
	slow_release();
}

static unsigned int written(const struct writer *w)
{
	return __atomic_load_n(w->written, __ATOMIC_RELAXED);
}

/* One that writes to a file with this send buffer, and is asleep when this returns. */
static pid_t writer_asleep(struct writer *w, int sndbuf)
{
	pid_t child;

	w->written = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	expect(w->written != MAP_FAILED);
	w->t = slow_open(sndbuf);
	slow_frame(&w->p);
	child = spawn(write_until, w);
	wait_asleep(child);
	expect(written(w) > 0);
	return child;
}

/* Whatever the send buffer, as long as it has room for one packet, which each has. */
static void goes_on(int sndbuf)
{
	static struct writer w = { .err = EBADFD, .awake = true };
	pid_t child = writer_asleep(&w, sndbuf);
	unsigned int before = written(&w);

	slow_release();
	eventually(written(&w) > before + 1000);
	iface_del("port0");
	spawn_wait(child);
	tun_close(&w.t);
	run("ip link del slow && ip link del bridge");
}

TEST(a_writer_that_waits_for_memory_goes_on_when_there_is_some)
{
	goes_on(20000);
	goes_on(1);
}

TEST(a_writer_that_waits_for_memory_goes_on_when_it_may_have_more)
{
	static struct writer w = { .err = EBADFD };
	pid_t child = writer_asleep(&w, 20000);
	unsigned int before = written(&w);
	int sndbuf = 60000;

	must(ioctl(w.t.fd, TUNSETSNDBUF, &sndbuf));
	eventually(written(&w) > before);
	wait_asleep(child);
	iface_del("port0");
	spawn_wait(child);
	slow_release();
}

TEST(a_file_with_the_least_send_buffer_is_writable)
{
	struct tun t = slow_open(1);
	struct pollfd pfd = { .fd = t.fd, .events = POLLOUT };
	struct packet p;
	int sndbuf;

	slow_frame(&p);
	expect_eq(must(poll(&pfd, 1, 0)), 1);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	/* The first empties the bucket of what is allowed to go at once. */
	while (write(t.fd, p.bytes, p.len) == p.len)
		;
	expect_eq(errno, EAGAIN);
	expect_eq(must(poll(&pfd, 1, 100)), 0);
	slow_release();
	expect_eq(must(poll(&pfd, 1, 10000)), 1);
	must(ioctl(t.fd, TUNGETSNDBUF, &sndbuf));
	expect_eq(sndbuf, 1);
}

/* Of two interfaces, on one CPU: the writer, whom all others go before, waits for memory at the
 * first when its file comes to the second, and learns of both at once.
 */
TEST(a_writer_that_waits_for_memory_lets_go_of_an_interface_that_its_file_left)
{
	static struct writer w = { .err = EBADFD };
	struct sched_param fifo = { .sched_priority = 1 }, none = {};
	struct tun second = tun_open("port1", IFF_TAP);
	struct ifreq ifr;
	int sndbuf = 20000; /* no room there, either */
	pid_t child;

	must(ioctl(second.fd, TUNSETSNDBUF, &sndbuf));
	must(ioctl(second.fd, TUNSETPERSIST, 1));
	tun_close(&second);
	pin(0);
	child = writer_asleep(&w, sndbuf);
	must(ioctl(w.t.fd, TUNSETPERSIST, 1));
	must(sched_setscheduler(child, SCHED_IDLE, &none));
	must(sched_setscheduler(0, SCHED_FIFO, &fifo));
	must(ioctl(w.t.fd, MYTUN_IOC_DETACH, 0));
	must(tun_set_iff(w.t.fd, "port1", IFF_TAP | IFF_NO_PI, &ifr));
	must(sched_setscheduler(0, SCHED_OTHER, &none));
	spawn_wait(child);
	iface_del("port0"); /* waits for whoever holds it */
	iface_del("port1");
	slow_release();
}

TEST(packets_outlive_their_interface_and_their_file)
{
	for (int round = 0; round < 3; round++) {
		struct tun t = slow_open(200000);
		struct packet p;

		slow_frame(&p);
		slow_fill_up(&t, &p);
		if (round == 0)
			iface_del("port0");
		if (round == 1)
			must(ioctl(t.fd, TUNSETPERSIST, 1));
		tun_close(&t);
		expect_eq(iface_exists("port0"), round == 1);
		slow_release(); /* and now they go */
		iface_del_if_there("port0");
		run("ip link del slow && ip link del bridge");
	}
}

TEST(packets_of_a_killed_writer_go_their_way)
{
	static struct writer w;
	pid_t child;

	w.t = slow_open(20000);
	slow_frame(&w.p);
	child = spawn(write_until, &w);
	wait_asleep(child);
	tun_close(&w.t);
	must(kill(child, SIGKILL));
	must(waitpid(child, NULL, 0));
	eventually(!iface_exists("port0"));
	slow_release();
}
