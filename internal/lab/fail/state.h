/* SPDX-License-Identifier: MIT */
/* What can be asked of a file and of its interface, to find out what an operation changed. */
#ifndef STATE_H
#define STATE_H

#include <stdbool.h>

#include "tun.h"

struct state {
	struct {
		char name[24];
		long long value;
	} fields[64];
	int n;
};

struct state state_of(const struct tun *t);
bool state_same(const struct state *a, const struct state *b);
/* Fails, naming what differs. */
void state_expect(const struct state *is, const struct state *wanted, const char *when);

#endif /* STATE_H */
