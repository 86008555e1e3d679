// SPDX-License-Identifier: GPL-2.0
/*
 * MYTUN_IOC_EVENTFDS: eventfds that are signalled beside whoever polls the file.
 *
 * A wake-up may come in softirq on any CPU, and finds the eventfds by RCU. Whoever takes
 * them away waits a grace period before it lets go of them.
 *
 * eventfd_signal() must not be called by a function that an eventfd calls when it is
 * signalled. mytun_wake() never is: it is called for a packet that was sent, consumed or
 * freed, and none of those who may wait on an eventfd (poll and epoll, also nested,
 * io_uring, aio, a virtual machine's interrupts) does any of that where it is
 * woken; a console over the network, which might, cannot be on these interfaces. Nor can
 * the locks of two epolls wait for each other: an epoll that watches the file and its
 * eventfds is told by one after the other.
 */
#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/rtnetlink.h>
#include <linux/uaccess.h>

#include "internal.h"

/* @fd: -1 for none. Return: the eventfd, NULL, or an ERR_PTR. */
static struct eventfd_ctx *mytun_eventfd_get(int fd)
{
	return fd == -1 ? NULL : eventfd_ctx_fdget(fd);
}

static void mytun_eventfd_put(struct eventfd_ctx *ctx)
{
	if (ctx)
		eventfd_ctx_put(ctx);
}

/* Takes over what the arguments refer to. */
static void mytun_eventfds_replace(struct mytun_queue *q, struct eventfd_ctx *rx,
				   struct eventfd_ctx *tx)
{
	rtnl_lock();
	rx = rcu_replace_pointer(q->rx_eventfd, rx, lockdep_rtnl_is_held());
	tx = rcu_replace_pointer(q->tx_eventfd, tx, lockdep_rtnl_is_held());
	rtnl_unlock();
	if (!rx && !tx)
		return;
	synchronize_rcu();
	mytun_eventfd_put(rx);
	mytun_eventfd_put(tx);
}

/**
 * mytun_eventfds_signal - tell the eventfds of a queue
 * @q:      the queue
 * @events: EPOLLIN the one for receiving, EPOLLOUT the one for transmitting
 */
void mytun_eventfds_signal(struct mytun_queue *q, __poll_t events)
{
	struct eventfd_ctx *ctx;

	rcu_read_lock();
	ctx = rcu_dereference(q->rx_eventfd);
	if (ctx && (events & EPOLLIN))
		eventfd_signal(ctx);
	ctx = rcu_dereference(q->tx_eventfd);
	if (ctx && (events & EPOLLOUT))
		eventfd_signal(ctx);
	rcu_read_unlock();
}

/* The file is being closed. */
void mytun_eventfds_release(struct mytun_queue *q)
{
	mytun_eventfds_replace(q, NULL, NULL);
}

long mytun_ioc_eventfds(struct mytun_queue *q, const void __user *argp)
{
	struct eventfd_ctx *rx, *tx;
	struct mytun_eventfds arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (memchr_inv(arg.reserved, 0, sizeof(arg.reserved)))
		return -EINVAL;
	rx = mytun_eventfd_get(arg.rx);
	if (IS_ERR(rx))
		return PTR_ERR(rx);
	tx = mytun_eventfd_get(arg.tx);
	if (IS_ERR(tx)) {
		mytun_eventfd_put(rx);
		return PTR_ERR(tx);
	}

	mytun_eventfds_replace(q, rx, tx);
	/* The program looks at the queue after it has seen this signal. Pairs with the
	 * barriers in mytun_must_wake() and mytun_wake(): it sees what was published,
	 * or whoever published it sees the eventfds.
	 */
	smp_mb();
	mytun_eventfds_signal(q, EPOLLIN | EPOLLOUT);
	return 0;
}
