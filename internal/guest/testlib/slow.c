// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "slow.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

bool runs(const char *command)
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

void run(const char *command)
{
	if (!runs(command))
		fail("%s", command);
}

void bridge(const char *a, const char *b)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd),
		 "ip link add bridge type bridge && ip link set %s master bridge && "
		 "ip link set %s master bridge && "
		 "for i in %s %s bridge; do ip link set $i up; done",
		 a, b, a, b);
	run(cmd);
	sleep_ms(500);
}

struct tun slow_open(int sndbuf)
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

void slow_release(void)
{
	run("tc qdisc del dev slow root");
}

void slow_frame(struct packet *p)
{
	p->len = 1000;
	memset(p->bytes, 0, p->len);
	/* To one whom the bridge does not know: what goes to all is copied. */
	memcpy(p->bytes, "\x02\0\0\0\0\x03\x02\0\0\0\0\x02\x88\xb5", ETH);
}

void slow_fill_up(struct tun *t, const struct packet *p)
{
	int n = 0;

	must(fcntl(t->fd, F_SETFL, fcntl(t->fd, F_GETFL) | O_NONBLOCK));
	while (write(t->fd, p->bytes, p->len) == p->len)
		if (++n == 10000)
			fail("the send buffer never fills");
	expect_eq(errno, EAGAIN);
	expect(n > 1);
}
