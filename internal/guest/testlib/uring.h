/* SPDX-License-Identifier: MIT */
/* As much of io_uring as the tests need, by its system calls. */
#ifndef URING_H
#define URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>

/* Newer than this machine's header may be. */
#ifndef IORING_POLL_ADD_MULTI
#define IORING_POLL_ADD_MULTI (1U << 0)
#endif
#ifndef IORING_CQE_F_MORE
#define IORING_CQE_F_MORE (1U << 1)
#endif

/* A completed request. */
struct uring_done {
	uint64_t id;
	int res;
	unsigned int flags;
};

struct uring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/* Skips the test where the kernel has no io_uring. */
struct uring uring_new(void);
bool uring_knows(const struct uring *u, int op);

/* Submits one request; @id comes back with its completion. */
void uring_submit(struct uring *u, struct io_uring_sqe sqe, uint64_t id);
/* The next completion, within five seconds. */
struct uring_done uring_wait(struct uring *u);
/* The next one must be that of @id, with @res. */
void uring_expect(struct uring *u, uint64_t id, int res);
/* Nothing is complete, nor will be in the next moment. */
void uring_expect_none(struct uring *u);

/* Threads that io_uring made in this process to wait in. */
int uring_workers(void);

#endif /* URING_H */
