// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for the heads of small packets: pieces of a few large pages that a queue uses in
 * turn. A page whose pieces have all been freed when its turn comes is used again as it is. If
 * they have not, the queue takes one page more, and has in the end as many as its packets have
 * once needed until they were read. When it has all that it may keep, the page is left to those
 * who hold its pieces, and a new one takes its place.
 *
 * Against napi_alloc_frag() this saves going to the page allocator, and, on kernels that
 * clear each page they hand out (init_on_alloc, Debian's default), clearing as many bytes
 * as the packet's head has: a tenth of what a small packet costs all the way to a socket. What
 * is used again has held packets of the same queue, and nothing else.
 *
 * The pieces are counted by the page's own reference count. A share of it is ours from the
 * beginning, each piece takes one of them away with it, and when those that came back
 * and what is left of ours are all there is, nobody holds a piece.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "internal.h"

#define MYTUN_FRAG_ORDER get_order(32768)
/* Our share of a new page; more than it can have pieces. */
#define MYTUN_FRAG_SHARE (1 << 16)

static struct page *mytun_frag_page(void)
{
	struct page *page;

	/* What is hard to get is not worth it. */
	page = alloc_pages(GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN |
				   __GFP_NORETRY | __GFP_NOMEMALLOC,
			   MYTUN_FRAG_ORDER);
	if (!page)
		page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	if (page)
		page_ref_add(page, MYTUN_FRAG_SHARE - 1);
	return page;
}

/*
 * Somebody holds pieces. Who freed one did so with an atomic operation that orders its use before;
 * our writes are ordered behind this look by depending on it.
 */
static bool mytun_frag_busy(const struct mytun_frag_page *p)
{
	return page_ref_count(p->page) != p->share;
}

static void mytun_frag_drain(struct mytun_frag_page *p)
{
	__page_frag_cache_drain(p->page, p->share);
	p->page = NULL;
}

/* The next page takes its turn. */
static bool mytun_frag_turn(struct mytun_frags *f)
{
	struct mytun_frag_page *p;

	f->left = 0;
	f->turn = f->turn + 1 < f->used ? f->turn + 1 : 0;
	p = &f->pages[f->turn];
	if (!f->used || (f->used < ARRAY_SIZE(f->pages) && p->page && mytun_frag_busy(p))) {
		f->turn = f->used++;
		p = &f->pages[f->turn];
	}
	/* Of the reserves for emergencies nothing is kept. */
	if (p->page && (mytun_frag_busy(p) || page_is_pfmemalloc(p->page)))
		mytun_frag_drain(p);
	if (p->page) {
		page_ref_add(p->page, MYTUN_FRAG_SHARE - p->share);
	} else {
		p->page = mytun_frag_page();
		if (!p->page)
			return false;
	}
	p->share = MYTUN_FRAG_SHARE;
	f->left = page_size(p->page);
	f->begin = page_address(p->page);
	return true;
}

/**
 * mytun_frag_alloc - memory for the head of an skb, to be freed with skb_free_frag()
 * @f:    the queue's
 * @size: bytes, a multiple of SMP_CACHE_BYTES and at most PAGE_SIZE
 *
 * One caller at a time, in softirq or with softirqs off. Return: NULL without memory.
 */
void *mytun_frag_alloc(struct mytun_frags *f, unsigned int size)
{
	if (unlikely(f->left < size) && !mytun_frag_turn(f))
		return NULL;
	f->left -= size;
	f->pages[f->turn].share--;
	return f->begin + f->left;
}

/* Pieces that are still in use keep their pages. */
void mytun_frags_free(struct mytun_frags *f)
{
	unsigned int i;

	for (i = 0; i < f->used; i++)
		if (f->pages[i].page)
			mytun_frag_drain(&f->pages[i]);
}
