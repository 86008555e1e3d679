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
	struct mytun_dev *md = rtnl_dereference(q->md);
	u32 had;
	int err;

	ASSERT_RTNL();
	if (!md)
		return -EBADFD;
	err = mytun_mode_check(q, mode);
	if (err)
		return err;
	/* First: it is what can fail. */
	err = mytun_inject_set(md, q, mode->inject);
	if (err)
		return err;
	had = q->mode.flags;
	WRITE_ONCE(q->mode.flags, mode->flags);
	if (mode->flags & MYTUN_MODE_F_BACKPRESSURE) {
		mytun_backpressure_wanted(md->dev);
	} else if (had & MYTUN_MODE_F_BACKPRESSURE) {
		/* Nobody stops it any more who has not seen the change. */
		synchronize_net();
		mytun_senders_go(q);
	}
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
