/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of mytun share: an interface, its queues, their rings.
 *
 * Locks and lifetimes, for all files:
 *
 *  - RTNL guards attaching, detaching, the flags of an interface, and the moment
 *    at which a queue gets its rings.
 *  - RCU guards the way from an interface to its queues (mytun_dev.queues) and
 *    from a queue to its interface (mytun_queue.md). Whoever takes a queue off
 *    its interface clears both, disables NAPI and waits a grace period before
 *    anything is freed.
 *  - A queue lives as long as its open file; the interface holds a reference on
 *    its socket besides. A mapping of the rings holds the file.
 *  - mytun_queue.rings is set once (release) and freed with the queue, so that
 *    a reader that saw it may use it without a lock.
 *  - ring_rx.lock orders the CPUs that reserve room in one RX ring. The TX ring
 *    is consumed by whoever has the SCHED bit of the queue's NAPI instance, which
 *    needs no lock; see inject.c.
 */
#ifndef MYTUN_INTERNAL_H
#define MYTUN_INTERNAL_H

#include <linux/if_vlan.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/list.h>
#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/rtnetlink.h>
#include <linux/u64_stats_sync.h>
#include <linux/uidgid.h>
#include <linux/virtio_byteorder.h>
#include <linux/virtio_net.h>
#include <net/sock.h>

#include "compat/compat.h"
#include "mytun.h"

#define MYTUN_NAME "mytun"

/* Packets that wait for read(2) when a queue of a TUN interface has no rings, and the
 * length that a queueing discipline put on it begins with: as the built-in tun.
 */
#define MYTUN_READQ_LEN 500

/* ifr_flags that stay with an interface, as TUNGETIFF reports them. */
#define MYTUN_FEATURES (IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_NAPI)

/* In mytun_dev.flags, beside the IFF_* of if_tun.h: bits that no IFF_* uses. */
#define MYTUN_VNET_LE 0x80000000
#define MYTUN_VNET_BE 0x40000000

/* What TUNSETOFFLOAD switches. */
#define MYTUN_USER_FEATURES \
	(NETIF_F_HW_CSUM | NETIF_F_TSO_ECN | NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_GSO_UDP_L4)

struct mytun_addrs;
struct mytun_flows;

/**
 * struct mytun_counters - what a queue's rings did
 * @syncp:       guards the rest on 32-bit machines
 * @packets:     carried
 * @bytes:       carried
 * @drops:       RX: did not fit, or the ring is faulted; TX: malformed, no memory, or
 *               the interface was down
 * @wakeups:     times the program was woken
 */
struct mytun_counters {
	struct u64_stats_sync syncp;
	u64_stats_t packets;
	u64_stats_t bytes;
	u64_stats_t drops;
	u64_stats_t wakeups;
};

/**
 * struct mytun_totals - a reading of struct mytun_counters
 * @packets: as there
 * @bytes:   as there
 * @drops:   as there
 * @wakeups: as there
 */
struct mytun_totals {
	u64 packets;
	u64 bytes;
	u64 drops;
	u64 wakeups;
};

/**
 * struct mytun_ring_rx - the kernel's private end of an RX ring (it produces)
 * @lock:     orders the CPUs that reserve room; also guards @counters
 * @pos:      position up to which room is reserved: the authority
 * @cons:     the program's position as it was last read and found plausible
 * @size:     bytes of the data area
 * @headroom: bytes before each packet
 * @room:     bytes of a record that are not packet: header, headroom, tailroom
 * @prod_page: published, never read
 * @cons_page: the program's, read once and checked
 * @data:     the data area, mapped twice in a row
 * @counters: see there
 * @holds:    how often senders had to wait for room
 * @doorbells: how often the program rang for this ring
 */
struct mytun_ring_rx {
	spinlock_t lock; /* see above */
	u32 pos;
	u32 cons;
	u32 size;
	u16 headroom;
	u16 room;
	struct mytun_end *prod_page;
	const struct mytun_end *cons_page;
	u8 *data;
	struct mytun_counters counters;
	atomic64_t holds;
	atomic64_t doorbells;
};

/**
 * struct mytun_frags - memory for the heads of small packets, see frag.c
 * @begin: of the page whose turn it is
 * @left:  bytes of it that are not given out
 * @turn:  its index
 * @used:  how many pages take turns
 * @pages: the page, and what is left of our share of its references. Eight hold some 130
 *         packets of an Ethernet's size: three bursts of 64 KiB of a stream.
 */
struct mytun_frags {
	u8 *begin;
	unsigned int left;
	unsigned int turn;
	unsigned int used;
	struct mytun_frag_page {
		struct page *page;
		int share;
	} pages[8];
};

/**
 * struct mytun_ring_tx - the kernel's private end of a TX ring (it consumes)
 * @pos:       position up to which the ring is consumed: the authority
 * @size:      bytes of the data area
 * @prod_page: the program's, read once and checked
 * @cons_page: published, never read
 * @data:      the data area, mapped twice in a row
 * @counters:  written by whoever consumes the ring
 * @frags:     for who consumes the ring
 * @doorbells: how often the program rang for this ring
 */
struct mytun_ring_tx {
	u32 pos;
	u32 size;
	const struct mytun_end *prod_page;
	struct mytun_end *cons_page;
	const u8 *data;
	struct mytun_counters counters;
	struct mytun_frags frags;
	atomic64_t doorbells;
};

/**
 * struct mytun_rings_mem - the rings of a queue
 * @rx:       the kernel's end of the RX ring
 * @tx:       the kernel's end of the TX ring
 * @flags:    MYTUN_RINGS_F_*
 * @end_flags: MYTUN_END_F_* as published; under rx.lock
 * @fault:    the program broke the protocol; set once
 * @geometry: what MYTUN_IOC_RINGS answered
 * @area:     the kernel's mapping of all of it
 * @pages:    its pages in the order of the mapping, the data pages twice
 * @npages:   entries of @pages
 */
struct mytun_rings_mem {
	struct mytun_ring_rx rx ____cacheline_aligned_in_smp;
	struct mytun_ring_tx tx ____cacheline_aligned_in_smp;
	u32 flags;
	u32 end_flags;
	bool fault;
	struct mytun_rings geometry;
	void *area;
	struct page **pages;
	unsigned int npages;
};

/**
 * struct mytun_queue - an open file
 * @sk:       first, so that sk_alloc() makes it; carries the network namespace, the
 *            memory limit and the filter of plain writes and reads
 * @socket:   what @sk wants beside it; its wait queue is the file's
 * @md:       the interface, or NULL
 * @rings:    NULL until MYTUN_IOC_RINGS
 * @mode:     MYTUN_IOC_SET_MODE; written under RTNL, its fields read anywhere;
 *            @mode.inject only while nobody consumes the TX ring
 * @readq:    packets for read(2), while there are no rings
 * @held:     senders wait for packets to be taken out of @readq
 * @taken:    packets that were, since
 * @fasync:   whom to send SIGIO
 * @rx_eventfd: MYTUN_IOC_EVENTFDS; written under RTNL
 * @tx_eventfd: MYTUN_IOC_EVENTFDS; written under RTNL
 * @napi:     consumes the TX ring, or what was written to a file with IFF_NAPI
 * @coalesce: when what was written goes up at the latest
 * @by_napi:  what is written goes up by @napi: IFF_NAPI, and no rings; written under RTNL.
 *            @napi is on the interface, and enabled, if this is so or there are @rings
 * @gro_flush: before the next record, what GRO holds must go up; by whoever has @napi,
 *            or has disabled it
 * @kicked:   MYTUN_INJECT_THREAD: the thread has been told of records
 * @kick_wait: the same: where it waits
 * @thread:   the same: the thread; RTNL
 * @member:   in mytun_dev.members while attached, disabled or not
 * @index:    in mytun_dev.queues; valid while attached and enabled
 * @disabled: taken out of service with TUNSETQUEUE, still attached
 * @nofilter: came with IFF_NOFILTER, the same bit as IFF_NO_PI: mytun_dev.classic is
 *            not for it
 * @ifindex:  wanted for the interface that this file will create
 */
struct mytun_queue {
	struct sock sk;
	struct socket socket;
	struct mytun_dev __rcu *md;
	struct mytun_rings_mem *rings;
	struct mytun_mode mode;
	struct ptr_ring readq;
	bool held;
	atomic_t taken;
	struct fasync_struct *fasync;
	struct eventfd_ctx __rcu *rx_eventfd;
	struct eventfd_ctx __rcu *tx_eventfd;
	struct napi_struct napi;
	struct hrtimer coalesce;
	bool by_napi;
	bool gro_flush;
	int kicked;
	wait_queue_head_t kick_wait;
	struct task_struct *thread;
	struct list_head member;
	u16 index;
	bool disabled;
	bool nofilter;
	int ifindex;
};

/**
 * struct mytun_dev - an interface; the private part of its net_device
 * @queues:       enabled queues, the first @numqueues entries
 * @numqueues:    written under RTNL, read anywhere
 * @numdisabled:  attached queues out of service; RTNL
 * @rxqueues:     the most queues that were enabled at a time; RTNL
 * @ringed:       attached queues with rings; RTNL
 * @flags:        IFF_* of if_tun.h, MYTUN_VNET_*
 * @dev:          the net_device
 * @flows:        which queue a flow was sent on; NULL unless IFF_MULTI_QUEUE
 * @hash_seed:    of mytun_flow_hash()
 * @filtering:    one of @addrs, @classic and @ebpf is set
 * @addrs:        TUNSETTXFILTER
 * @classic:      TUNATTACHFILTER
 * @ebpf:         TUNSETFILTEREBPF
 * @steering:     TUNSETSTEERINGEBPF: chooses queues in place of @flows
 * @fprog:        what TUNGETFILTER tells; RTNL
 * @link_ksettings: what ethtool set; RTNL
 * @set_features: offloads that the program asked for
 * @owner:        TUNSETOWNER
 * @group:        TUNSETGROUP
 * @vnet_hdr_sz:  bytes of virtio header before each packet of a plain file
 * @sndbuf:       limit of memory in flight by plain write, of each queue
 * @align:        headroom of skbs made from plain writes
 * @rx_frames:    ethtool -C rx-frames; written under RTNL, read anywhere
 * @rx_usecs:     ethtool -C rx-usecs; the same
 * @security:     of the security module
 * @members_lock: guards @members and @gone_*, for counting
 * @members:      attached queues
 * @gone_rx:      totals of the rings that left
 * @gone_tx:      totals of the rings that left
 * @frame_errors: packets of plain writes with a bad virtio header
 * @creator:      the file that is creating the interface, during registration
 * @creator_flags: ifr_flags of the same
 */
struct mytun_dev {
	struct mytun_queue __rcu *queues[MYTUN_QUEUES_MAX];
	unsigned int numqueues;
	unsigned int numdisabled;
	unsigned int rxqueues;
	unsigned int ringed;
	unsigned int flags;
	struct net_device *dev;
	struct mytun_flows *flows;
	u64 hash_seed;
	bool filtering;
	struct mytun_addrs __rcu *addrs;
	struct bpf_prog __rcu *classic;
	struct bpf_prog __rcu *ebpf;
	struct bpf_prog __rcu *steering;
	struct sock_fprog fprog;
	struct ethtool_link_ksettings link_ksettings;
	netdev_features_t set_features;
	kuid_t owner;
	kgid_t group;
	int vnet_hdr_sz;
	int sndbuf;
	int align;
	unsigned int rx_frames;
	unsigned int rx_usecs;
	void *security;
	spinlock_t members_lock; /* see above */
	struct list_head members;
	struct mytun_totals gone_rx;
	struct mytun_totals gone_tx;
	atomic_long_t frame_errors;
	struct mytun_queue *creator;
	unsigned int creator_flags;
};

/* Byte order of the virtio headers of plain files. */
static inline bool mytun_vnet_is_le(const struct mytun_dev *md)
{
	if (md->flags & MYTUN_VNET_LE)
		return true;
	return !(md->flags & MYTUN_VNET_BE) && virtio_legacy_is_little_endian();
}

/*
 * With less the core would never call a file writable: half of it must be free, and one byte
 * or two stand for the file itself. With this much one packet is on its way at a time.
 */
#define MYTUN_SNDBUF_MIN 8

static inline void mytun_sndbuf_apply(struct mytun_queue *q, const struct mytun_dev *md)
{
	WRITE_ONCE(q->sk.sk_sndbuf, max(md->sndbuf, MYTUN_SNDBUF_MIN));
}

/* Is an attached queue in service? Its index is valid if it is, and is to be read after this. */
static inline bool mytun_in_service(const struct mytun_queue *q)
{
	/* Pairs with the release in mytun_queue_enable(). */
	return !smp_load_acquire(&q->disabled);
}

/* Is the queue in service on that interface? For who may have slept since he found that out. */
static inline bool mytun_serves(const struct mytun_queue *q, const struct mytun_dev *md)
{
	if (rcu_access_pointer(q->md) != md)
		return false;
	/* Pairs with the publication in mytun_attach(), which comes after the index. */
	smp_rmb();
	return mytun_in_service(q);
}

/* The rings of a queue, or NULL. */
static inline struct mytun_rings_mem *mytun_rings_get(const struct mytun_queue *q)
{
	/* Pairs with the release in mytun_rings_set(). */
	return smp_load_acquire(&q->rings);
}

/*
 * Must the program be woken, now that our position has moved from @old to @pos? @end
 * is the program's end of the same ring.
 */
static inline bool mytun_must_wake(struct mytun_queue *q, const struct mytun_rings_mem *r,
				   const struct mytun_end *end, u32 pos, u32 old)
{
	/* Pairs with the program's full barrier between its event field and its
	 * last look: either it sees what we published, or we see the event. Without
	 * the event index, with those in mytun_rings_poll() and mytun_ioc_eventfds().
	 */
	smp_mb();
	if (r->flags & MYTUN_RINGS_F_EVENT_IDX)
		return mytun_need_event(READ_ONCE(end->event), pos, old);
	/* waitqueue_active() needs the barrier above. */
	return waitqueue_active(&q->socket.wq.wait) || READ_ONCE(q->fasync) ||
	       rcu_access_pointer(q->rx_eventfd) || rcu_access_pointer(q->tx_eventfd);
}

/* attach.c */
int mytun_attach(struct mytun_dev *md, struct mytun_queue *q, bool napi, bool publish);
void mytun_detach(struct mytun_queue *q);
int mytun_queue_disable(struct mytun_queue *q);
int mytun_queue_enable(struct mytun_queue *q);
void mytun_detach_all(struct mytun_dev *md);
void mytun_wake(struct mytun_queue *q, __poll_t events);

struct mytun_dev *mytun_get(struct mytun_queue *q);
void mytun_put(struct mytun_dev *md);

/* bpf.c */
struct bpf_prog *mytun_ebpf_read(const int __user *argp);
int mytun_set_ebpf(struct mytun_dev *md, struct bpf_prog __rcu **slot, struct bpf_prog **prog);
struct bpf_prog *mytun_classic_read(struct sock_fprog *fprog);
int mytun_attach_filter(struct mytun_dev *md, const struct sock_fprog *fprog,
			struct bpf_prog **prog);
int mytun_detach_filter(struct mytun_dev *md);
int mytun_get_filter(const struct mytun_dev *md, struct sock_fprog *fprog);
void mytun_progs_free(struct mytun_dev *md);

/* chardev.c */
extern const struct file_operations mytun_fops;

/* copy.c */

/**
 * struct mytun_reader - a place in an skb that is being read from beginning to end
 * @at:   the next byte
 * @left: bytes in one piece from there
 * @frag: where it goes on then
 */
struct mytun_reader {
	const u8 *at;
	unsigned int left;
	const skb_frag_t *frag;
};

/* Is it in one piece, and in pieces that have addresses? */
static inline bool mytun_can_read(const struct sk_buff *skb)
{
	return !skb_has_frag_list(skb) &&
	       !(IS_ENABLED(CONFIG_HIGHMEM) && skb_is_nonlinear(skb));
}

void mytun_reader_init(struct mytun_reader *reader, const struct sk_buff *skb,
		       unsigned int start);
void mytun_read(struct mytun_reader *reader, u8 *to, unsigned int len);
__wsum mytun_read_and_sum(struct mytun_reader *reader, u8 *to, unsigned int len);
void mytun_copy_packet(const struct sk_buff *skb, u8 *to);
void mytun_copy_and_finish(const struct sk_buff *skb, u8 *to);

/* cut.c */

/* Ethernet with two VLAN tags, and the longest IPv4 and TCP headers; and a tag that stood
 * beside the frame until it was known that it can be cut.
 */
#define MYTUN_CUT_HEAD (14 + 8 + 60 + 60 + VLAN_HLEN)

/**
 * struct mytun_cut - a super-packet that is being cut into finished packets
 * @reader:    where the payload of the next packet is
 * @mss:       bytes of payload of each packet but the last
 * @payload:   bytes of payload of all
 * @segments:  how many packets
 * @headers:   bytes of headers of each
 * @network:   offset of the IP header
 * @transport: offset of the TCP or UDP header
 * @seq:       TCP sequence number of the first
 * @id:        IPv4 identification of the first
 * @tcp:       else UDP
 * @ipv6:      else IPv4
 * @fin:       the last packet carries FIN
 * @psh:       the last packet carries PSH
 * @head:      headers of the next packet
 */
struct mytun_cut {
	struct mytun_reader reader;
	unsigned int mss;
	unsigned int payload;
	unsigned int segments;
	unsigned int headers;
	unsigned int network;
	unsigned int transport;
	u32 seq;
	u16 id;
	bool tcp;
	bool ipv6;
	bool fin;
	bool psh;
	u8 head[MYTUN_CUT_HEAD] __aligned(4);
};

/* Bytes of packet number @i. */
static inline unsigned int mytun_cut_len(const struct mytun_cut *cut, unsigned int i)
{
	return cut->headers + min(cut->mss, cut->payload - i * cut->mss);
}

bool mytun_can_cut(const struct sk_buff *skb);
void mytun_cut_init(struct mytun_cut *cut, const struct sk_buff *skb);
void mytun_cut_segment(struct mytun_cut *cut, unsigned int i, u8 *to);

/* device.c */
/**
 * mytun_takes - has the program asked for unfinished packets of this kind?
 * @takes: mytun_dev.set_features, read once for a packet: a program may change it at any
 *         time, and what was found out by the one answer must not be done by the other
 * @skb:   a packet that the stack left unfinished, or a finished one, which all take
 */
static inline bool mytun_takes(netdev_features_t takes, const struct sk_buff *skb)
{
	if (skb_is_gso(skb))
		return net_gso_ok(takes, skb_shinfo(skb)->gso_type & ~SKB_GSO_DODGY);
	return skb->ip_summed != CHECKSUM_PARTIAL || (takes & NETIF_F_HW_CSUM);
}

/* Does an unfinished checksum begin in the packet, and end in its linear part? What other
 * interfaces pass on is not always so, and who offers NETIF_F_HW_CSUM is the first to look.
 */
static inline bool mytun_sum_in_packet(const struct sk_buff *skb)
{
	unsigned int end = skb->csum_start + skb->csum_offset + sizeof(__sum16);

	return skb->csum_start >= skb_headroom(skb) &&
	       end <= skb_tail_pointer(skb) - skb->head;
}

void mytun_rings_came(struct mytun_dev *md);
void mytun_rings_left(struct mytun_dev *md);
extern struct rtnl_link_ops mytun_link_ops;
int mytun_set_iff(struct mytun_queue *q, struct ifreq *ifr);
unsigned int mytun_iff_flags(const struct mytun_dev *md);
int mytun_set_offload(struct mytun_dev *md, unsigned long offloads);
int mytun_change_carrier(struct net_device *dev, bool carrier);

/* ethtool.c */
extern const struct ethtool_ops mytun_ethtool_ops;
void mytun_link_ksettings_init(struct mytun_dev *md);

/* hash.c */
u32 mytun_flow_hash(const struct mytun_dev *md, struct sk_buff *skb);

/* filter.c */
struct mytun_addrs *mytun_addrs_read(const void __user *argp);
void mytun_addrs_free(struct mytun_addrs *addrs);
int mytun_set_tx_filter(struct mytun_dev *md, struct mytun_addrs **addrs);
void mytun_filtering_update(struct mytun_dev *md);
void mytun_filters_free(struct mytun_dev *md);
bool mytun_filter(const struct mytun_dev *md, const struct mytun_queue *q, struct sk_buff *skb,
		  netdev_features_t takes);

/* backpressure.c */
bool mytun_hold(struct mytun_dev *md, struct mytun_queue *q, const struct sk_buff *skb,
		netdev_features_t takes);
void mytun_senders_go(struct mytun_queue *q);
void mytun_readq_taken(struct mytun_queue *q);
void mytun_backpressure_wanted(struct net_device *dev);

/* reach.c, which only the fuzzer's builds have */
#ifdef MYTUN_REACH
int mytun_reach_init(void);
void mytun_reach_exit(void);
void __sanitizer_cov_trace_pc(void);
#else
static inline int mytun_reach_init(void)
{
	return 0;
}

static inline void mytun_reach_exit(void)
{
}
#endif

/* eventfd.c */
void mytun_eventfds_signal(struct mytun_queue *q, __poll_t events);
void mytun_eventfds_release(struct mytun_queue *q);
long mytun_ioc_eventfds(struct mytun_queue *q, const void __user *argp);

/* flow.c */
struct mytun_flows *mytun_flows_alloc(void);
void mytun_flows_free(struct mytun_flows *flows);
void mytun_flow_learn(struct mytun_flows *flows, u32 hash, u16 queue);
int mytun_flow_queue(const struct mytun_flows *flows, u32 hash, unsigned int numqueues);
void mytun_flows_forget(struct mytun_flows *flows, u16 queue);
void mytun_flows_rename(struct mytun_flows *flows, u16 queue, u16 now);

/* frag.c */
void *mytun_frag_alloc(struct mytun_frags *f, unsigned int size);
void mytun_frags_free(struct mytun_frags *f);

/* inject.c */
/*
 * For an instance that has been stopped, a grace period later. napi_disable() stops the
 * timer of gro_flush_timeout, but whoever completes the instance starts it only after he has
 * given the instance back, and so perhaps after that.
 */
static inline void mytun_napi_timer_stop(struct napi_struct *napi)
{
	hrtimer_cancel(&napi->timer);
}

#define MYTUN_INJECTIONS_SERVED \
	(BIT(MYTUN_INJECT_SOFTIRQ) | BIT(MYTUN_INJECT_THREAD) | BIT(MYTUN_INJECT_DIRECT))
void mytun_inject_doorbell(struct mytun_queue *q);
void mytun_inject_kick(struct mytun_queue *q);
int mytun_inject_set(struct mytun_dev *md, struct mytun_queue *q, u32 inject);
void mytun_inject_stop(struct mytun_queue *q);

/* ioctl.c */
long mytun_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
#ifdef CONFIG_COMPAT
long mytun_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
#endif

/* link.c */
size_t mytun_link_size(const struct net_device *dev);
int mytun_link_fill(struct sk_buff *skb, const struct net_device *dev);

/* linktype.c */
int mytun_set_link_type(struct mytun_dev *md, unsigned long type);

/* mode.c */
#define MYTUN_MODE_FLAGS_SERVED (MYTUN_MODE_F_BACKPRESSURE | MYTUN_MODE_F_RECORDS)
long mytun_ioc_set_mode(struct mytun_queue *q, const void __user *argp);
long mytun_ioc_get_mode(struct mytun_queue *q, void __user *argp);

/* notify.c */
extern struct notifier_block mytun_notifier;

/* Bytes that a written packet counts for, before the stack has it: its MAC header is pulled. */
static inline unsigned int mytun_skb_written(const struct sk_buff *skb)
{
	return skb->len + (skb->data - skb_mac_header(skb));
}

/* packet_napi.c: what write(2) brings, by NAPI */
#define MYTUN_RX_USECS	   20
#define MYTUN_RX_USECS_MAX 10000
void mytun_writeq_init(struct mytun_queue *q);
int mytun_writeq_add(struct mytun_dev *md, struct mytun_queue *q, struct sk_buff *skb);
void mytun_writeq_start(struct mytun_dev *md, struct mytun_queue *q);
void mytun_writeq_stop(struct mytun_queue *q);
void mytun_writeq_drain(struct mytun_queue *q);

/* packet_rx.c: one packet a read(2) */
bool mytun_packet_rx(struct mytun_queue *q, struct sk_buff *skb);
ssize_t mytun_read_iter(struct kiocb *iocb, struct iov_iter *to);
bool mytun_readq_empty(struct mytun_queue *q);
int mytun_readq_wait(struct mytun_queue *q, bool noblock);
void mytun_readq_purge(struct mytun_queue *q);
void mytun_readq_drop(void *ptr);
void mytun_skb_free(void *ptr);

/* packet_tx.c: one packet a write(2) */

/**
 * enum mytun_patience - how long a write(2) waits for memory
 * @MYTUN_WAIT:             as long as it takes
 * @MYTUN_WAIT_FOR_PAGES:   O_NONBLOCK: not until the send buffer has room
 * @MYTUN_WAIT_FOR_NOTHING: RWF_NOWAIT and the first try of io_uring: nor for the
 *                          allocator to find pages
 */
enum mytun_patience {
	MYTUN_WAIT,
	MYTUN_WAIT_FOR_PAGES,
	MYTUN_WAIT_FOR_NOTHING
};

ssize_t mytun_write_iter(struct kiocb *iocb, struct iov_iter *from);
struct sk_buff *mytun_packet_skb(struct mytun_queue *q, const struct mytun_dev *md, size_t align,
				 size_t len, size_t linear, enum mytun_patience patience);

/* records.c: many packets a read(2) or write(2) */
ssize_t mytun_records_read(struct mytun_queue *q, struct iov_iter *to, bool noblock);
ssize_t mytun_records_write(struct mytun_queue *q, struct mytun_dev *md,
			    struct iov_iter *from, enum mytun_patience patience);

/* ring.c */
int mytun_rings_geometry(struct mytun_rings *g);
struct mytun_rings_mem *mytun_rings_alloc(const struct mytun_rings *g);
int mytun_rings_set(struct mytun_queue *q, struct mytun_rings_mem *r);
void mytun_rings_free(struct mytun_rings_mem *r);
int mytun_rings_mmap(struct mytun_queue *q, struct vm_area_struct *vma);
__poll_t mytun_rings_poll(struct mytun_queue *q, struct mytun_rings_mem *r);
void mytun_rings_fault(struct mytun_queue *q, struct mytun_rings_mem *r);
void mytun_rings_detached(struct mytun_queue *q);
void mytun_counters_read(const struct mytun_counters *c, struct mytun_totals *t);
void mytun_totals_add(struct mytun_totals *sum, const struct mytun_totals *t);

/* ring_rx.c */
bool mytun_ring_rx(struct mytun_queue *q, struct mytun_rings_mem *r, struct mytun_dev *md,
		   struct sk_buff *skb, netdev_features_t takes);
int mytun_rx_vnet(struct mytun_rec *head, const struct sk_buff *skb, int vlan_hlen);

/* Bytes of an RX record for a packet of @len bytes. */
static inline u32 mytun_rx_need(const struct mytun_ring_rx *rx, u32 len)
{
	return ALIGN(rx->room + len, MYTUN_REC_ALIGN);
}

/* ring_tx.c */
int mytun_ring_tx_poll(struct napi_struct *napi, int budget);
int mytun_doorbell(struct mytun_queue *q, unsigned long which);
/**
 * mytun_tx_work - what a record that went up the stack is worth of a budget of records
 * @head: the record; its virtio fields were true
 *
 * Who forwards a super-packet makes thousands of packets of it, if it is cut small enough.
 */
static inline unsigned int mytun_tx_work(const struct mytun_rec *head)
{
	if (likely(!head->gso_type || !head->gso_size))
		return 1;
	return 1 + head->len / head->gso_size / 128;
}

__be16 mytun_tx_proto(const struct sk_buff *skb, u16 proto);
bool mytun_tx_vnet(struct sk_buff *skb, const struct mytun_rec *head, bool tap);

/* partial.c */
bool mytun_partial_sound(const struct sk_buff *skb);

/* The virtio header of a record. */
static inline struct virtio_net_hdr mytun_rec_to_vnet(const struct mytun_rec *rec)
{
	struct virtio_net_hdr vnet = {
		.flags = rec->vnet_flags,
		.gso_type = rec->gso_type,
		.hdr_len = (__force __virtio16)rec->hdr_len,
		.gso_size = (__force __virtio16)rec->gso_size,
		.csum_start = (__force __virtio16)rec->csum_start,
		.csum_offset = (__force __virtio16)rec->csum_offset,
	};

	return vnet;
}

#endif /* MYTUN_INTERNAL_H */
