// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "address.h"
#include "calls.h"
#include "check.h"
#include "foreign.h"
#include "tally.h"

/* Places that are nobody's, for mappings that move. */
#define FREE_PLACES (2 * QUEUES)

static size_t whole_pages(struct rnd *r, size_t len)
{
	return (1 + below(r, len / 4096)) * 4096;
}

/* Pages of a ring are given to a pipe, and read when the ring may be gone. */
static void keep_in_a_pipe(char *map, struct rnd *r)
{
	static __thread int pipes[4][2];
	static __thread unsigned int turn;
	static __thread char got[1 << 16];
	int *p = pipes[turn++ % ARRAY_SIZE(pipes)];
	struct iovec iov = { map, 4096 * (1 + below(r, 8)) };
	ssize_t n;

	if (p[0]) {
		while ((n = read(p[0], got, sizeof(got))) > 0)
			foreign_search("a pipe that a ring's pages were given to", got, n);
		close(p[0]);
		close(p[1]);
		p[0] = 0;
	}
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		p[0] = 0;
	else if (vmsplice(p[1], &iov, 1, SPLICE_F_NONBLOCK) < 0)
		tally_add(TRAPS, 1);
}

static void advise(char *at, size_t len, struct rnd *r)
{
	static const int advices[] = { MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_COLD,
				       MADV_PAGEOUT, MADV_DONTFORK, MADV_HUGEPAGE, MADV_MERGEABLE,
				       MADV_WILLNEED, MADV_DOFORK, MADV_WIPEONFORK };

	madvise(at, len, advices[below(r, ARRAY_SIZE(advices))]);
}

void remap(struct queue *q, struct rnd *r)
{
	unsigned int which = below(r, 2), n = 2 * q->number + which;
	unsigned int other = FREE_PLACES + below(r, PLACES - FREE_PLACES);
	char *map = place(n), *at;
	size_t len, size;

	if (!q->ringed || q->g.map_size > PLACE_LEN)
		return;
	size = q->g.map_size;
	at = map + (whole_pages(r, size) - 4096);
	len = whole_pages(r, map + size - at);
	tally_add(MAPPINGS, 1);
	switch (below(r, 20)) {
	case 0:
		mprotect(at, len, below(r, 8));
		break;
	case 1:
		munmap(at, len);
		break;
	case 2: /* moved in part or whole, grown, or doubled */
		mremap(at, below(r, 4) ? len : 0, below(r, 4) ? len : len + 4096,
		       MREMAP_MAYMOVE | MREMAP_FIXED, place(other));
		break;
	case 3:
		advise(at, len, r);
		break;
	case 4:
		keep_in_a_pipe(at, r);
		break;
	case 5: /* what may not be had */
		mmap(place(other), size, PROT_READ | (below(r, 2) ? PROT_EXEC : PROT_WRITE),
		     (below(r, 2) ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, q->fd,
		     below(r, 3) * 4096);
		break;
	case 6:
		place_clear(below(r, 3) ? n : other);
		break;
	case 7:
		if (below(r, 2))
			mlock(at, len);
		else
			munlock(at, len);
		msync(at, len, MS_ASYNC);
		break;
	default:
		queue_map_anew(q, which);
	}
}
