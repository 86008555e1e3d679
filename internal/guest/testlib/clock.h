/* SPDX-License-Identifier: MIT */
/* The time, and how long a test goes on that has no end of its own. */
#ifndef CLOCK_H
#define CLOCK_H

/* In seconds, from some moment on. That of User-mode Linux stands nearly still while anybody
 * is busy.
 */
double now(void);

/* $LAB_SECONDS, or @usual. */
unsigned int lab_seconds(unsigned int usual);

/* For what ends by count: @rounds, or as many times more as LAB_SECONDS is longer than 20. */
unsigned int lab_rounds(unsigned int rounds);

#endif /* CLOCK_H */
