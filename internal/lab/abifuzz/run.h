/* SPDX-License-Identifier: MIT */
/* Runs programs, one after the other. */
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>

#include "program.h"

/* Whether calls can be made to fail; to be asked before world_begin(), which hides debugfs. */
bool run_faults(void);
/* Makes the threads. */
void run_begin(void);
/* For a call that was to have an allocation fail: none does from here on. */
void nothing_fails(void);
/* All calls have returned, and the world is clear. */
void run_program(const struct program *p);

#endif /* RUN_H */
