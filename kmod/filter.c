// SPDX-License-Identifier: GPL-2.0
/*
 * Which packets of the stack reach the program: those that pass the destination
 * addresses of TUNSETTXFILTER, the classic BPF program of TUNATTACHFILTER and the
 * extended one of TUNSETFILTEREBPF, in this order, where they are set.
 */
#include <linux/crc32.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

/* So many addresses are compared, as in the built-in tun; the others must be
 * multicast, and only a hash of them is kept.
 */
#define MYTUN_EXACT_MAX 8

/**
 * struct mytun_addrs - what TUNSETTXFILTER lets through
 * @rcu:    frees it
 * @count:  entries of @exact
 * @hashed: a bit for each multicast address beyond them, by mytun_addr_bit()
 * @exact:  addresses that are compared
 */
struct mytun_addrs {
	struct rcu_head rcu;
	unsigned int count;
	DECLARE_BITMAP(hashed, 64);
	u8 exact[MYTUN_EXACT_MAX][ETH_ALEN] __aligned(2);
};

static unsigned int mytun_addr_bit(const u8 *addr)
{
	return ether_crc(ETH_ALEN, addr) >> 26;
}

/* @addrs may be NULL. */
void mytun_addrs_free(struct mytun_addrs *addrs)
{
	kfree(addrs);
}

/**
 * mytun_addrs_read - the addresses of TUNSETTXFILTER
 * @argp: struct tun_filter
 *
 * Return: the filter; NULL when it lets everything through; or an ERR_PTR: -EFAULT, -ENOMEM.
 */
struct mytun_addrs *mytun_addrs_read(const void __user *argp)
{
	struct mytun_addrs *addrs;
	struct tun_filter head;
	u8(*addr)[ETH_ALEN];
	unsigned int i;

	if (copy_from_user(&head, argp, sizeof(head)))
		return ERR_PTR(-EFAULT);
	if (!head.count)
		return NULL;
	addr = memdup_user(argp + sizeof(head), array_size(head.count, ETH_ALEN));
	if (IS_ERR(addr))
		return ERR_CAST(addr);
	addrs = kzalloc(sizeof(*addrs), GFP_KERNEL_ACCOUNT);
	if (!addrs) {
		addrs = ERR_PTR(-ENOMEM);
		goto out;
	}

	addrs->count = min_t(unsigned int, head.count, MYTUN_EXACT_MAX);
	memcpy(addrs->exact, addr, addrs->count * ETH_ALEN);
	for (i = addrs->count; i < head.count; i++) {
		/* More hosts than can be told apart: no filter at all. */
		if (!is_multicast_ether_addr(addr[i])) {
			mytun_addrs_free(addrs);
			addrs = NULL;
			goto out;
		}
		__set_bit(mytun_addr_bit(addr[i]), addrs->hashed);
	}
	if (head.flags & TUN_FLT_ALLMULTI)
		bitmap_fill(addrs->hashed, 64);
out:
	kfree(addr);
	return addrs;
}

/* After a change of what mytun_filter() looks at. */
void mytun_filtering_update(struct mytun_dev *md)
{
	bool on;

	ASSERT_RTNL();
	on = rcu_access_pointer(md->addrs) || rcu_access_pointer(md->classic) ||
	     rcu_access_pointer(md->ebpf);
	WRITE_ONCE(md->filtering, on);
}

/**
 * mytun_set_tx_filter - TUNSETTXFILTER: which destinations a TAP program wants
 * @md:    the interface
 * @addrs: from mytun_addrs_read(); NULL when this took them
 *
 * Return: how many addresses are compared as they are, 0 when everything passes;
 * -EINVAL not a TAP interface; what is wrong with the addresses.
 */
int mytun_set_tx_filter(struct mytun_dev *md, struct mytun_addrs **addrs)
{
	struct mytun_addrs *new = *addrs, *old = rtnl_dereference(md->addrs);

	ASSERT_RTNL();
	if (!(md->flags & IFF_TAP))
		return -EINVAL;
	if (IS_ERR(new))
		return PTR_ERR(new);

	rcu_assign_pointer(md->addrs, new);
	*addrs = NULL;
	mytun_filtering_update(md);
	if (old)
		kfree_rcu(old, rcu);
	return new ? new->count : 0;
}

/* The interface is gone, nobody filters any more. */
void mytun_filters_free(struct mytun_dev *md)
{
	mytun_addrs_free(rcu_dereference_protected(md->addrs, true));
	mytun_progs_free(md);
}

static bool mytun_addrs_match(const struct mytun_addrs *addrs, const struct sk_buff *skb)
{
	const u8 *dest;
	unsigned int i;
	u16 buf[ETH_ALEN / 2];

	dest = skb_header_pointer(skb, 0, ETH_ALEN, buf);
	if (!dest)
		return false;
	for (i = 0; i < addrs->count; i++)
		if (ether_addr_equal(dest, addrs->exact[i]))
			return true;
	return is_multicast_ether_addr(dest) && test_bit(mytun_addr_bit(dest), addrs->hashed);
}

/* Return: 0 or -ENOMEM. */
static int mytun_trim(struct sk_buff *skb, unsigned int len)
{
	int err;

	if (len >= skb->len)
		return 0;
	err = pskb_trim(skb, len);
	if (err)
		return err;
	/* What is left is nothing that could be finished: neither be cut into
	 * segments, nor get a checksum in a place that it has no more.
	 */
	skb_gso_reset(skb);
	if (skb->ip_summed == CHECKSUM_PARTIAL &&
	    skb_checksum_start_offset(skb) + skb->csum_offset + sizeof(__sum16) > len)
		skb->ip_summed = CHECKSUM_NONE;
	return 0;
}

static bool mytun_refuse(struct sk_buff *skb, enum skb_drop_reason reason)
{
	skb_tx_error(skb);
	kfree_skb_reason(skb, reason);
	return false;
}

/**
 * mytun_filter - does the program want this packet?
 * @md:  the interface, with mytun_dev.filtering
 * @q:   the queue that would get it
 * @skb: the packet; freed when the answer is no, may be cut short otherwise
 * @takes: see mytun_takes()
 *
 * The caller holds the RCU read lock and counts the drop.
 */
bool mytun_filter(const struct mytun_dev *md, const struct mytun_queue *q, struct sk_buff *skb,
		  netdev_features_t takes)
{
	const struct mytun_addrs *addrs = rcu_dereference(md->addrs);
	const struct bpf_prog *prog;
	unsigned int len;

	/* A program that takes finished packets has them judged when they are. */
	if (!skb_is_gso(skb) && !mytun_takes(takes, skb) && skb_checksum_help(skb))
		return mytun_refuse(skb, SKB_DROP_REASON_SKB_CSUM);
	if (addrs && !mytun_addrs_match(addrs, skb))
		return mytun_refuse(skb, SKB_DROP_REASON_TAP_TXFILTER);

	prog = rcu_dereference(md->classic);
	if (prog && !READ_ONCE(q->nofilter)) {
		len = bpf_prog_run_clear_cb(prog, skb);
		if (!len || mytun_trim(skb, len))
			return mytun_refuse(skb, SKB_DROP_REASON_SOCKET_FILTER);
	}

	prog = rcu_dereference(md->ebpf);
	if (prog) {
		len = bpf_prog_run_clear_cb(prog, skb);
		if (!len)
			return mytun_refuse(skb, SKB_DROP_REASON_TAP_FILTER);
		if (mytun_trim(skb, len))
			return mytun_refuse(skb, SKB_DROP_REASON_NOMEM);
	}
	return true;
}
