// SPDX-License-Identifier: MIT
/*
 * Packets of write(2) that stay in the stack: they count against the file's send buffer,
 * and may outlive file and interface. Here they wait in the queueing discipline of
 * another port of a bridge.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "tun.h"

/* By bash: the guest's sh has tools of its own, which know less. */
static bool runs(const char *command)
{
	pid_t pid = must(fork());
	int status;

	if (!pid) {
		execlp("bash", "bash", "-c", command, NULL);
		_exit(127);
	}
	must(waitpid(pid, &status, 0));
	return status == 0;
}

static void run(const char *command)
{
	if (!runs(command))
		fail("%s", command);
}

/* A TAP port of a bridge whose other port sends one packet, and keeps the others. */
static struct tun bridged(int sndbuf)
{
	struct tun t = tun_open("port0", IFF_TAP);

	must(ioctl(t.fd, TUNSETSNDBUF, &sndbuf));
	if (!runs("ip link add slow type dummy && "
		  "tc qdisc add dev slow root tbf rate 8bit burst 2000 limit 10000000"))
		skip("no dummy device or no tbf");
	run("ip link add bridge type bridge && ip link set slow master bridge && "
	    "ip link set port0 master bridge && "
	    "for i in slow port0 bridge; do ip link set $i up; done");
	return t;
}

static void frame(struct packet *p)
{
	p->len = 1000;
	memset(p->bytes, 0, p->len);
	/* To one whom the bridge does not know: what goes to all is copied. */
	memcpy(p->bytes, "\x02\0\0\0\0\x03\x02\0\0\0\0\x02\x88\xb5", ETH);
}

static void fill_up(struct tun *t, const struct packet *p)
{
	int n = 0;

	must(fcntl(t->fd, F_SETFL, O_NONBLOCK));
	while (write(t->fd, p->bytes, p->len) == p->len)
		if (++n == 10000)
			fail("the send buffer never fills");
	expect_eq(errno, EAGAIN);
	expect(n > 1);
}

TEST(a_full_send_buffer_is_eagain_and_poll_tells_when_there_is_room)
{
	struct tun t = bridged(20000);
	struct pollfd pfd = { .fd = t.fd, .events = POLLOUT };
	struct packet p;

	frame(&p);
	expect_eq(must(poll(&pfd, 1, 0)), 1);
	fill_up(&t, &p);
	expect_eq(must(poll(&pfd, 1, 100)), 0);
	run("(sleep 0.2; tc qdisc del dev slow root) &");
	expect_eq(must(poll(&pfd, 1, 10000)), 1);
	expect_eq(pfd.revents, POLLOUT);
	expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
}

struct writer {
	struct tun t;
	struct packet p;
	int err;
	bool awake;
};

static void write_until(void *arg)
{
	struct writer *w = arg;

	while (write(w->t.fd, w->p.bytes, w->p.len) == w->p.len)
		;
	/* One that is not asleep may find the interface down before it is gone. */
	if (!(w->awake && errno == EIO))
		expect_eq(errno, w->err);
}

TEST(a_writer_that_waits_for_memory_is_woken_when_its_interface_is_deleted)
{
	static struct writer w = { .err = EBADFD };
	pid_t child;

	w.t = bridged(20000);
	frame(&w.p);
	child = spawn(write_until, &w);
	wait_asleep(child);
	iface_del("port0");
	spawn_wait(child);
	expect(!iface_exists("port0"));
	/* The packets keep the socket, that the namespace, and that the packets. */
	run("tc qdisc del dev slow root");
}

TEST(a_writer_that_waits_for_memory_goes_on_when_there_is_some)
{
	static struct writer w = { .err = EBADFD, .awake = true };
	pid_t child;

	w.t = bridged(20000);
	frame(&w.p);
	child = spawn(write_until, &w);
	wait_asleep(child);
	run("tc qdisc del dev slow root");
	sleep_ms(20);
	iface_del("port0");
	spawn_wait(child);
}

TEST(packets_outlive_their_interface_and_their_file)
{
	for (int round = 0; round < 3; round++) {
		struct tun t = bridged(200000);
		struct packet p;

		frame(&p);
		fill_up(&t, &p);
		if (round == 0)
			iface_del("port0");
		if (round == 1)
			must(ioctl(t.fd, TUNSETPERSIST, 1));
		tun_close(&t);
		expect_eq(iface_exists("port0"), round == 1);
		run("tc qdisc del dev slow root"); /* and now they go */
		iface_del_if_there("port0");
		run("ip link del slow && ip link del bridge");
	}
}

TEST(packets_of_a_killed_writer_go_their_way)
{
	static struct writer w;
	pid_t child;

	w.t = bridged(20000);
	frame(&w.p);
	child = spawn(write_until, &w);
	wait_asleep(child);
	tun_close(&w.t);
	must(kill(child, SIGKILL));
	must(waitpid(child, NULL, 0));
	eventually(!iface_exists("port0"));
	run("tc qdisc del dev slow root");
}
