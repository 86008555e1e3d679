/* SPDX-License-Identifier: MIT */
/* How the two sides of a test wake each other: a byte count in a file. */
#ifndef TEST_WAKE_H
#define TEST_WAKE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

/* Eight bytes, so that an eventfd takes it, and a pipe or a socket too. */
static inline bool wake(int fd)
{
	uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one);
}

/* False after ten seconds: nobody sleeps so long here, the wake-up was lost. */
static inline bool wake_wait(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&pfd, 1, 10000) == 1 &&
	       read(fd, &count, sizeof(count)) == sizeof(count);
}

#endif /* TEST_WAKE_H */
