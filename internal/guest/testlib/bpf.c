// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "bpf.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "both.h"
#include "check.h"
#include "iface.h"
#include "packet.h"

static int load(enum bpf_prog_type type, const struct bpf_insn *insns, uint32_t n)
{
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (uintptr_t)insns,
		.insn_cnt = n,
		.license = (uintptr_t) "GPL",
	};
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	/* Of older kernels, which count programs that are still being freed. */
	must(setrlimit(RLIMIT_MEMLOCK, &unlimited));
	return must(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)));
}

int bpf_first_byte(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LD | BPF_ABS | BPF_B, .imm = ETH },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(BPF_PROG_TYPE_SOCKET_FILTER, insns, ARRAY_SIZE(insns));
}

int bpf_constant(uint32_t value)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU | BPF_MOV | BPF_K, .imm = (int)value },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(BPF_PROG_TYPE_SOCKET_FILTER, insns, ARRAY_SIZE(insns));
}

int bpf_of_another_type(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU | BPF_MOV | BPF_K, .imm = 2 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(BPF_PROG_TYPE_XDP, insns, ARRAY_SIZE(insns));
}

static struct sock_filter first_byte[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH),
	BPF_STMT(BPF_RET | BPF_A, 0),
};

struct sock_fprog cbpf_first_byte = { ARRAY_SIZE(first_byte), first_byte };

struct sock_fprog *cbpf_constant(uint32_t value)
{
	static struct sock_filter insn;
	static struct sock_fprog prog = { 1, &insn };

	insn = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value);
	return &prog;
}

struct tun tap_up(int flags)
{
	struct ifreq ifr = { .ifr_hwaddr = { 1, { 2, 0, 0, 0, 0, 0 } } };
	struct tun t = tun_open("", IFF_TAP | flags);

	/* Not one by chance, which nobody can compare. */
	must(ioctl(t.fd, SIOCSIFHWADDR, &ifr));
	iface_up_bare(t.name);
	return t;
}

int ebpf_set(const struct tun *t, unsigned long cmd, int prog)
{
	int ret = ioctl(t->fd, cmd, &prog);

	close(prog);
	return ret;
}

void frame_send(const struct tun *t, const void *to, uint8_t first)
{
	uint8_t frame[100] = {};
	int raw = raw_socket(t->name);

	if (to)
		memcpy(frame, to, 6);
	else
		iface_mac(t->name, frame);
	frame[6] = 2;
	frame[12] = 0x88; /* a protocol for experiments */
	frame[13] = 0xb5;
	frame[ETH] = first;
	raw_send(raw, 0x88b5, frame, sizeof(frame));
	close(raw);
}

static ssize_t frame_read(const struct tun *t, uint8_t *frame, size_t len)
{
	ssize_t n;

	must(fcntl(t->fd, F_SETFL, O_NONBLOCK));
	n = read(t->fd, frame, len);
	if (n < 0)
		expect_eq(errno, EAGAIN);
	return n;
}

void frames_say(const struct tun *t)
{
	uint8_t frame[200];
	ssize_t n;

	while ((n = frame_read(t, frame, sizeof(frame))) > 0)
		say("%zd bytes, to %02x..%02x, first byte %d", n, frame[0], frame[5],
		    n > ETH ? frame[ETH] : -1);
	say("that is all; %llu dropped", (unsigned long long)iface_stats(t->name).tx_dropped);
}

unsigned int frames_count(const struct tun *t)
{
	uint8_t frame[200];
	unsigned int n = 0;

	while (frame_read(t, frame, sizeof(frame)) > 0)
		n++;
	return n;
}
