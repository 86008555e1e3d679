/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes older kernels look like the newest, one paragraph a difference. The names
 * MYTUN_HAVE_* come from features.Kbuild.
 */
#ifndef MYTUN_COMPAT_H
#define MYTUN_COMPAT_H

#include <linux/etherdevice.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/u64_stats_sync.h>
#include <net/sock.h>

/* Drivers that lock for themselves: a feature bit, later a field. */
static inline void mytun_dev_set_lltx(struct net_device *dev)
{
#ifdef MYTUN_HAVE_DEV_LLTX
	dev->lltx = true;
#else
	dev->features |= NETIF_F_LLTX;
#endif
}

/* Per-CPU core counters: atomic fields of the device before. */
#ifdef MYTUN_HAVE_CORE_STATS
#define mytun_tx_dropped_inc(dev) dev_core_stats_tx_dropped_inc(dev)
#define mytun_rx_dropped_inc(dev) dev_core_stats_rx_dropped_inc(dev)
#else
#define mytun_tx_dropped_inc(dev) atomic_long_inc(&(dev)->tx_dropped)
#define mytun_rx_dropped_inc(dev) atomic_long_inc(&(dev)->rx_dropped)
#endif

/* A device's own per-CPU counters: filled in and read by hand before. */
#ifndef MYTUN_HAVE_TSTATS64
static inline void dev_get_tstats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	netdev_stats_to_stats64(stats, &dev->stats);
	dev_fetch_sw_netstats(stats, dev->tstats);
}
#endif
#ifndef MYTUN_HAVE_TSTATS_TX_ADD
static inline void dev_sw_netstats_tx_add(struct net_device *dev, unsigned int packets,
					  unsigned int len)
{
	struct pcpu_sw_netstats *tstats = this_cpu_ptr(dev->tstats);

	u64_stats_update_begin(&tstats->syncp);
	tstats->tx_bytes += len;
	tstats->tx_packets += packets;
	u64_stats_update_end(&tstats->syncp);
}
#endif

/* TUNSETIFF's flag for an interface without a carrier: this module honours it anyway. */
#ifndef IFF_NO_CARRIER
#define IFF_NO_CARRIER 0x0040
#endif

/* Reasons of drops. */
#ifndef MYTUN_HAVE_DROP_REASON
enum skb_drop_reason {
	SKB_DROP_REASON_NOMEM = 1,
	SKB_DROP_REASON_SKB_CSUM,
	SKB_DROP_REASON_SOCKET_FILTER,
	SKB_DROP_REASON_TAP_FILTER,
	SKB_DROP_REASON_TAP_TXFILTER,
};

#define kfree_skb_reason(skb, reason) kfree_skb(skb)
#endif

/* u64_stats_fetch_begin that is safe against softirqs. */
#ifdef MYTUN_HAVE_U64_STATS_IRQ
#define mytun_u64_stats_begin(syncp)	    u64_stats_fetch_begin_irq(syncp)
#define mytun_u64_stats_retry(syncp, start) u64_stats_fetch_retry_irq(syncp, start)
#else
#define mytun_u64_stats_begin(syncp)	    u64_stats_fetch_begin(syncp)
#define mytun_u64_stats_retry(syncp, start) u64_stats_fetch_retry(syncp, start)
#endif

/* The user who a socket belongs to, for a socket without an inode. */
static inline void mytun_sock_init(struct socket *sock, struct sock *sk, kuid_t uid)
{
#ifdef MYTUN_HAVE_SOCK_INIT_UID
	sock_init_data_uid(sock, sk, uid);
#else
	sock_init_data(NULL, sk);
	RCU_INIT_POINTER(sk->sk_wq, &sock->wq);
	sk_set_socket(sk, sock);
	sock->sk = sk;
	sk->sk_uid = uid;
#endif
}

/*
 * A NAPI instance that the interface knows, and that is disabled, keeps whoever switches its
 * threads off waiting, for ever if need be, with the lock of the interface. Where that is
 * another lock than RTNL, nobody must see one: it comes and goes with that lock held, and a
 * pause holds it.
 */
#ifdef MYTUN_HAVE_NAPI_LOCK
static inline void mytun_napi_start(struct net_device *dev, struct napi_struct *napi,
				    int (*poll)(struct napi_struct *, int))
{
	netdev_lock(dev);
	netif_napi_add_locked(dev, napi, poll);
	napi_enable_locked(napi);
	netdev_unlock(dev);
}

/* A grace period must follow. */
static inline void mytun_napi_stop(struct napi_struct *napi)
{
	netdev_lock(napi->dev);
	napi_disable_locked(napi);
	__netif_napi_del_locked(napi);
	netdev_unlock(napi->dev);
}

static inline void mytun_napi_pause(struct napi_struct *napi)
{
	netdev_lock(napi->dev);
	napi_disable_locked(napi);
}

static inline void mytun_napi_resume(struct napi_struct *napi)
{
	napi_enable_locked(napi);
	netdev_unlock(napi->dev);
}
#else
static inline void mytun_napi_start(struct net_device *dev, struct napi_struct *napi,
				    int (*poll)(struct napi_struct *, int))
{
#ifdef MYTUN_HAVE_NAPI_ADD3
	netif_napi_add(dev, napi, poll);
#else
	netif_napi_add(dev, napi, poll, NAPI_POLL_WEIGHT);
#endif
	napi_enable(napi);
}

static inline void mytun_napi_stop(struct napi_struct *napi)
{
	napi_disable(napi);
	__netif_napi_del(napi);
}

#define mytun_napi_pause(napi)	napi_disable(napi)
#define mytun_napi_resume(napi) napi_enable(napi)
#endif

/* Until it is started nobody can schedule it, as after its end. */
static inline void mytun_napi_init(struct napi_struct *napi)
{
	set_bit(NAPI_STATE_SCHED, &napi->state);
	set_bit(NAPI_STATE_NPSVC, &napi->state);
}

/* Has the administrator said which queue a CPU, or a receive queue, sends on? Fields of
 * their own before.
 */
static inline bool mytun_dev_has_xps(const struct net_device *dev)
{
#ifndef CONFIG_XPS
	return false;
#elif defined(MYTUN_HAVE_XPS_MAPS)
	return rcu_access_pointer(dev->xps_maps[XPS_CPUS]) ||
	       rcu_access_pointer(dev->xps_maps[XPS_RXQS]);
#else
	return rcu_access_pointer(dev->xps_cpus_map) || rcu_access_pointer(dev->xps_rxqs_map);
#endif
}

/* GRO hands the owner's memory of a packet that it merges to the packet that it merges it
 * with: before, it gave back twice what it had taken once.
 */
static inline void mytun_skb_before_gro(struct sk_buff *skb)
{
#ifndef MYTUN_HAVE_GRO_OWNERS
	skb_orphan(skb);
#endif
}

static inline void mytun_hrtimer_setup(struct hrtimer *timer,
				       enum hrtimer_restart (*function)(struct hrtimer *))
{
#ifdef MYTUN_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = function;
#endif
}

/* Arguments of get_coalesce and set_coalesce that came later, and are not used here. */
#ifdef MYTUN_HAVE_COALESCE4
#define MYTUN_COALESCE_REST \
	, struct kernel_ethtool_coalesce *kernel_coal, struct netlink_ext_ack *extack
#else
#define MYTUN_COALESCE_REST
#endif

/* An skb from NAPI's own cache. */
#ifndef MYTUN_HAVE_NAPI_BUILD_SKB
#define napi_build_skb(data, size) build_skb(data, size)
#endif

/* eventfd_signal() with the number that it adds. */
#ifdef MYTUN_HAVE_EVENTFD_SIGNAL_N
#define eventfd_signal(ctx) eventfd_signal(ctx, 1)
#endif

/* Whom a file signals: part of the file before, to be allocated now. */
#ifndef MYTUN_HAVE_FILE_F_OWNER
static inline int file_f_owner_allocate(struct file *file)
{
	return 0;
}
#endif

/* An interface's hardware address, with a struct sockaddr before. */
static inline int mytun_set_mac_address(struct net_device *dev, struct sockaddr_storage *addr)
{
#ifdef MYTUN_HAVE_MAC_STORAGE
	return dev_set_mac_address_user(dev, addr, NULL);
#else
	return dev_set_mac_address_user(dev, (struct sockaddr *)addr, NULL);
#endif
}

/* Time stamps that BPF programs asked for. */
#ifdef MYTUN_HAVE_SKBTX_BPF
#define MYTUN_SKBTX_BPF SKBTX_BPF
#else
#define MYTUN_SKBTX_BPF 0
#endif

/* Resizing several rings, of which one end is used in softirq. */
#ifdef MYTUN_HAVE_RINGS_RESIZE_BH
#define mytun_ptr_rings_resize ptr_ring_resize_multiple_bh
#else
#define mytun_ptr_rings_resize ptr_ring_resize_multiple
#endif

/* Sizes of rings, which drivers may say more of now. */
#ifdef MYTUN_HAVE_RINGPARAM4
#define MYTUN_RINGPARAM_ARGS                                   \
	struct net_device *dev, struct ethtool_ringparam *p,   \
		struct kernel_ethtool_ringparam *kernel_param, \
		struct netlink_ext_ack *extack
#else
#define MYTUN_RINGPARAM_ARGS struct net_device *dev, struct ethtool_ringparam *p
#endif

/*
 * For pages that a program maps, charged to its memory cgroup. Where a charged page is a type
 * of pages, it cannot be mapped: who is not in the root cgroup would have no rings.
 */
#ifdef MYTUN_HAVE_KMEMCG_TYPE
#define MYTUN_GFP_MAPPED GFP_KERNEL
#else
#define MYTUN_GFP_MAPPED GFP_KERNEL_ACCOUNT
#endif

/* Flags of a mapping: a field before. */
static inline void mytun_vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef MYTUN_HAVE_VM_FLAGS_CLEAR
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* A llseek that refuses: the same as none, later. */
#ifndef MYTUN_HAVE_NO_LLSEEK
#define no_llseek NULL
#endif

#endif /* MYTUN_COMPAT_H */
