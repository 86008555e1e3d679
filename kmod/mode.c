// SPDX-License-Identifier: GPL-2.0
/* How an attached queue works: MYTUN_IOC_SET_MODE and its answer. */
#include <linux/rtnetlink.h>
#include <linux/uaccess.h>

#include "internal.h"

static int mytun_mode_check(const struct mytun_queue *q, const struct mytun_mode *mode)
{
	if (mode->flags & ~MYTUN_MODE_FLAGS_SERVED)
		return -EINVAL;
	if (mode->inject >= BITS_PER_TYPE(u32) ||
	    !(BIT(mode->inject) & MYTUN_INJECTIONS_SERVED))
		return -EINVAL;
	if (memchr_inv(mode->reserved, 0, sizeof(mode->reserved)))
		return -EINVAL;
	if ((mode->flags & MYTUN_MODE_F_RECORDS) && mytun_rings_get(q))
		return -EINVAL;
	return 0;
}

static int mytun_mode_set(struct mytun_queue *q, const struct mytun_mode *mode)
{
	int err;

	ASSERT_RTNL();
	if (!rtnl_dereference(q->md))
		return -EBADFD;
	err = mytun_mode_check(q, mode);
	if (err)
		return err;
	WRITE_ONCE(q->mode.flags, mode->flags);
	WRITE_ONCE(q->mode.inject, mode->inject);
	return 0;
}

long mytun_ioc_set_mode(struct mytun_queue *q, const void __user *argp)
{
	struct mytun_mode mode;
	int err;

	if (copy_from_user(&mode, argp, sizeof(mode)))
		return -EFAULT;
	rtnl_lock();
	err = mytun_mode_set(q, &mode);
	rtnl_unlock();
	return err;
}

long mytun_ioc_get_mode(struct mytun_queue *q, void __user *argp)
{
	struct mytun_mode mode = {};
	int err = -EBADFD;

	rtnl_lock();
	if (rtnl_dereference(q->md)) {
		mode = q->mode;
		err = 0;
	}
	rtnl_unlock();
	if (err)
		return err;
	return copy_to_user(argp, &mode, sizeof(mode)) ? -EFAULT : 0;
}
