// SPDX-License-Identifier: GPL-2.0
/*
 * BPF programs that come by ioctl: TUNATTACHFILTER (classic), TUNSETFILTEREBPF and
 * TUNSETSTEERINGEBPF. Each interface has at most one of a kind, which its queues
 * share; filter.c and mytun_select_queue() run them.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/uaccess.h>

#include "internal.h"

/* @prog may be NULL. bpf_prog_destroy() knows the extended ones, which are counted. */
static void mytun_prog_set(struct mytun_dev *md, struct bpf_prog __rcu **slot,
			   struct bpf_prog *prog)
{
	struct bpf_prog *old = rtnl_dereference(*slot);

	rcu_assign_pointer(*slot, prog);
	mytun_filtering_update(md);
	if (old) {
		/* Who runs it is done with it after this. */
		synchronize_net();
		bpf_prog_destroy(old);
	}
}

static void mytun_prog_free(struct bpf_prog __rcu *prog)
{
	struct bpf_prog *old = rcu_dereference_protected(prog, true);

	if (old)
		bpf_prog_destroy(old);
}

/* The interface is gone, nobody runs them any more. */
void mytun_progs_free(struct mytun_dev *md)
{
	mytun_prog_free(md->classic);
	mytun_prog_free(md->ebpf);
	mytun_prog_free(md->steering);
}

/**
 * mytun_ebpf_read - the program of TUNSETFILTEREBPF or TUNSETSTEERINGEBPF
 * @argp: its descriptor, or -1 for none
 *
 * Return: the program, NULL for none, or an ERR_PTR: -EBADF no descriptor; -EINVAL not of
 * a socket filter; -EFAULT.
 */
struct bpf_prog *mytun_ebpf_read(const int __user *argp)
{
	int fd;

	if (get_user(fd, argp))
		return ERR_PTR(-EFAULT);
	return fd == -1 ? NULL : bpf_prog_get_type(fd, BPF_PROG_TYPE_SOCKET_FILTER);
}

/**
 * mytun_set_ebpf - TUNSETFILTEREBPF and TUNSETSTEERINGEBPF
 * @md:   the interface
 * @slot: where the program goes
 * @prog: from mytun_ebpf_read(); NULL when this took it
 *
 * Return: 0, or what is wrong with the program.
 */
int mytun_set_ebpf(struct mytun_dev *md, struct bpf_prog __rcu **slot, struct bpf_prog **prog)
{
	ASSERT_RTNL();
	if (IS_ERR(*prog))
		return PTR_ERR(*prog);
	mytun_prog_set(md, slot, *prog);
	*prog = NULL;
	return 0;
}

/**
 * mytun_classic_read - the program of TUNATTACHFILTER
 * @fprog: where it is
 *
 * Return: the program, or an ERR_PTR: -EINVAL no good program; -EFAULT; -ENOMEM.
 */
struct bpf_prog *mytun_classic_read(struct sock_fprog *fprog)
{
	struct bpf_prog *prog;
	int err = bpf_prog_create_from_user(&prog, fprog, NULL, false);

	return err ? ERR_PTR(err) : prog;
}

/**
 * mytun_attach_filter - TUNATTACHFILTER: a classic BPF program for all queues
 * @md:    the interface
 * @fprog: where it was read from; NULL if that is not known
 * @prog:  from mytun_classic_read(); NULL when this took it
 *
 * Queues that come later have it too, unless they come with IFF_NOFILTER.
 *
 * Return: 0; -EINVAL not a TAP interface; -EFAULT; what is wrong with the program.
 */
int mytun_attach_filter(struct mytun_dev *md, const struct sock_fprog *fprog,
			struct bpf_prog **prog)
{
	struct mytun_queue *q;

	ASSERT_RTNL();
	if (!(md->flags & IFF_TAP))
		return -EINVAL;
	if (!fprog)
		return -EFAULT;
	/* TUNGETFILTER tells what was last tried, as the built-in tun does. */
	md->fprog = *fprog;
	if (IS_ERR(*prog))
		return PTR_ERR(*prog);

	mytun_prog_set(md, &md->classic, *prog);
	*prog = NULL;
	list_for_each_entry(q, &md->members, member)
		WRITE_ONCE(q->nofilter, false);
	return 0;
}

/* TUNDETACHFILTER. Return: 0, or -EINVAL not a TAP interface. */
int mytun_detach_filter(struct mytun_dev *md)
{
	ASSERT_RTNL();
	if (!(md->flags & IFF_TAP))
		return -EINVAL;
	mytun_prog_set(md, &md->classic, NULL);
	return 0;
}

/* TUNGETFILTER. Return: 0, or -EINVAL not a TAP interface. */
int mytun_get_filter(const struct mytun_dev *md, struct sock_fprog *fprog)
{
	if (!(md->flags & IFF_TAP))
		return -EINVAL;
	*fprog = md->fprog;
	return 0;
}
