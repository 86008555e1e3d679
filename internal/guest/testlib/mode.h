/* SPDX-License-Identifier: MIT */
/* MYTUN_IOC_SET_MODE, and the threads that it makes. */
#ifndef MODE_H
#define MODE_H

#include <stdint.h>
#include <sys/types.h>

/* MYTUN_IOC_SET_MODE with this injection and no flags. */
int inject_try(int fd, uint32_t inject);
void inject(int fd, uint32_t inject);
/* How many injecting threads there are, of all queues; @pid gets one of them. */
int inject_threads(pid_t *pid);

/* This thread runs on one CPU from here on. */
void pin(int cpu);
/* Skips the test unless there are two. */
void two_cpus(void);

#endif /* MODE_H */
