// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading: the device node and the link kind. */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "internal.h"

static struct miscdevice mytun_miscdev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = MYTUN_NAME,
	.nodename = "net/" MYTUN_NAME,
	.mode = 0666,
	.fops = &mytun_fops,
};

static int __init mytun_init(void)
{
	int err;

	BUILD_BUG_ON(sizeof(struct mytun_rec) != 32);
	BUILD_BUG_ON(sizeof(struct mytun_end) != 24);
	BUILD_BUG_ON(sizeof(struct mytun_mode) != 32);
	BUILD_BUG_ON(sizeof(struct mytun_eventfds) != 16);
	BUILD_BUG_ON(sizeof(struct mytun_rings) != 64);
	BUILD_BUG_ON(sizeof(struct mytun_info) != 64);

	err = mytun_reach_init();
	if (err)
		return err;

	err = rtnl_link_register(&mytun_link_ops);
	if (err)
		goto exit_reach;

	err = register_netdevice_notifier(&mytun_notifier);
	if (err)
		goto unregister_link;

	err = misc_register(&mytun_miscdev);
	if (err)
		goto unregister_notifier;

	return 0;

unregister_notifier:
	unregister_netdevice_notifier(&mytun_notifier);
unregister_link:
	rtnl_link_unregister(&mytun_link_ops);
exit_reach:
	mytun_reach_exit();
	return err;
}

static void __exit mytun_exit(void)
{
	misc_deregister(&mytun_miscdev);
	unregister_netdevice_notifier(&mytun_notifier);
	rtnl_link_unregister(&mytun_link_ops);
	mytun_reach_exit();
}

module_init(mytun_init);
module_exit(mytun_exit);

MODULE_DESCRIPTION("TUN/TAP driver with packet rings in shared memory");
MODULE_AUTHOR("The mytun authors");
MODULE_LICENSE("GPL");
MODULE_ALIAS("devname:net/" MYTUN_NAME);
MODULE_ALIAS_RTNL_LINK(MYTUN_NAME);
