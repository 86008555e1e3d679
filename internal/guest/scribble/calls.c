// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "calls.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "packets.h"
#include "tally.h"
#include "tun.h"

/* An argument in memory of its own, or in a ring, where it changes while it is read. */
static void *argument(struct rnd *r, void *own)
{
	const struct queue *q = &queues[below(r, QUEUES)];

	if (!q->ringed || below(r, 6))
		return own;
	return queue_map(q, r) + below(r, q->g.map_size - 64);
}

static void set_mode(const struct queue *q, struct rnd *r)
{
	struct mytun_mode mode = { .flags = below(r, MYTUN_MODE_F_ALL + 1),
				   .inject = below(r, 4) };

	if (below(r, 10) == 0)
		mode.reserved[below(r, 6)] = 1;
	ioctl(q->fd, MYTUN_IOC_SET_MODE, argument(r, &mode));
	ioctl(q->fd, MYTUN_IOC_GET_MODE, argument(r, &mode));
}

static void set_eventfds(const struct queue *q, struct rnd *r)
{
	struct mytun_eventfds e = { -1, -1, {} };
	int fd = below(r, 4) ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : q->fd;

	if (below(r, 4))
		e.rx = fd;
	if (below(r, 4))
		e.tx = fd;
	ioctl(q->fd, MYTUN_IOC_EVENTFDS, argument(r, &e));
	if (fd != q->fd)
		close(fd);
}

/* What a neighbour on the same interface would not notice. */
static void call_harmless(struct queue *q, struct rnd *r)
{
	struct ifreq ifr = { .ifr_flags = below(r, 2) ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };
	char buf[256] = {};
	int value = almost(r, 12, 1 << 16);
	struct mytun_rings again = { .rx_size = 4096, .tx_size = 4096 };

	switch (below(r, 13)) {
	case 0:
		set_mode(q, r);
		break;
	case 1:
		set_eventfds(q, r);
		break;
	case 2:
		ioctl(q->fd, TUNSETQUEUE, argument(r, &ifr));
		break;
	case 3:
		ioctl(q->fd, MYTUN_IOC_RINGS, argument(r, &again));
		break;
	case 4:
		ioctl(q->fd, MYTUN_IOC_INFO, argument(r, buf));
		break;
	case 5:
		ioctl(q->fd, TUNSETOFFLOAD, below(r, 2) ? below(r, 128) : 0);
		break;
	case 6:
		ioctl(q->fd, TUNSETVNETHDRSZ, argument(r, &value));
		ioctl(q->fd, TUNGETVNETHDRSZ, argument(r, &value));
		value = 12;
		ioctl(q->fd, TUNSETVNETHDRSZ, &value);
		break;
	case 7:
		ioctl(q->fd, TUNGETIFF, argument(r, buf));
		ioctl(q->fd, SIOCGIFHWADDR, argument(r, buf));
		break;
	case 8: /* any number of ours, of another size, or of nobody */
		ioctl(q->fd, _IOC(rnd(r), MYTUN_IOC_MAGIC, below(r, 12), rnd(r)),
		      argument(r, buf));
		break;
	case 9:
		fcntl(q->fd, F_SETFL, O_NONBLOCK | (below(r, 2) ? O_ASYNC : 0));
		break;
	case 10:
		read_some(q, r);
		break;
	case 11:
		write_some(q, r);
		break;
	default:
		ioctl(q->fd, MYTUN_IOC_DOORBELL, almost(r, MYTUN_DOORBELL_TX, 2));
	}
}

static void attach_filters(const struct queue *q, struct rnd *r)
{
	struct {
		struct tun_filter head;
		uint8_t addr[12][ETH_ALEN];
	} f = { .head = { .flags = below(r, 2), .count = below(r, 13) } };
	struct sock_filter insn = BPF_STMT(BPF_RET | BPF_K, almost(r, 100, 1500));
	struct sock_fprog prog = { 1, &insn };
	int none = -1;

	memcpy(f.addr[0], q->mac, ETH_ALEN);
	switch (below(r, 6)) {
	case 0:
		ioctl(q->fd, TUNSETTXFILTER, argument(r, &f));
		break;
	case 1:
		ioctl(q->fd, TUNATTACHFILTER, argument(r, &prog));
		ioctl(q->fd, TUNGETFILTER, argument(r, &prog));
		break;
	case 2:
		ioctl(q->fd, TUNSETSTEERINGEBPF, argument(r, &none));
		break;
	case 3:
		ioctl(q->fd, TUNSETFILTEREBPF, argument(r, &none));
		break;
	default: /* so that packets come again */
		f.head.count = 0;
		ioctl(q->fd, TUNSETTXFILTER, &f);
		ioctl(q->fd, TUNDETACHFILTER, 0);
	}
}

/* What changes the interface for all. */
static void call_harmful(struct queue *q, struct rnd *r)
{
	int value;

	switch (below(r, 8)) {
	case 0:
		attach_filters(q, r);
		break;
	case 1:
		ioctl(q->fd, TUNSETPERSIST, below(r, 2));
		break;
	case 2:
		value = below(r, 4) != 0;
		ioctl(q->fd, TUNSETCARRIER, argument(r, &value));
		break;
	case 3: /* the type of Ethernet, or another; refused while it is up */
		ioctl(q->fd, TUNSETLINK, below(r, 2) ? 1 : below(r, 900));
		break;
	case 4:
		value = below(r, 3) ? 1 << 20 : almost(r, 4096, 1 << 16);
		ioctl(q->fd, TUNSETSNDBUF, argument(r, &value));
		break;
	case 5:
		value = below(r, 2);
		ioctl(q->fd, TUNSETVNETLE, argument(r, &value));
		break;
	default:
		attach_filters(q, r);
	}
}

void call(struct queue *q, struct rnd *r)
{
	uint32_t kind = below(r, 100);

	tally_add(CALLS, 1);
	if (queue_dead(q) && below(r, 2)) {
		tally_add(RINGS_FAULTED, q->ringed);
		queue_open(q, r);
	} else if (kind < 2) {
		queue_open(q, r);
	} else if (kind < 3) {
		ioctl(q->fd, MYTUN_IOC_DETACH, 0);
	} else if (kind < 4) {
		queue_rings(q, r);
	} else if (kind < 20 && !q->shared) {
		call_harmful(q, r);
	} else {
		call_harmless(q, r);
	}
}
