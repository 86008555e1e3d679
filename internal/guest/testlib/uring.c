// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "uring.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum {
	ENTRIES = 64
};

static void *map(int fd, size_t len, off_t what)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	must((intptr_t)p);
	return p;
}

struct uring uring_new(void)
{
	struct io_uring_params params = {};
	struct uring u = { .fd = syscall(SYS_io_uring_setup, ENTRIES, &params) };
	char *sq, *cq;

	if (u.fd < 0 && (errno == ENOSYS || errno == EPERM))
		skip("this kernel has no io_uring: %s", strerrorname(errno));
	must(u.fd);
	sq = map(u.fd, params.sq_off.array + params.sq_entries * sizeof(unsigned int),
		 IORING_OFF_SQ_RING);
	cq = map(u.fd, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
		 IORING_OFF_CQ_RING);
	u.sqes = map(u.fd, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	u.sq_tail = (unsigned int *)(sq + params.sq_off.tail);
	u.sq_mask = (unsigned int *)(sq + params.sq_off.ring_mask);
	u.sq_array = (unsigned int *)(sq + params.sq_off.array);
	u.cq_head = (unsigned int *)(cq + params.cq_off.head);
	u.cq_tail = (unsigned int *)(cq + params.cq_off.tail);
	u.cq_mask = (unsigned int *)(cq + params.cq_off.ring_mask);
	u.cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	return u;
}

bool uring_knows(const struct uring *u, int op)
{
	union {
		struct io_uring_probe probe;
		char room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
	} p = {};

	must(syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_PROBE, &p, 256));
	return op <= p.probe.last_op && (p.probe.ops[op].flags & IO_URING_OP_SUPPORTED);
}

void uring_submit(struct uring *u, struct io_uring_sqe sqe, uint64_t id)
{
	unsigned int tail = *u->sq_tail, at = tail & *u->sq_mask;

	sqe.user_data = id;
	u->sqes[at] = sqe;
	u->sq_array[at] = at;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	expect_eq(must(syscall(SYS_io_uring_enter, u->fd, 1, 0, 0, NULL, 0)), 1);
}

static bool next(struct uring *u, struct uring_done *done)
{
	const struct io_uring_cqe *cqe;
	unsigned int head = *u->cq_head;

	if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	cqe = &u->cqes[head & *u->cq_mask];
	*done = (struct uring_done){ cqe->user_data, cqe->res, cqe->flags };
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

struct uring_done uring_wait(struct uring *u)
{
	struct pollfd p = { .fd = u->fd, .events = POLLIN };
	struct uring_done done;

	/* poll(2), since waiting in io_uring_enter(2) has no time limit everywhere. */
	for (int n = 0; !next(u, &done); n++) {
		if (n == 50)
			fail("nothing is complete");
		must(poll(&p, 1, 100));
		must(syscall(SYS_io_uring_enter, u->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
	}
	return done;
}

void uring_expect(struct uring *u, uint64_t id, int res)
{
	struct uring_done done = uring_wait(u);

	if (done.id != id || done.res != res)
		fail("request %llu completes with %d, not %llu with %d",
		     (unsigned long long)done.id, done.res, (unsigned long long)id, res);
}

void uring_expect_none(struct uring *u)
{
	struct pollfd p = { .fd = u->fd, .events = POLLIN };
	struct uring_done done;

	must(poll(&p, 1, 30));
	must(syscall(SYS_io_uring_enter, u->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
	if (next(u, &done))
		fail("request %llu completes with %d", (unsigned long long)done.id,
		     done.res);
}

int uring_workers(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *d;
	char path[300];
	int n = 0;

	while ((d = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", d->d_name);
		n += !strncmp(read_file(path), "iou-wrk", 7);
	}
	closedir(tasks);
	return n;
}
