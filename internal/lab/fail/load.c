// SPDX-License-Identifier: MIT
/* insmod and rmmod: the module is there, with its node and its kind of interface, or not at all. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "carry.h"
#include "check.h"
#include "iface.h"
#include "nth.h"
#include "tun.h"

/* Where the guest's init loads it from. */
#define MODULE "/mytun.ko"

static int load(void)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC), ret, err;

	if (fd < 0)
		return -1;
	ret = syscall(SYS_finit_module, fd, "", 0);
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "mytun", O_NONBLOCK);
}

static bool loaded(void)
{
	return !access("/sys/module/mytun/refcnt", F_OK);
}

static bool registered(void)
{
	return strstr(read_file("/proc/misc"), "mytun");
}

static void works(void)
{
	struct tun t = tun_open("", IFF_TUN);

	carry_up(&t);
	tun_close(&t);
}

TEST_WITHIN(900, the_module_is_loaded_or_not)
{
	struct failing f = failing("insmod");

	netns_new(); /* without IPv6, which would send a word of its own */
	expect(loaded());
	must(unload());
	while (fail_next(&f)) {
		under(&f, load());
		/* The module's own are ENOMEM; the loader says of some of its own that they are
		 * no module, or none of this kernel.
		 */
		if (!fail_done(&f, ENOMEM, EFAULT, ENOEXEC, EINVAL, ENFILE)) {
			eventually(!loaded());
			expect(!registered());
			must(load());
		}
		expect(registered());
		/* Not even the node need be there; that is not the module's. */
		if (!access(tun_path, F_OK))
			works();
		else
			expect(f.fired);
		must(unload());
		expect(!registered());
	}
	must(load());
	works();
}

TEST_WITHIN(300, the_module_can_always_be_unloaded)
{
	struct failing f = failing("rmmod");

	while (fail_next(&f)) {
		under(&f, unload());
		if (!fail_done(&f, EFAULT, ENOMEM))
			must(unload());
		expect(!registered());
		must(load());
		works();
	}
}
