// SPDX-License-Identifier: GPL-2.0
/*
 * Rings of a queue: their memory, what the program sees of their state, their end.
 *
 * All pages of a queue's rings stand in one array, in the order of the mapping and
 * the data pages twice; one vmap makes of it the kernel's view, and the same
 * array, through remap_vmalloc_range(), the program's:
 *
 *      pages:  RXC TXP RXP TXC | rx0 .. rxN | rx0 .. rxN | tx0 .. txM | tx0 .. txM
 *
 * Who writes what stands in uapi/mytun.h. What the program can write, this module
 * reads with one load, checks, and uses only the checked copy.
 */
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"

/* The four pages before the data areas. The program's come first. */
enum {
	MYTUN_PAGE_RX_CONS,
	MYTUN_PAGE_TX_PROD,
	MYTUN_PAGE_RX_PROD,
	MYTUN_PAGE_TX_CONS,
	MYTUN_END_PAGES,
};

void mytun_counters_read(const struct mytun_counters *c, struct mytun_totals *t)
{
	unsigned int start;

	do {
		start = mytun_u64_stats_begin(&c->syncp);
		t->packets = u64_stats_read(&c->packets);
		t->bytes = u64_stats_read(&c->bytes);
		t->drops = u64_stats_read(&c->drops);
		t->wakeups = u64_stats_read(&c->wakeups);
	} while (mytun_u64_stats_retry(&c->syncp, start));
}

void mytun_totals_add(struct mytun_totals *sum, const struct mytun_totals *t)
{
	sum->packets += t->packets;
	sum->bytes += t->bytes;
	sum->drops += t->drops;
	sum->wakeups += t->wakeups;
}

static bool mytun_size_ok(u32 size)
{
	return is_power_of_2(size) && size >= MYTUN_RING_SIZE_MIN &&
	       size <= MYTUN_RING_SIZE_MAX && PAGE_ALIGNED(size);
}

static int mytun_geometry_check(const struct mytun_rings *g)
{
	if (g->flags & ~MYTUN_RINGS_F_ALL)
		return -EINVAL;
	if (!mytun_size_ok(g->rx_size) || !mytun_size_ok(g->tx_size))
		return -EINVAL;
	if (g->rx_headroom > MYTUN_ROOM_MAX || g->rx_tailroom > MYTUN_ROOM_MAX)
		return -EINVAL;
	if (memchr_inv(g->reserved, 0, sizeof(g->reserved)))
		return -EINVAL;
	return 0;
}

static void mytun_geometry_fill(struct mytun_rings *g)
{
	g->rx_cons = MYTUN_PAGE_RX_CONS * PAGE_SIZE;
	g->tx_prod = MYTUN_PAGE_TX_PROD * PAGE_SIZE;
	g->rx_prod = MYTUN_PAGE_RX_PROD * PAGE_SIZE;
	g->tx_cons = MYTUN_PAGE_TX_CONS * PAGE_SIZE;
	g->rx_data = MYTUN_END_PAGES * PAGE_SIZE;
	g->tx_data = g->rx_data + 2 * g->rx_size;
	g->map_size = (u64)g->tx_data + 2 * g->tx_size;
}

/* Frees what is there; entries that were not reached are NULL. */
static void mytun_pages_free_range(struct page **pages, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (pages[i])
			__free_page(pages[i]);
}

/* Each data page stands in the array twice, and is freed once. */
static void mytun_pages_free(struct mytun_rings_mem *r)
{
	unsigned int rx = r->geometry.rx_size >> PAGE_SHIFT;
	unsigned int tx = r->geometry.tx_size >> PAGE_SHIFT;

	mytun_pages_free_range(r->pages, MYTUN_END_PAGES + rx);
	mytun_pages_free_range(r->pages + MYTUN_END_PAGES + 2 * rx, tx);
	kvfree(r->pages);
}

/*
 * Charged to the memory cgroup of whoever sets the rings up. A limit that is reached
 * is an error that the program can handle, not a reason to kill it.
 */
#define MYTUN_GFP_CAREFUL (__GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)
#define MYTUN_GFP	  (GFP_KERNEL_ACCOUNT | MYTUN_GFP_CAREFUL)

static int mytun_page_alloc(struct page **page)
{
	*page = alloc_page(MYTUN_GFP_MAPPED | MYTUN_GFP_CAREFUL);
	return *page ? 0 : -ENOMEM;
}

static int mytun_area_alloc(struct page **pages, unsigned int n)
{
	unsigned int i;
	int err;

	for (i = 0; i < n; i++) {
		err = mytun_page_alloc(&pages[i]);
		if (err)
			return err;
		pages[n + i] = pages[i];
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int mytun_pages_alloc(struct mytun_rings_mem *r)
{
	unsigned int rx = r->geometry.rx_size >> PAGE_SHIFT;
	unsigned int tx = r->geometry.tx_size >> PAGE_SHIFT;
	unsigned int i;
	int err;

	r->npages = MYTUN_END_PAGES + 2 * rx + 2 * tx;
	r->pages = kvcalloc(r->npages, sizeof(*r->pages), MYTUN_GFP);
	if (!r->pages)
		return -ENOMEM;

	for (i = 0; i < MYTUN_END_PAGES; i++) {
		err = mytun_page_alloc(&r->pages[i]);
		if (err)
			goto free_pages;
	}
	err = mytun_area_alloc(r->pages + MYTUN_END_PAGES, rx);
	if (err)
		goto free_pages;
	err = mytun_area_alloc(r->pages + MYTUN_END_PAGES + 2 * rx, tx);
	if (err)
		goto free_pages;

	/* VM_USERMAP: remap_vmalloc_range() insists on it. */
	err = -ENOMEM;
	r->area = vmap(r->pages, r->npages, VM_MAP | VM_USERMAP, PAGE_KERNEL);
	if (!r->area)
		goto free_pages;
	return 0;

free_pages:
	mytun_pages_free(r);
	return err;
}

/* The rings must be out of everyone's reach. A mapping keeps its pages by itself. */
void mytun_rings_free(struct mytun_rings_mem *r)
{
	if (!r)
		return;
	mytun_frags_free(&r->tx.frags);
	vunmap(r->area);
	mytun_pages_free(r);
	kfree(r);
}

static void mytun_rings_init(struct mytun_rings_mem *r)
{
	const struct mytun_rings *g = &r->geometry;

	spin_lock_init(&r->rx.lock);
	u64_stats_init(&r->rx.counters.syncp);
	r->rx.size = g->rx_size;
	r->rx.headroom = g->rx_headroom;
	r->rx.room = sizeof(struct mytun_rec) + g->rx_headroom + g->rx_tailroom;
	r->rx.prod_page = r->area + g->rx_prod;
	r->rx.cons_page = r->area + g->rx_cons;
	r->rx.data = r->area + g->rx_data;

	u64_stats_init(&r->tx.counters.syncp);
	r->tx.size = g->tx_size;
	r->tx.prod_page = r->area + g->tx_prod;
	r->tx.cons_page = r->area + g->tx_cons;
	r->tx.data = r->area + g->tx_data;
}

/**
 * mytun_rings_geometry - check what a program asks for, and fill in the rest
 * @g: sizes and flags; gets the offsets
 *
 * Return: 0 or -EINVAL.
 */
int mytun_rings_geometry(struct mytun_rings *g)
{
	int err = mytun_geometry_check(g);

	if (!err)
		mytun_geometry_fill(g);
	return err;
}

/**
 * mytun_rings_alloc - the memory of a queue's rings
 * @g: from mytun_rings_geometry()
 *
 * May take long and sleep: not for callers with RTNL.
 *
 * Return: the rings, or -ENOMEM or -EINTR as an ERR_PTR.
 */
struct mytun_rings_mem *mytun_rings_alloc(const struct mytun_rings *g)
{
	struct mytun_rings_mem *r;
	int err;

	r = kzalloc(sizeof(*r), MYTUN_GFP);
	if (!r)
		return ERR_PTR(-ENOMEM);
	r->geometry = *g;
	r->flags = g->flags;
	err = mytun_pages_alloc(r);
	if (err) {
		kfree(r);
		return ERR_PTR(err);
	}
	mytun_rings_init(r);
	return r;
}

/**
 * mytun_rings_set - give an attached queue its rings
 * @q: the queue
 * @r: the rings; the queue's when this succeeds
 *
 * Return: 0; -EBADFD not attached; -EBUSY has rings.
 */
int mytun_rings_set(struct mytun_queue *q, struct mytun_rings_mem *r)
{
	struct mytun_dev *md = rtnl_dereference(q->md);

	ASSERT_RTNL();
	if (!md)
		return -EBADFD;
	if (q->rings)
		return -EBUSY;

	if (q->by_napi)
		mytun_writeq_stop(q);

	/* For the tracepoints: packets come to the rings before NAPI has the queue. */
	q->napi.dev = md->dev;
	/* Pairs with the acquire in mytun_rings_get(): whoever sees the rings sees
	 * them whole.
	 */
	smp_store_release(&q->rings, r);

	/* Reads and writes are over, and a mode that is read back can be set again. */
	WRITE_ONCE(q->mode.flags, q->mode.flags & ~MYTUN_MODE_F_RECORDS);

	/* Who did not see the rings is done with the read queue and the write queue after
	 * this; who is parked in read(2) finds them and leaves.
	 */
	synchronize_net();
	mytun_readq_purge(q);
	mytun_writeq_drain(q);
	mytun_napi_start(md->dev, &q->napi, mytun_ring_tx_poll);
	/* For a program that was quick. */
	mytun_inject_kick(q);
	mytun_rings_came(md);
	mytun_senders_go(q);
	mytun_wake(q, EPOLLIN | EPOLLOUT);
	return 0;
}

int mytun_rings_mmap(struct mytun_queue *q, struct vm_area_struct *vma)
{
	struct mytun_rings_mem *r = mytun_rings_get(q);

	if (!r || vma->vm_pgoff || vma->vm_end - vma->vm_start != r->geometry.map_size)
		return -EINVAL;
	/* A private copy of a ring is a mistake, code in one an attack. */
	if (!(vma->vm_flags & VM_SHARED) || (vma->vm_flags & VM_EXEC))
		return -EPERM;
	mytun_vm_flags_clear(vma, VM_MAYEXEC);
	return remap_vmalloc_range(vma, r->area, 0);
}

/* Here the program's word decides only what itself is told. */

static bool mytun_rx_ready(const struct mytun_rings_mem *r)
{
	const struct mytun_ring_rx *rx = &r->rx;
	u32 pos = READ_ONCE(rx->pos);
	u32 at = READ_ONCE(rx->cons_page->pos);
	const struct mytun_rec *rec;
	u32 event;

	/* A program may keep records, whose headers are its own meanwhile, and wait
	 * for the one after them.
	 */
	if (r->flags & MYTUN_RINGS_F_EVENT_IDX) {
		event = READ_ONCE(rx->cons_page->event);
		if (event - at <= pos - at)
			at = event;
	}
	if (at == pos)
		return false;
	if (pos - at > rx->size || at % MYTUN_REC_ALIGN)
		return true;
	rec = (const struct mytun_rec *)(rx->data + (at & (rx->size - 1)));
	return !(READ_ONCE(rec->size) & MYTUN_REC_BUSY);
}

static bool mytun_tx_room(const struct mytun_rings_mem *r)
{
	const struct mytun_ring_tx *tx = &r->tx;
	u32 pos = READ_ONCE(tx->pos);
	u32 held = READ_ONCE(tx->prod_page->pos) - pos;

	/* It waits for a position that we have not passed: it may need all the room
	 * there is.
	 */
	if ((r->flags & MYTUN_RINGS_F_EVENT_IDX) &&
	    READ_ONCE(tx->prod_page->event) - pos < held)
		return false;
	return held <= tx->size / 2 || (r->flags & MYTUN_RINGS_F_EVENT_IDX);
}

__poll_t mytun_rings_poll(struct mytun_queue *q, struct mytun_rings_mem *r)
{
	__poll_t mask = 0;

	if (READ_ONCE(r->fault) || !rcu_access_pointer(q->md))
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	/* Positions are looked at after the wait queue was joined; poll_wait()'s
	 * lock is no full barrier. Pairs with that in mytun_must_wake().
	 */
	smp_mb();
	if (mytun_rx_ready(r))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (mytun_tx_room(r))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

/* Tell the program why its rings are not served; a flag that is set stays set. */
static void mytun_ends_flag(struct mytun_rings_mem *r, u32 flag)
{
	spin_lock_bh(&r->rx.lock);
	r->end_flags |= flag;
	WRITE_ONCE(r->rx.prod_page->flags, r->end_flags);
	WRITE_ONCE(r->tx.cons_page->flags, r->end_flags);
	spin_unlock_bh(&r->rx.lock);
}

/* The program broke the protocol: serve it no more, and tell it. Softirqs are off. */
void mytun_rings_fault(struct mytun_queue *q, struct mytun_rings_mem *r)
{
	WRITE_ONCE(r->fault, true);
	mytun_ends_flag(r, MYTUN_END_F_FAULT);
	/* To be dropped, rather than to wait for ever. */
	mytun_senders_go(q);
	mytun_wake(q, EPOLLIN | EPOLLOUT | EPOLLHUP);
}

/* The queue has left its interface. The caller wakes the program. */
void mytun_rings_detached(struct mytun_queue *q)
{
	struct mytun_rings_mem *r = mytun_rings_get(q);

	if (r)
		mytun_ends_flag(r, MYTUN_END_F_DETACHED);
}
