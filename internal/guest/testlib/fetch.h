/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a program's that come only when the kernel reads them, by userfaultfd: the call that
 * reads them waits, and something else happens meanwhile.
 */
#ifndef FETCH_H
#define FETCH_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct fetched - a page that is not there yet
 * @packet: what its first bytes will be
 * @len:    how many
 * @change: runs when somebody reads them, who waits until it is done
 * @arg:    its argument
 * @page:   where they are to be read
 * @uffd:   of fetch.c
 */
struct fetched {
	const void *packet;
	size_t len;
	void (*change)(void *arg);
	void *arg;
	uint8_t *page;
	int uffd;
};

/* Fills in @page. The thread ends when it was read. Skips the test without userfaultfd. */
pthread_t fetch_later(struct fetched *f);

#endif /* FETCH_H */
