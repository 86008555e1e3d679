// SPDX-License-Identifier: MIT
/* Runs the tests that the other files registered. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "tun.h"

enum {
	FAILED = 1,
	SKIPPED = 77
};

static struct test *tests, **tests_end = &tests;
static int why_fd = -1;

void check_add(struct test *t)
{
	*tests_end = t;
	tests_end = &t->next;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void close_why(void)
{
	why_fd = open("/dev/null", O_WRONLY);
}

static void why(const char *text)
{
	if (why_fd < 0)
		fputs(text, stderr);
	else if (write(why_fd, text, strlen(text)) < 0)
		abort();
}

void check_fail(const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list args;
	int n;

	n = snprintf(text, sizeof(text), "%s:%d: ", base_name(file), line);
	va_start(args, fmt);
	vsnprintf(text + n, sizeof(text) - n - 1, fmt, args);
	va_end(args);
	strcat(text, "\n");
	why(text);
	_exit(FAILED);
}

void skip(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text) - 1, fmt, args);
	va_end(args);
	why(strcat(text, "\n"));
	_exit(SKIPPED);
}

const char *strerrorname(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "an unknown error";
}

void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

pid_t spawn(void (*run)(void *arg), void *arg)
{
	pid_t pid = must(fork());

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(arg);
	_exit(0);
}

void spawn_wait(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		fail("a process of the test died of signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		_exit(FAILED); /* it said why */
}

void wait_asleep(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	/* Twice in a row: it also sleeps for a moment on its way. */
	for (int n = 0, asleep = 0; asleep < 5; n++) {
		const char *end = strrchr(read_file(path), ')');

		if (!end || n == 5000)
			fail("process %d does not go to sleep", pid);
		asleep = end[2] == 'S' ? asleep + 1 : 0;
		sleep_ms(1);
	}
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -1 : 0;
}

const char *read_file(const char *path)
{
	static char text[16384];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0, got;

	if (fd >= 0) {
		while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
			n += got;
		close(fd);
	}
	text[n] = '\0';
	return text;
}

void netns_new(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	must(unshare(CLONE_NEWNET));
	fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	must(ioctl(fd, SIOCSIFFLAGS, &ifr));
	close(fd);
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

void sysfs_here(void)
{
	must(unshare(CLONE_NEWNS));
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(mount("sysfs", "/sys", "sysfs", 0, NULL));
}

static void run_in_child(const struct test *t, int fd)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	why_fd = fd;
	if (!t->alone)
		netns_new();
	t->run();
	_exit(0);
}

/* Waits for @pid; false when the time is up. */
static bool ended_within(pid_t pid, unsigned int seconds, int *status)
{
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int n = poll(&p, 1, seconds * 1000);

	close(p.fd);
	if (n != 1)
		return false;
	waitpid(pid, status, 0);
	return true;
}

unsigned int patience(void)
{
	const char *factor = getenv("MYTUN_PATIENCE");

	return factor ? strtoul(factor, NULL, 10) : 1;
}

bool slow(void)
{
	return patience() > 5;
}

static void show_stack(pid_t pid)
{
	char path[64], text[4096];
	char *line, *rest = text;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	snprintf(text, sizeof(text), "%s", read_file(path));
	while ((line = strsep(&rest, "\n")) && *line)
		printf("# %s\n", line);
}

/* The first reason is the test's; what other processes of it said comes behind. */
static void show_why(const char *verdict, const char *name, char *text)
{
	char *line = strsep(&text, "\n");

	printf("%s %s: %s\n", verdict, name, line);
	while ((line = strsep(&text, "\n")) && *line)
		printf("# %s\n", line);
}

static bool run_test(const struct test *t, const char *name)
{
	char text[4096] = "";
	unsigned int seconds = t->seconds * patience() + lab_seconds(0);
	bool killed = false;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		abort();
	fflush(stdout);
	pid = fork();
	if (!pid)
		run_in_child(t, fds[1]);
	close(fds[1]);

	if (!ended_within(pid, seconds, &status)) {
		killed = true;
		printf("not ok %s: not done after %u s\n", name, seconds);
		show_stack(pid);
	}
	kill(-pid, SIGKILL); /* what the test left behind, too */
	if (killed && !ended_within(pid, 20, &status)) {
		printf("# and does not even die of SIGKILL\n");
		close(fds[0]);
		return false;
	}
	/* A process that outlives its killed group for a moment still holds the pipe. */
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	text[n > 0 ? n : 0] = '\0';

	if (killed)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !*text) {
		printf("ok %s\n", name);
		return true;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		show_why("skip", name, text);
		return true;
	}
	if (WIFSIGNALED(status))
		printf("not ok %s: died of signal %d %s\n", name, WTERMSIG(status), text);
	else
		show_why("not ok", name, text);
	return false;
}

/* Of a name, or with ^ before it, of a name's beginning. */
static bool wanted(const struct test *t, const char *name, char **patterns)
{
	if (!*patterns)
		return !t->alone;
	for (; *patterns; patterns++) {
		bool begins = **patterns == '^';
		const char *found = strstr(name, *patterns + begins);

		if (found && (!begins || found == name))
			return true;
	}
	return false;
}

/* Of the tests that are wanted every @of-th, from @first on. */
struct share {
	unsigned int first, of;
};

int main(int argc, char **argv)
{
	struct share share = { 0, 1 };
	unsigned int found = 0, run = 0;
	struct timespec begin, end;
	bool list = false, times = false;
	char **patterns = argv + 1;
	bool good = true;

	for (; *patterns && **patterns == '-'; patterns++) {
		list |= !strcmp(*patterns, "-l");
		times |= !strcmp(*patterns, "-t");
		if (!strcmp(*patterns, "-d") && patterns[1])
			tun_path = *++patterns;
		if (!strcmp(*patterns, "-s") && patterns[1] &&
		    sscanf(*++patterns, "%u/%u", &share.first, &share.of) != 2)
			return FAILED;
	}
	(void)argc;
	for (const struct test *t = tests; t; t = t->next) {
		const char *file = base_name(t->file);
		char name[256];

		snprintf(name, sizeof(name), "%.*s/%s", (int)strcspn(file, "."), file, t->name);
		if (!wanted(t, name, patterns) || found++ % share.of != share.first)
			continue;
		run++;
		if (list) {
			printf("%s\n", name);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &begin);
		good &= run_test(t, name);
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (times)
			printf("# %.3f s\n", end.tv_sec - begin.tv_sec +
						     (end.tv_nsec - begin.tv_nsec) / 1e9);
	}
	if (found && !run)
		printf("# none of the tests is in this share\n");
	return good ? 0 : FAILED;
}
