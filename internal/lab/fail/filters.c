// SPDX-License-Identifier: MIT
/* Filters that cannot be asked for: what passes tells which one there is. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "nth.h"

/* TUNSETTXFILTER: host 02:..:0n, and groups enough that some are hashed. */
static int set_addresses(const struct tun *t, int n)
{
	static union {
		struct tun_filter f;
		uint8_t bytes[sizeof(struct tun_filter) + 6 * 12];
	} u;
	uint8_t *addr = u.bytes + sizeof(u.f);

	memset(&u, 0, sizeof(u));
	u.f.count = 12;
	for (int i = 0; i < 12; i++, addr += 6)
		memcpy(addr, (uint8_t[6]){ i ? 1 : 2, 0, 0, 0, 0, i ? i : n }, 6);
	return ioctl(t->fd, TUNSETTXFILTER, &u);
}

static void expect_passes(const struct tun *t, int n)
{
	frame_send(t, (uint8_t[6]){ 2, 0, 0, 0, 0, 1 }, 1);
	expect_eq(frames_count(t), n == 1);
	frame_send(t, (uint8_t[6]){ 2, 0, 0, 0, 0, 2 }, 1);
	expect_eq(frames_count(t), n == 2);
}

TEST_WITHIN(300, addresses_are_replaced_or_not)
{
	struct failing f = failing("TUNSETTXFILTER");
	struct tun t = tap_up(0);

	while (fail_next(&f)) {
		must(set_addresses(&t, 1));
		expect_passes(&t, 1);
		under(&f, set_addresses(&t, 2));
		expect_passes(&t, fail_done(&f, ENOMEM, EFAULT) ? 2 : 1);
	}
}

/* Of 100 bytes. */
static unsigned int bytes_that_pass(const struct tun *t)
{
	uint8_t bytes[200];
	ssize_t n;

	frame_send(t, NULL, 55);
	n = read(t->fd, bytes, sizeof(bytes));
	return n < 0 ? 0 : n;
}

TEST_WITHIN(300, a_classic_program_is_replaced_or_not)
{
	struct failing f = failing("TUNATTACHFILTER, another one");
	struct tun t = tap_up(0);

	expect_eq(frames_count(&t), 0); /* it does not block from here on */
	while (fail_next(&f)) {
		struct sock_fprog *old = cbpf_constant(70), *new = &cbpf_first_byte;
		struct sock_fprog told = {};
		bool done;

		must(ioctl(t.fd, TUNATTACHFILTER, old));
		expect_eq(bytes_that_pass(&t), 70);
		under(&f, ioctl(t.fd, TUNATTACHFILTER, new));
		done = fail_done(&f, ENOMEM, EFAULT);
		expect_eq(bytes_that_pass(&t), done ? 55 : 70);
		/* What was tried last; but not what could not even be read. */
		must(ioctl(t.fd, TUNGETFILTER, &told));
		expect((told.filter == new->filter &&told.len == new->len) ||
		       (!done && told.filter == old->filter && told.len == old->len));
	}
	must(ioctl(t.fd, TUNDETACHFILTER, 0));
	expect_eq(bytes_that_pass(&t), 100);
}
