// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "mode.h"

#include <dirent.h>
#include <mytun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

int inject_try(int fd, uint32_t inject)
{
	struct mytun_mode mode = { .inject = inject };

	return ioctl(fd, MYTUN_IOC_SET_MODE, &mode);
}

void inject(int fd, uint32_t inject)
{
	must(inject_try(fd, inject));
}

int kernel_threads(const char *names, pid_t *pid)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	char path[300];
	int n = 0;

	while ((d = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		if (atoi(d->d_name) && !strncmp(read_file(path), names, strlen(names))) {
			*pid = atoi(d->d_name);
			n++;
		}
	}
	closedir(proc);
	return n;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
}

unsigned int rounds(unsigned int smp, unsigned int one_cpu)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1 ? smp : one_cpu;
}

void two_cpus(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip("needs two CPUs");
}
