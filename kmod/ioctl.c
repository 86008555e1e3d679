// SPDX-License-Identifier: GPL-2.0
/* The ioctls: those of if_tun.h as on /dev/net/tun, and our own. */
#include <linux/compat.h>
#include <linux/filter.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "internal.h"

static long mytun_ioc_rings(struct mytun_queue *q, void __user *argp)
{
	struct mytun_rings geometry;
	struct mytun_rings_mem *r;
	int err;

	if (copy_from_user(&geometry, argp, sizeof(geometry)))
		return -EFAULT;
	/* Cheap refusals first; asked again under RTNL. */
	if (!rcu_access_pointer(q->md))
		return -EBADFD;
	if (mytun_rings_get(q))
		return -EBUSY;
	err = mytun_rings_geometry(&geometry);
	if (err)
		return err;
	/* Answered before it is done: a file gets rings once, and must learn where. */
	if (copy_to_user(argp, &geometry, sizeof(geometry)))
		return -EFAULT;
	r = mytun_rings_alloc(&geometry);
	if (IS_ERR(r))
		return PTR_ERR(r);

	rtnl_lock();
	err = mytun_rings_set(q, r);
	rtnl_unlock();
	if (err)
		mytun_rings_free(r);
	return err;
}

static long mytun_ioc_info(struct mytun_queue *q, void __user *argp)
{
	struct mytun_info info = {
		.abi_version = MYTUN_ABI_VERSION,
		.rings_flags = MYTUN_RINGS_F_ALL,
		.ring_size_min = max_t(u32, MYTUN_RING_SIZE_MIN, PAGE_SIZE),
		.ring_size_max = MYTUN_RING_SIZE_MAX,
		.queue = ~0U,
		.queues_max = MYTUN_QUEUES_MAX,
		.mode_flags = MYTUN_MODE_FLAGS_SERVED,
		.injections = MYTUN_INJECTIONS_SERVED,
	};
	struct mytun_dev *md;

	rcu_read_lock();
	md = rcu_dereference(q->md);
	if (md) {
		if (!READ_ONCE(q->disabled))
			info.queue = READ_ONCE(q->index);
		info.ifindex = md->dev->ifindex;
	}
	rcu_read_unlock();
	return copy_to_user(argp, &info, sizeof(info)) ? -EFAULT : 0;
}

static long mytun_ioc_detach(struct mytun_queue *q)
{
	int err = -EBADFD;

	rtnl_lock();
	if (rtnl_dereference(q->md)) {
		mytun_detach(q);
		err = 0;
	}
	rtnl_unlock();
	return err;
}

static long mytun_own_ioctl(struct mytun_queue *q, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case MYTUN_IOC_DOORBELL:
		return mytun_doorbell(q, arg);
	case MYTUN_IOC_RINGS:
		return mytun_ioc_rings(q, (void __user *)arg);
	case MYTUN_IOC_DETACH:
		return arg ? -EINVAL : mytun_ioc_detach(q);
	case MYTUN_IOC_INFO:
		return mytun_ioc_info(q, (void __user *)arg);
	case MYTUN_IOC_SET_MODE:
		return mytun_ioc_set_mode(q, (const void __user *)arg);
	case MYTUN_IOC_GET_MODE:
		return mytun_ioc_get_mode(q, (void __user *)arg);
	case MYTUN_IOC_EVENTFDS:
		return mytun_ioc_eventfds(q, (const void __user *)arg);
	}
	return -EINVAL;
}

static long mytun_tun_set_iff(struct mytun_queue *q, void __user *argp, size_t ifreq_len)
{
	struct ifreq ifr = {};
	int err;

	if (copy_from_user(&ifr, argp, ifreq_len))
		return -EFAULT;
	ifr.ifr_name[IFNAMSIZ - 1] = '\0';

	rtnl_lock();
	err = rtnl_dereference(q->md) ? -EEXIST : mytun_set_iff(q, &ifr);
	rtnl_unlock();
	if (err)
		return err;
	return copy_to_user(argp, &ifr, ifreq_len) ? -EFAULT : 0;
}

static long mytun_tun_set_queue(struct mytun_queue *q, void __user *argp, size_t ifreq_len)
{
	struct ifreq ifr = {};
	int err = -EINVAL;

	if (copy_from_user(&ifr, argp, ifreq_len))
		return -EFAULT;
	rtnl_lock();
	if (ifr.ifr_flags & IFF_ATTACH_QUEUE)
		err = mytun_queue_enable(q);
	else if (ifr.ifr_flags & IFF_DETACH_QUEUE)
		err = mytun_queue_disable(q);
	rtnl_unlock();
	return err;
}

static long mytun_tun_set_ifindex(struct mytun_queue *q, void __user *argp)
{
	int err = 0, ifindex = 0;
	bool fault = get_user(ifindex, (int __user *)argp);

	rtnl_lock();
	if (rtnl_dereference(q->md))
		err = -EPERM;
	else if (fault)
		err = -EFAULT;
	else if (ifindex < 0)
		err = -EINVAL;
	else
		q->ifindex = ifindex;
	rtnl_unlock();
	return err;
}

static void mytun_set_persist(struct mytun_dev *md, bool persist)
{
	/* The module must stay while an interface does that nobody has open. */
	if (persist && !(md->flags & IFF_PERSIST)) {
		md->flags |= IFF_PERSIST;
		__module_get(THIS_MODULE);
	} else if (!persist && (md->flags & IFF_PERSIST)) {
		md->flags &= ~IFF_PERSIST;
		module_put(THIS_MODULE);
	}
	netdev_state_change(md->dev);
}

static int mytun_set_owner(struct mytun_dev *md, unsigned long id)
{
	kuid_t owner = make_kuid(current_user_ns(), id);

	if (!uid_valid(owner))
		return -EINVAL;
	md->owner = owner;
	netdev_state_change(md->dev);
	return 0;
}

static int mytun_set_group(struct mytun_dev *md, unsigned long id)
{
	kgid_t group = make_kgid(current_user_ns(), id);

	if (!gid_valid(group))
		return -EINVAL;
	md->group = group;
	netdev_state_change(md->dev);
	return 0;
}

static void mytun_get_iff(struct mytun_queue *q, struct mytun_dev *md, struct ifreq *ifr)
{
	strscpy(ifr->ifr_name, md->dev->name, IFNAMSIZ);
	ifr->ifr_flags = mytun_iff_flags(md);
	if (q->disabled)
		ifr->ifr_flags |= IFF_DETACH_QUEUE;
	if (!rcu_access_pointer(md->classic) || q->nofilter)
		ifr->ifr_flags |= IFF_NOFILTER;
}

static int mytun_set_sndbuf(struct mytun_dev *md, int sndbuf)
{
	struct mytun_queue *q;

	if (sndbuf <= 0)
		return -EINVAL;
	md->sndbuf = sndbuf;
	list_for_each_entry(q, &md->members, member) {
		mytun_sndbuf_apply(q, md);
		/* It may be more than it was. */
		q->sk.sk_write_space(&q->sk);
	}
	return 0;
}

static int mytun_set_vnet_hdr_sz(struct mytun_dev *md, int size)
{
	if (size < (int)sizeof(struct virtio_net_hdr))
		return -EINVAL;
	WRITE_ONCE(md->vnet_hdr_sz, size);
	return 0;
}

static void mytun_set_flag(struct mytun_dev *md, unsigned int flag, bool on)
{
	if (on)
		md->flags |= flag;
	else
		md->flags &= ~flag;
}

/* A descriptor of a network namespace, for its administrator. */
static int mytun_netns_fd(struct net *net)
{
	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	return open_related_ns(&net->ns, get_net_ns);
}

static void mytun_get_hwaddr(const struct net_device *dev, struct ifreq *ifr)
{
	struct sockaddr *addr = &ifr->ifr_hwaddr;
	size_t len = sizeof(*addr) - offsetof(struct sockaddr, sa_data);

	if (dev->addr_len)
		memcpy(addr->sa_data, dev->dev_addr, min_t(size_t, len, dev->addr_len));
	else
		memset(addr->sa_data, 0, len);
	addr->sa_family = dev->type;
}

static int mytun_set_hwaddr(struct net_device *dev, const struct ifreq *ifr)
{
	/* Longer than what came, because the core compares addr_len bytes. */
	struct sockaddr_storage addr = {};

	memcpy(&addr, &ifr->ifr_hwaddr, sizeof(ifr->ifr_hwaddr));
	return mytun_set_mac_address(dev, &addr);
}

/* What stock tun took over from sockets: ioctls of <linux/sockios.h> on the file. */
static long mytun_sock_ioctl(struct mytun_queue *q, unsigned int cmd, void __user *argp,
			     size_t ifreq_len)
{
	struct mytun_dev *md;
	struct ifreq ifr = {};
	long ret = 0;

	if (cmd == SIOCGSKNS)
		return mytun_netns_fd(sock_net(&q->sk));
	if (copy_from_user(&ifr, argp, ifreq_len))
		return -EFAULT;

	rtnl_lock();
	md = rtnl_dereference(q->md);
	if (!md)
		ret = -EBADFD;
	else if (cmd == SIOCGIFHWADDR)
		mytun_get_hwaddr(md->dev, &ifr);
	else if (cmd == SIOCSIFHWADDR)
		ret = mytun_set_hwaddr(md->dev, &ifr);
	else
		ret = -EINVAL;
	rtnl_unlock();
	if (!ret && cmd == SIOCGIFHWADDR && copy_to_user(argp, &ifr, ifreq_len))
		ret = -EFAULT;
	return ret;
}

/**
 * struct mytun_arg - what an ioctl of an attached file reads and answers
 * @fault:  the argument could not be read
 * @ifr:    TUNGETIFF
 * @fprog:  TUNATTACHFILTER and TUNGETFILTER
 * @value:  of those that take or give an int
 * @prog:   of those that set a BPF program; NULL for none; an ERR_PTR; NULL when taken
 * @addrs:  TUNSETTXFILTER; the same
 *
 * User memory is read before RTNL is taken and written after it was let go: a page of it may be
 * somebody's to deliver (FUSE, userfaultfd), as late as they like, and all of the machine
 * waits for RTNL. What is wrong with it is told when and if it is asked for.
 */
struct mytun_arg {
	bool fault;
	union {
		struct ifreq ifr; /* first: what is not filled in of an answer is zeros */
		struct sock_fprog fprog;
		int value;
	};
	struct bpf_prog *prog;
	struct mytun_addrs *addrs;
};

static void mytun_arg_read(struct mytun_arg *a, unsigned int cmd, const void __user *argp)
{
	switch (cmd) {
	case TUNSETSTEERINGEBPF:
	case TUNSETFILTEREBPF:
		a->prog = mytun_ebpf_read(argp);
		break;
	case TUNATTACHFILTER:
		a->fault = copy_from_user(&a->fprog, argp, sizeof(a->fprog));
		if (!a->fault)
			a->prog = mytun_classic_read(&a->fprog);
		break;
	case TUNSETTXFILTER:
		a->addrs = mytun_addrs_read(argp);
		break;
	case TUNSETSNDBUF:
	case TUNSETVNETHDRSZ:
	case TUNSETVNETLE:
	case TUNSETVNETBE:
	case TUNSETCARRIER:
		a->fault = get_user(a->value, (const int __user *)argp);
		break;
	}
}

/* Return: bytes of the answer, which is in @a. */
static size_t mytun_arg_answer(unsigned int cmd, size_t ifreq_len)
{
	switch (cmd) {
	case TUNGETIFF:
		return ifreq_len;
	case TUNGETFILTER:
		return sizeof(struct sock_fprog);
	case TUNGETSNDBUF:
	case TUNGETVNETHDRSZ:
	case TUNGETVNETLE:
	case TUNGETVNETBE:
		return sizeof(int);
	}
	return 0;
}

/* What nobody took. */
static void mytun_arg_free(struct mytun_arg *a)
{
	if (!IS_ERR_OR_NULL(a->prog))
		bpf_prog_destroy(a->prog);
	if (!IS_ERR(a->addrs))
		mytun_addrs_free(a->addrs);
}

/* Those that take an int from memory. */
static int mytun_tun_set_int(struct mytun_dev *md, unsigned int cmd, const struct mytun_arg *a)
{
	if (cmd == TUNSETVNETBE && !IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE))
		return -EINVAL;
	if (a->fault)
		return -EFAULT;
	switch (cmd) {
	case TUNSETSNDBUF:
		return mytun_set_sndbuf(md, a->value);
	case TUNSETVNETHDRSZ:
		return mytun_set_vnet_hdr_sz(md, a->value);
	case TUNSETVNETLE:
		mytun_set_flag(md, MYTUN_VNET_LE, a->value);
		return 0;
	case TUNSETVNETBE:
		/* Big-endian headers of older virtio on a little-endian machine: a choice
		 * of whoever configured the kernel.
		 */
		mytun_set_flag(md, MYTUN_VNET_BE, a->value);
		return 0;
	case TUNSETCARRIER:
		return mytun_change_carrier(md->dev, a->value);
	}
	return -EINVAL;
}

/* Those that answer with an int. */
static int mytun_tun_get_int(const struct mytun_dev *md, unsigned int cmd, int *value)
{
	switch (cmd) {
	case TUNGETSNDBUF:
		*value = md->sndbuf;
		return 0;
	case TUNGETVNETHDRSZ:
		*value = md->vnet_hdr_sz;
		return 0;
	case TUNGETVNETLE:
		*value = !!(md->flags & MYTUN_VNET_LE);
		return 0;
	case TUNGETVNETBE:
		if (!IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE))
			return -EINVAL;
		*value = !!(md->flags & MYTUN_VNET_BE);
		return 0;
	}
	return -EINVAL;
}

/* The ioctls of an attached file; RTNL is held, and user memory not touched. */
static long mytun_tun_ioctl(struct mytun_queue *q, struct mytun_dev *md, unsigned int cmd,
			    unsigned long arg, struct mytun_arg *a)
{
	switch (cmd) {
	case TUNGETIFF:
		mytun_get_iff(q, md, &a->ifr);
		return 0;
	case TUNSETNOCSUM:
	case TUNSETDEBUG:
		/* Nothing to switch, in the built-in driver neither. */
		return 0;
	case TUNSETPERSIST:
		mytun_set_persist(md, arg);
		return 0;
	case TUNSETOWNER:
		return mytun_set_owner(md, arg);
	case TUNSETGROUP:
		return mytun_set_group(md, arg);
	case TUNSETLINK:
		return mytun_set_link_type(md, arg);
	case TUNSETOFFLOAD:
		return mytun_set_offload(md, arg);
	case TUNSETTXFILTER:
		return mytun_set_tx_filter(md, &a->addrs);
	case TUNATTACHFILTER:
		return mytun_attach_filter(md, a->fault ? NULL : &a->fprog, &a->prog);
	case TUNDETACHFILTER:
		return mytun_detach_filter(md);
	case TUNGETFILTER:
		return mytun_get_filter(md, &a->fprog);
	case TUNSETSTEERINGEBPF:
		return mytun_set_ebpf(md, &md->steering, &a->prog);
	case TUNSETFILTEREBPF:
		return mytun_set_ebpf(md, &md->ebpf, &a->prog);
	case TUNGETDEVNETNS:
		return mytun_netns_fd(dev_net(md->dev));
	case TUNSETSNDBUF:
	case TUNSETVNETHDRSZ:
	case TUNSETVNETLE:
	case TUNSETVNETBE:
	case TUNSETCARRIER:
		return mytun_tun_set_int(md, cmd, a);
	}
	return mytun_tun_get_int(md, cmd, &a->value);
}

static long mytun_attached_ioctl(struct mytun_queue *q, unsigned int cmd, unsigned long arg,
				 size_t ifreq_len)
{
	void __user *argp = (void __user *)arg;
	struct mytun_arg a = {};
	struct mytun_dev *md;
	size_t answer;
	long ret;

	/* Before anything is read; asked again under RTNL. */
	if (!rcu_access_pointer(q->md))
		return -EBADFD;
	mytun_arg_read(&a, cmd, argp);
	rtnl_lock();
	md = rtnl_dereference(q->md);
	ret = md ? mytun_tun_ioctl(q, md, cmd, arg, &a) : -EBADFD;
	rtnl_unlock();
	mytun_arg_free(&a);

	answer = mytun_arg_answer(cmd, ifreq_len);
	if (!ret && answer && copy_to_user(argp, &a.ifr, answer))
		ret = -EFAULT;
	return ret;
}

static long mytun_ioctl_len(struct file *file, unsigned int cmd, unsigned long arg,
			    size_t ifreq_len)
{
	struct mytun_queue *q = file->private_data;
	void __user *argp = (void __user *)arg;

	if (_IOC_TYPE(cmd) == MYTUN_IOC_MAGIC)
		return mytun_own_ioctl(q, cmd, arg);
	if (_IOC_TYPE(cmd) == SOCK_IOC_TYPE)
		return mytun_sock_ioctl(q, cmd, argp, ifreq_len);

	switch (cmd) {
	case TUNGETFEATURES:
		return put_user(IFF_TUN | IFF_TAP | IFF_NO_CARRIER | MYTUN_FEATURES,
				(unsigned int __user *)argp);
	case TUNSETIFF:
		return mytun_tun_set_iff(q, argp, ifreq_len);
	case TUNSETQUEUE:
		return mytun_tun_set_queue(q, argp, ifreq_len);
	case TUNSETIFINDEX:
		return mytun_tun_set_ifindex(q, argp);
	}

	return mytun_attached_ioctl(q, cmd, arg, ifreq_len);
}

long mytun_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return mytun_ioctl_len(file, cmd, arg, sizeof(struct ifreq));
}

#ifdef CONFIG_COMPAT
/*
 * A 32-bit program's ifreq is shorter, and alike in all that is used here. All our
 * own structs are the same for both. Integers and pointers widen alike on the
 * machines that have compat programs, where a pointer is zero-extended.
 */
long mytun_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return mytun_ioctl_len(file, cmd, (unsigned long)compat_ptr(arg),
			       sizeof(struct compat_ifreq));
}
#endif
