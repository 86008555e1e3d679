// SPDX-License-Identifier: MIT
/*
 * Rounds of making an interface, giving it rings, traffic in both directions, and an
 * end of it all in random order while the traffic goes on. Nothing may be left over.
 *
 * ROUNDS and SEED in the environment set their number and repeat them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "leak.h"
#include "packet.h"
#include "ring.h"

enum {
	WORKERS = 4,
	QUEUES = 4,
	WARM_UP = 80,
	ROUNDS = 1000
};

static uint64_t rng;

static unsigned int rnd(unsigned int n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

struct round_state {
	char name[IFNAMSIZ];
	bool tap;
	bool liar;
	int queues;
	struct tun t[QUEUES];
	struct ring r[QUEUES]; /* .map is NULL without rings */
	struct packet p;
	pid_t traffic[3];
};

static void set_rings(struct round_state *s, int q)
{
	struct mytun_rings args = {
		.flags = rnd(MYTUN_RINGS_F_ALL + 1),
		.rx_size = 1 << (12 + rnd(6)),
		.tx_size = 1 << (12 + rnd(6)),
		.rx_headroom = rnd(100),
		.rx_tailroom = rnd(100),
	};

	s->r[q] = ring_new(s->t[q].fd, args);
}

static void set_up(struct round_state *s)
{
	int flags;

	s->tap = rnd(2);
	s->liar = rnd(8) == 0;
	s->queues = 1 + rnd(QUEUES);
	flags = (s->tap ? IFF_TAP : IFF_TUN) | (s->queues > 1 || rnd(2) ? IFF_MULTI_QUEUE : 0);
	for (int q = 0; q < s->queues; q++) {
		s->t[q] = tun_open(s->name, flags);
		must(fcntl(s->t[q].fd, F_SETFL, O_NONBLOCK));
		if (rnd(4))
			set_rings(s, q);
	}
	/* From the host behind the interface to nobody. */
	packet_inbound(&s->p, &s->t[0], AF_INET, "0123456789", 10);
	memset(s->p.bytes + (s->tap ? ETH : 0) + 16, 7, 4);
	packet_finish(&s->p, s->tap);
	if (rnd(10) == 0)
		must(ioctl(s->t[0].fd, TUNSETPERSIST, 1));
	if (rnd(10))
		iface_up_bare(s->name);
}

/* What a program does with a queue until it is taken from it. */
static void serve_ring(const struct round_state *s, struct ring *r, const struct packet *p)
{
	ring_rx_drain(r);
	for (int i = rnd(10); i && ring_tx_room(r) > 1024; i--)
		ring_tx_packet(r, p->bytes, p->len);
	ring_tx_publish(r);
	ring_doorbell(r);
	if (s->liar && rnd(20) == 0)
		fill(r->map + rnd(r->g.map_size - 64), 64, rnd(1000));
}

static void serve_file(int fd, const struct packet *p)
{
	char buf[2000];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	if (write(fd, p->bytes, p->len) < 0)
		return;
}

static void traffic(struct round_state *s, int n)
{
	struct sockaddr_ll ll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = iface_index(s->name),
	};
	int raw = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);

	for (;;) {
		for (int i = rnd(20); i; i--)
			sendto(raw, s->p.bytes, s->p.len, 0, (struct sockaddr *)&ll, sizeof(ll));
		for (int q = n; q < s->queues; q += ARRAY_SIZE(s->traffic)) {
			if (s->r[q].map)
				serve_ring(s, &s->r[q], &s->p);
			else
				serve_file(s->t[q].fd, &s->p);
		}
		if (rnd(4) == 0) /* twelve of these have two CPUs */
			sleep_ms(1);
	}
}

static void start_traffic(struct round_state *s)
{
	for (size_t n = 0; n < ARRAY_SIZE(s->traffic); n++) {
		s->traffic[n] = must(fork());
		if (!s->traffic[n]) {
			rng += n;
			if (s->liar) /* what it reads may be its own lies */
				close_why();
			traffic(s, n);
		}
	}
}

enum step {
	CLOSE,
	UNMAP,
	DETACH,
	DISABLE,
	RINGS,
	DELETE,
	KILL,
	DOWN,
	STEPS
};

static void queue_step(struct round_state *s, enum step step, int q)
{
	struct ifreq ifr = { .ifr_flags = rnd(2) ? IFF_DETACH_QUEUE : IFF_ATTACH_QUEUE };

	switch (step) {
	case CLOSE:
		close(s->t[q].fd);
		s->t[q].fd = -1;
		break;
	case UNMAP:
		if (s->r[q].map)
			ring_unmap(&s->r[q]);
		break;
	case DETACH:
		ioctl(s->t[q].fd, MYTUN_IOC_DETACH, 0);
		break;
	case DISABLE:
		ioctl(s->t[q].fd, TUNSETQUEUE, &ifr);
		break;
	default:
		break;
	}
}

static void late_rings(struct round_state *s, int q)
{
	struct mytun_rings args = ring_args(1 << (12 + rnd(4)));

	ioctl(s->t[q].fd, MYTUN_IOC_RINGS, &args);
}

static void tear_down(struct round_state *s)
{
	for (int n = rnd(4 * s->queues + 4); n; n--) {
		enum step step = rnd(STEPS);
		int q = rnd(s->queues);

		if (step == DELETE)
			iface_del_if_there(s->name);
		else if (step == KILL)
			kill(s->traffic[rnd(ARRAY_SIZE(s->traffic))], SIGKILL);
		else if (step == RINGS)
			late_rings(s, q);
		else
			queue_step(s, step, q);
		if (rnd(3) == 0)
			sleep_ms(rnd(3));
	}
}

static void one_round(const char *name)
{
	static struct round_state s;

	setpgid(0, 0);
	if (rnd(3) == 0)
		netns_new();
	snprintf(s.name, sizeof(s.name), "%s", name);
	set_up(&s);
	start_traffic(&s);
	sleep_ms(rnd(4));
	tear_down(&s);
	if (rnd(2))
		raise(SIGKILL);
	_exit(0);
}

struct worker {
	int index;
	int rounds;
	uint64_t seed;
};

static void work(void *arg)
{
	const struct worker *w = arg;
	char name[IFNAMSIZ];

	/* What a killed round leaves becomes this process's child. */
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	snprintf(name, sizeof(name), "round%d", w->index);
	for (int i = 0; i < w->rounds; i++) {
		int status;
		pid_t pid;

		rng = (w->seed + i + 1) * 0x9e3779b97f4a7c15ull + w->index;
		pid = must(fork());
		if (!pid)
			one_round(name);
		must(waitpid(pid, &status, 0));
		if (WIFEXITED(status) && WEXITSTATUS(status))
			_exit(1); /* it said why */
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			fail("round %d of worker %d died of signal %d", i, w->index,
			     WTERMSIG(status));
		kill(-pid, SIGKILL);
		while (waitpid(-1, NULL, 0) > 0)
			;
		iface_del_if_there(name); /* if persistent */
		eventually(!iface_exists(name));
	}
}

static void run_rounds(int rounds, uint64_t seed)
{
	struct worker w[WORKERS];
	pid_t pids[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){ i, rounds / WORKERS, seed + 1000003 * i };
		pids[i] = spawn(work, &w[i]);
	}
	for (int i = 0; i < WORKERS; i++)
		spawn_wait(pids[i]);
}

TEST_ALONE(400, rounds_in_any_order_leave_nothing_behind)
{
	const char *env_rounds = getenv("ROUNDS"), *env_seed = getenv("SEED");
	int rounds = env_rounds ? atoi(env_rounds) : ROUNDS;
	uint64_t seed = env_seed ? strtoull(env_seed, NULL, 0) : (uint64_t)time(NULL);
	struct leak_figures before, after;

	printf("# SEED=%llu ROUNDS=%d\n", (unsigned long long)seed, rounds);
	fflush(stdout);
	/* The first rounds fill caches that then stay. */
	run_rounds(WARM_UP, seed + 1);
	leak_settle();
	before = leak_figures();
	run_rounds(rounds, seed);
	leak_settle();
	after = leak_figures();
	leak_compare(&before, &after, rounds);
}
