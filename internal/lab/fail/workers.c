// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "workers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define UNBOUND "kworker/u"

/* The next unbound worker in @proc, and its work: "+QUEUE", or the last, "-QUEUE"; 0: no more. */
static pid_t next(DIR *proc, const char **work)
{
	struct dirent *d;
	char path[300];
	char *comm;
	pid_t pid;

	while ((d = readdir(proc))) {
		pid = atoi(d->d_name);
		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		if (!pid)
			continue;
		comm = (char *)read_file(path);
		if (strncmp(comm, UNBOUND, strlen(UNBOUND)))
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		*work = comm + strcspn(comm, "+-");
		return pid;
	}
	return 0;
}

static bool at_work(const char *queue)
{
	DIR *proc = opendir("/proc");
	const char *work;
	bool is = false;

	while (!is && next(proc, &work))
		is = *work == '+' && !strcmp(work + 1, queue);
	closedir(proc);
	return is;
}

void workers_arm(struct workers *w, unsigned int nth)
{
	DIR *proc = opendir("/proc");
	const char *work;
	char path[64];
	pid_t pid;

	while ((pid = next(proc, &work))) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue; /* it is gone */
		if (w->n == ARRAY_SIZE(w->each))
			fail("too many workers");
		w->each[w->n].pid = pid;
		w->each[w->n++].fd = fd;
	}
	closedir(proc);
	for (unsigned int i = 0; i < w->n; i++)
		dprintf(w->each[i].fd, "%u", nth);
}

/* What is left of the failures of @pid; -1: it has none. */
static int left(const struct workers *w, pid_t pid)
{
	char text[16] = "";

	for (unsigned int i = 0; i < w->n; i++)
		if (w->each[i].pid == pid &&
		    pread(w->each[i].fd, text, sizeof(text) - 1, 0) > 0)
			return atoi(text);
	return -1;
}

/* Several may have worked for the queue last, in this round or before. */
static enum workers_end who_failed(const struct workers *w)
{
	DIR *proc = opendir("/proc");
	bool found = false, new = false, failed = false;
	const char *work;
	pid_t pid;

	while ((pid = next(proc, &work))) {
		if (*work != '-' || strcmp(work + 1, w->queue))
			continue;
		found = true;
		new |= left(w, pid) < 0;
		failed |= !left(w, pid);
	}
	closedir(proc);
	if (failed)
		return WORKERS_FAILED;
	return found && !new ? WORKERS_UNHARMED : WORKERS_NEW;
}

enum workers_end workers_disarm(struct workers *w)
{
	enum workers_end end;

	eventually(!at_work(w->queue));
	end = who_failed(w);
	for (unsigned int i = 0; i < w->n; i++) {
		pwrite(w->each[i].fd, "0", 1, 0); /* or it is gone */
		close(w->each[i].fd);
	}
	w->n = 0;
	return end;
}
