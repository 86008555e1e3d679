/* SPDX-License-Identifier: MIT */
/* MYTUN_IOC_SET_MODE, the threads that it makes, and who runs where. */
#ifndef MODE_H
#define MODE_H

#include <stdint.h>
#include <sys/types.h>

/* MYTUN_IOC_SET_MODE with this injection and no flags. */
int inject_try(int fd, uint32_t inject);
void inject(int fd, uint32_t inject);
/* How many threads of the kernel have names that begin so; @pid gets one of them. */
int kernel_threads(const char *names, pid_t *pid);

/* This thread runs on one CPU from here on. */
void pin(int cpu);
/* How often a race is tried: one CPU goes from one thread to the other at times only, and one
 * that emulates time does not end by the clock.
 */
unsigned int rounds(unsigned int smp, unsigned int one_cpu);
/* Skips the test unless there are two. */
void two_cpus(void);

#endif /* MODE_H */
