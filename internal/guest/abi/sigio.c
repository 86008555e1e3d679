// SPDX-License-Identifier: MIT
/* SIGIO: to whom, for what, and what the signal says. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "slow.h"

/* Blocks the signal that F_SETSIG asks for, so that it waits to be looked at. */
static int ask_for(int fd, bool with_info)
{
	int sig = with_info ? SIGRTMIN : SIGIO;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	if (with_info)
		must(fcntl(fd, F_SETSIG, sig));
	must(fcntl(fd, F_SETOWN, getpid()));
	must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC | O_NONBLOCK));
	return sig;
}

/* The next signal of that number within @ms; si_signo is 0 when none came. */
static siginfo_t next_signal(int sig, int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
	siginfo_t info = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	if (sigtimedwait(&set, &info, &t) < 0) {
		expect_eq(errno, EAGAIN);
		memset(&info, 0, sizeof(info));
	}
	return info;
}

static void expect_signal(int sig, int fd, int code, int band)
{
	siginfo_t info = next_signal(sig, 5000);

	expect_eq(info.si_signo, sig);
	expect_eq(info.si_code, code);
	expect_eq(info.si_fd, fd);
	expect_eq(info.si_band & band, band);
}

static void expect_no_signal(int sig)
{
	expect_eq(next_signal(sig, 0).si_signo, 0);
}

TEST(each_packet_for_a_plain_file_sends_a_signal)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	int sig = ask_for(t.fd, true);

	for (int i = 0; i < 3; i++)
		udp_send(udp, "x", 1);
	for (int i = 0; i < 3; i++)
		expect_signal(sig, t.fd, POLL_IN, POLLIN);
	expect_no_signal(sig);
}

TEST(sigio_itself_comes_once_for_several_packets)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	int sig = ask_for(t.fd, false);

	for (int i = 0; i < 3; i++)
		udp_send(udp, "x", 1);
	expect_eq(next_signal(sig, 5000).si_signo, SIGIO);
	expect_no_signal(sig);
}

TEST(room_to_write_sends_a_signal)
{
	struct tun t = slow_open(20000);
	int sig = ask_for(t.fd, true);
	struct packet p;

	slow_frame(&p);
	slow_fill_up(&t, &p); /* and nobody polled the file */
	while (next_signal(sig, 0).si_signo)
		; /* what the bridge sends */
	run("(sleep 0.2; tc qdisc del dev slow root) &");
	for (;;) {
		siginfo_t info = next_signal(sig, 10000);

		expect_eq(info.si_signo, sig);
		expect_eq(info.si_fd, t.fd);
		if (info.si_code == POLL_OUT)
			break;
	}
	expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
}

struct ringed {
	struct tun t;
	struct ring r;
	int udp;
	int sig;
};

static struct ringed ringed(uint32_t flags)
{
	struct mytun_rings args = ring_args(1 << 12);
	struct ringed w = { .t = tun_open_up(IFF_TUN) };

	args.flags = flags;
	w.r = ring_new(w.t.fd, args);
	w.udp = udp_here(AF_INET);
	w.sig = ask_for(w.t.fd, true);
	return w;
}

static void one_tx(struct ringed *w)
{
	struct packet p;

	packet_inbound(&p, &w->t, AF_INET, "x", 1);
	ring_tx_packet(&w->r, p.bytes, p.len);
	ring_tx_flush(&w->r);
}

TEST(without_the_event_index_each_record_sends_a_signal)
{
	struct ringed w = ringed(0);

	for (int i = 0; i < 3; i++)
		udp_send(w.udp, "x", 1);
	for (int i = 0; i < 3; i++)
		expect_signal(w.sig, w.t.fd, POLL_IN, POLLIN);
	one_tx(&w);
	expect_signal(w.sig, w.t.fd, POLL_OUT, POLLOUT);
	expect_no_signal(w.sig);
}

TEST(with_the_event_index_a_signal_comes_when_the_position_is_passed)
{
	struct ringed w = ringed(MYTUN_RINGS_F_EVENT_IDX);

	w.r.rx_cons->event = 2 * 64;
	for (int i = 0; i < 6; i++) {
		expect_no_signal(w.sig);
		udp_send(w.udp, "x", 1);
		if (i == 2)
			expect_signal(w.sig, w.t.fd, POLL_IN, POLLIN);
	}
	w.r.tx_prod->event = 3 * 64 - 1;
	for (int i = 0; i < 6; i++) {
		expect_no_signal(w.sig);
		one_tx(&w);
		if (i == 2)
			expect_signal(w.sig, w.t.fd, POLL_OUT, POLLOUT);
	}
	expect_no_signal(w.sig);
}

TEST(the_end_of_a_queue_sends_a_signal_that_says_so)
{
	struct ringed w = ringed(MYTUN_RINGS_F_EVENT_IDX);
	struct tun t;
	int sig;

	w.r.tx_prod->pos = 8;
	ring_expect_fault(&w.r);
	expect_signal(w.sig, w.t.fd, POLL_HUP, POLLHUP);
	expect_no_signal(w.sig);
	must(ioctl(w.t.fd, MYTUN_IOC_DETACH, 0));
	expect_signal(w.sig, w.t.fd, POLL_HUP, POLLHUP);

	t = tun_open_up(IFF_TUN);
	sig = ask_for(t.fd, true);
	iface_del(t.name);
	expect_signal(sig, t.fd, POLL_HUP, POLLHUP);
}

TEST(new_rings_send_signals_for_both_directions)
{
	struct tun t = tun_open_up(IFF_TUN);
	int sig = ask_for(t.fd, true);

	ring_small(t.fd);
	expect_signal(sig, t.fd, POLL_IN, POLLIN);
	expect_signal(sig, t.fd, POLL_OUT, POLLOUT);
	expect_no_signal(sig);
}

TEST(no_signal_comes_to_whom_the_file_is_taken_from)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	int sig = ask_for(t.fd, true);

	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	udp_send(udp, "x", 1);
	expect_no_signal(sig);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK | O_ASYNC));
	udp_send(udp, "x", 1);
	expect_signal(sig, t.fd, POLL_IN, POLLIN);
	must(fcntl(t.fd, F_SETOWN, 0));
	udp_send(udp, "x", 1);
	expect_no_signal(sig);
}

/* Its parent sends, and it exits well when the signal has come. */
static void wait_for_signal(void *arg)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, *(int *)arg);
	sigwait(&set, &sig);
}

TEST(the_signal_goes_to_the_process_that_f_setown_names)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	int sig = ask_for(t.fd, true);
	pid_t child = spawn(wait_for_signal, &sig);

	must(fcntl(t.fd, F_SETOWN, child));
	udp_send(udp, "x", 1);
	spawn_wait(child);
	expect_no_signal(sig);
}

TEST(without_f_setown_it_goes_to_who_asked)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(fcntl(t.fd, F_SETFL, O_ASYNC));
	udp_send(udp, "x", 1);
	expect_eq(next_signal(SIGIO, 5000).si_signo, SIGIO);
}

TEST(a_thread_of_its_own_can_get_the_signal)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct f_owner_ex owner = { F_OWNER_TID, syscall(SYS_gettid) };
	int udp = udp_here(AF_INET);
	int sig = ask_for(t.fd, true);

	must(fcntl(t.fd, F_SETOWN_EX, &owner));
	udp_send(udp, "x", 1);
	expect_signal(sig, t.fd, POLL_IN, POLLIN);
}
