// SPDX-License-Identifier: MIT
/* Opening, attaching, settings: the ioctls. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "world.h"

static struct file *file_of(uint64_t i)
{
	return &files[i % FILES];
}

/* Two threads must not close one number twice: it may be another's by then. */
static int take_fd(struct file *f)
{
	return __atomic_exchange_n(&f->fd, -1, __ATOMIC_SEQ_CST);
}

void call_open(const uint64_t *a)
{
	struct file *f = file_of(a[0]);
	int old = take_fd(f);

	if (old >= 0)
		close(old);
	memset(&f->g, 0, sizeof(f->g));
	f->map = NULL;
	f->fd = open("/dev/net/mytun", a[1] | O_CLOEXEC);
}

void call_close(const uint64_t *a)
{
	int fd = take_fd(file_of(a[0]));

	if (fd >= 0)
		close(fd);
}

void call_dup(const uint64_t *a)
{
	struct file *from = file_of(a[0]), *to = file_of(a[1]);
	int old;

	if (from == to || from->fd < 0)
		return;
	old = take_fd(to);
	if (old >= 0)
		close(old);
	to->tap = from->tap;
	to->pi = from->pi;
	to->vnet = from->vnet;
	to->g = from->g;
	to->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
}

void call_setiff(const uint64_t *a)
{
	struct file *f = file_of(a[0]);
	struct ifreq ifr = { .ifr_flags = a[2] };

	strcpy(ifr.ifr_name, names[a[1] % NAMES]);
	if (ioctl(f->fd, TUNSETIFF, &ifr))
		return;
	f->tap = a[2] & IFF_TAP;
	f->pi = !(a[2] & IFF_NO_PI);
	f->vnet = a[2] & IFF_VNET_HDR;
}

void call_setqueue(const uint64_t *a)
{
	struct ifreq ifr = { .ifr_flags = a[1] };

	ioctl(file_of(a[0])->fd, TUNSETQUEUE, &ifr);
}

void call_setlong(const uint64_t *a)
{
	ioctl(file_of(a[0])->fd, a[1], a[2]);
}

void call_setint(const uint64_t *a)
{
	int value = a[2];

	ioctl(file_of(a[0])->fd, a[1], &value);
}

/* All that answers into memory; or has none to answer into. */
void call_get(const uint64_t *a)
{
	union {
		struct ifreq ifr;
		struct mytun_info info;
		struct mytun_mode mode;
		char bytes[4096];
	} answer = {};
	int fd;

	fd = ioctl(file_of(a[0])->fd, a[1], a[2] ? (void *)(uintptr_t)a[2] : &answer);
	if ((a[1] == TUNGETDEVNETNS || a[1] == SIOCGSKNS) && fd >= 0)
		close(fd);
}

void call_hwaddr(const uint64_t *a)
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = a[1] };

	memset(ifr.ifr_hwaddr.sa_data, a[2], 6);
	ioctl(file_of(a[0])->fd, SIOCSIFHWADDR, &ifr);
}

void call_txfilter(const uint64_t *a)
{
	struct {
		struct tun_filter f;
		uint8_t addr[64][6];
	} filter = { .f = { .flags = a[1], .count = a[2] } };

	for (size_t i = 0; i < ARRAY_SIZE(filter.addr); i++)
		memset(filter.addr[i], a[3] + 2 * i, 6);
	ioctl(file_of(a[0])->fd, TUNSETTXFILTER, &filter);
}

void call_classic(const uint64_t *a)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_RET | BPF_K, (uint32_t)a[2]),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog prog = { .len = a[1], .filter = code };
	int fd = file_of(a[0])->fd;

	if (a[3])
		ioctl(fd, TUNDETACHFILTER, &prog);
	else
		ioctl(fd, TUNATTACHFILTER, &prog);
}

void call_ebpf(const uint64_t *a)
{
	int prog = a[2] < PROGS ? prog_fd[a[2]] : a[2] == PROGS ? file_of(a[0])->fd
								: -1;

	ioctl(file_of(a[0])->fd, a[1] ? TUNSETFILTEREBPF : TUNSETSTEERINGEBPF, &prog);
}

void call_mode(const uint64_t *a)
{
	struct mytun_mode mode = { .flags = a[1], .inject = a[2] };

	mode.reserved[a[4] % 6] = a[3];
	ioctl(file_of(a[0])->fd, MYTUN_IOC_SET_MODE, &mode);
}

static int an_eventfd(uint64_t which, int own)
{
	switch (which) {
	case 0:
		return -1;
	case 1:
		return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	case 2: /* about to overflow */
		return eventfd(0xfffffffe, EFD_CLOEXEC | EFD_NONBLOCK);
	case 3:
		return dup(own);
	}
	return which;
}

void call_eventfds(const uint64_t *a)
{
	int fd = file_of(a[0])->fd;
	struct mytun_eventfds e = { .rx = an_eventfd(a[1], fd) };

	e.tx = a[2] == 5 ? e.rx : an_eventfd(a[2], fd);
	e.reserved[0] = a[3];
	ioctl(fd, MYTUN_IOC_EVENTFDS, &e);
	if (a[1] >= 1 && a[1] <= 3)
		close(e.rx);
	if (a[2] >= 1 && a[2] <= 3)
		close(e.tx);
}

void call_detach(const uint64_t *a)
{
	ioctl(file_of(a[0])->fd, MYTUN_IOC_DETACH, a[1]);
}

/* Any number, with memory of ours, or none, or not ours. */
void call_ioctl(const uint64_t *a)
{
	uint64_t memory[64];

	memset(memory, a[3], sizeof(memory));
	ioctl(file_of(a[0])->fd, _IOC(a[4], a[1] ? 'T' : MYTUN_IOC_MAGIC, a[2], a[5]),
	      a[6] == 1 ? (uintptr_t)memory : (uintptr_t)a[6]);
}

void call_poll(const uint64_t *a)
{
	struct pollfd p[] = { { .fd = file_of(a[0])->fd, .events = a[1] },
			      { .fd = file_of(a[0] + 1)->fd, .events = a[1] } };

	poll(p, ARRAY_SIZE(p), a[2]);
}

void call_async(const uint64_t *a)
{
	int fd = file_of(a[0])->fd, flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return;
	fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETFL, flags ^ (a[1] & (O_ASYNC | O_NONBLOCK)));
}

void call_sleep(const uint64_t *a)
{
	usleep(a[0] % 5000);
}
