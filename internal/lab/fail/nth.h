/* SPDX-License-Identifier: MIT */
/*
 * An operation whose every allocation (of slabs and of pages) and copy from or to the
 * program fails once, one after the other:
 *
 *	struct failing f = failing("TUNSETOWNER");
 *
 *	while (fail_next(&f)) {
 *		struct tun t = tun_open("", IFF_TUN);
 *
 *		under(&f, ioctl(t.fd, TUNSETOWNER, 7));
 *		if (fail_done(&f, ENOMEM))
 *			...                     it was done, nevertheless or at last
 *		else
 *			...                     nothing must have changed
 *		tun_close(&t);
 *	}
 *
 * An operation with more than a thousand has some left out from then on, and says so.
 * The last round is one in which nothing failed. Each operation prints how many failures there
 * were; one that met none fails the test, and so does one that lost pages by them.
 */
#ifndef NTH_H
#define NTH_H

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

#include "pages.h"
#include "workers.h"

struct failing {
	const char *what;
	pid_t task; /* whose allocations fail; 0: this thread's */
	int fd;
	struct workers workers; /* theirs, if they have a queue */
	unsigned int nth; /* which one fails in this round */
	unsigned int rounds;
	bool hurried; /* some were left out */
	unsigned int beyond; /* rounds in a row in which there were not so many */
	unsigned int injected, refused;
	struct pages before; /* what was in use after the first round */
	bool armed;
	bool fired; /* a failure was injected in this round */
	bool again; /* whose allocations they were was not known in time */
	long long ret; /* what the operation returned */
	int err;
};

struct failing failing(const char *what);
/* A thread of the kernel is the one whose allocations fail. */
struct failing failing_of(const char *what, pid_t task);
/* Of a workqueue whose workers are not bound to a CPU. The work has begun when fail_disarm() is
 * called.
 */
struct failing failing_work(const char *what, const char *queue);
bool fail_next(struct failing *f);

void fail_arm(struct failing *f);
void fail_disarm(struct failing *f);

/* A call of the C library during which the failure may come. */
#define under(f, call)                        \
	do {                                  \
		fail_arm(f);                  \
		errno = 0;                    \
		(f)->ret = (long long)(call); \
		(f)->err = errno;             \
		fail_disarm(f);               \
	} while (0)

/* Was it done? Fails unless the call succeeded, or returned one of these after a failure. */
#define fail_done(f, ...) fail_done_of(__FILE__, __LINE__, f, (const int[]){ __VA_ARGS__, 0 })
/* The call must succeed whatever fails. */
#define fail_cannot(f) fail_done_of(__FILE__, __LINE__, f, (const int[]){ 0 })
bool fail_done_of(const char *file, int line, struct failing *f, const int *errnos);

/*
 * By chance, where no task's failures reach, as in softirq: of all allocations of the kernel,
 * @percent of a hundred fail until fail_end(). For a moment in which only that happens which is
 * to fail; copies from and to programs do not.
 */
void fail_everywhere(unsigned int percent);
/* Of this thread's allocations all fail until fail_end() that want more than so many pages, taken
 * together. What has another way when the first fails does not get there either.
 */
void fail_beyond(unsigned int pages);
/* How many did. */
unsigned int fail_end(void);
/* Prints the sum of them, which must not be 0. */
void fail_report(const char *what, unsigned int injected);

#endif /* NTH_H */
