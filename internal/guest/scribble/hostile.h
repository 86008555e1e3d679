/* SPDX-License-Identifier: MIT */
/* The hostile program. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdint.h>

/* For spawn(), with a pointer to the seed: until it is told to stop, or killed. */
void hostile(void *seed);

#endif /* HOSTILE_H */
