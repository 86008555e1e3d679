// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "who.h"

#include <grp.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "packet.h"
#include "tun.h"

void become(const struct who *w)
{
	must(setgroups(w->extra ? 1 : 0, &w->extra));
	must(setresgid(w->gid, w->gid, w->gid));
	must(setresuid(w->uid, w->uid, w->uid));
}

static void attempt(void *arg)
{
	const struct who *w = arg;
	struct ifreq ifr;
	int ret;

	become(w);
	ret = tun_set_iff(tun_open_file(), w->name, w->flags, &ifr);
	if (ret != (w->err ? -1 : 0) || (ret && errno != w->err))
		fail("uid %d, groups %d and %d: %s, not %s", w->uid, w->gid, w->extra,
		     ret ? strerrorname(errno) : "worked", w->err ? strerrorname(w->err) : "that");
}

void attach(uid_t uid, gid_t gid, gid_t extra, const char *name, int err)
{
	struct who w = { uid, gid, extra, IFF_TUN | IFF_NO_PI, err, name };

	spawn_wait(spawn(attempt, &w));
}

void prepared(const char *name, long owner, long group)
{
	struct tun t = tun_open(name, IFF_TUN);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	if (owner >= 0)
		must(ioctl(t.fd, TUNSETOWNER, owner));
	if (group >= 0)
		must(ioctl(t.fd, TUNSETGROUP, group));
	tun_close(&t);
}

int uid_capture(const char *ifname)
{
	struct bpf_insn prog[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_socket_uid },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uintptr_t)prog,
				.insn_cnt = ARRAY_SIZE(prog),
				.license = (uintptr_t) "GPL" };
	int fd = raw_socket(ifname), bpf;

	bpf = must(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)));
	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &bpf, sizeof(bpf)));
	return fd;
}
