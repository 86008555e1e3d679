// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "admin.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "queue.h"
#include "tally.h"

static int home = -1, away = -1;

void away_new(void)
{
	home = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	netns_new();
	away = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	must(setns(home, CLONE_NEWNET));
}

static void delete_everywhere(void *arg)
{
	(void)arg;
	close_why(); /* it may go while it is looked for */
	iface_del_if_there(HOSTILE);
	must(setns(away, CLONE_NEWNET));
	iface_del_if_there(HOSTILE);
}

void hostile_delete(void)
{
	pid_t pid = spawn(delete_everywhere, NULL);

	waitpid(pid, NULL, 0);
}

static void bring_up(void)
{
	char path[64] = "/proc/sys/net/ipv6/conf/" HOSTILE "/disable_ipv6";

	write_file(path, "0");
	iface_up_bare(HOSTILE);
	iface_addr(HOSTILE, AF_INET, HOSTILE_HERE, 24);
}

/* One change, which fails when the interface is not there, or goes meanwhile. */
static void change(void *arg)
{
	struct rnd *r = arg;

	close_why();
	switch (below(r, 16)) {
	case 0:
		iface_down(HOSTILE);
		break;
	case 1:
		iface_set_mtu(HOSTILE, 68 + below(r, 65535 - 67));
		break;
	case 2:
		iface_set_mtu(HOSTILE, 1500);
		break;
	case 3:
	case 4:
		iface_set_txqueuelen(HOSTILE, below(r, 2) ? below(r, 5) : 500);
		break;
	case 5:
		iface_move(HOSTILE, away);
		break;
	case 6:
	case 7:
		must(setns(away, CLONE_NEWNET));
		iface_move(HOSTILE, home);
		break;
	case 8:
		hostile_delete();
		break;
	case 9: /* what others ask all the time */
		iface_stats(HOSTILE);
		iface_ethtool(HOSTILE, "rx_q0_packets");
		break;
	case 10:
		must(setns(away, CLONE_NEWNET));
		bring_up();
		break;
	default:
		bring_up();
	}
}

void administer(void *seed)
{
	struct rnd r = rnd_new(*(uint64_t *)seed, 100);

	while (!stopped()) {
		pid_t pid = spawn(change, &r);

		waitpid(pid, NULL, 0);
		rnd(&r); /* the child's turn of it was its own */
		tally_add(ADMINISTERED, 1);
		sleep_ms(below(&r, 30));
	}
}
