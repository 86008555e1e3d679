// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "fetch.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static void *fetch(void *arg)
{
	static uint8_t page[4096];
	struct fetched *f = arg;
	struct uffdio_copy copy = { .dst = (uintptr_t)f->page,
				    .src = (uintptr_t)page,
				    .len = sizeof(page) };
	struct uffd_msg msg;

	must(read(f->uffd, &msg, sizeof(msg)));
	expect_eq(msg.event, UFFD_EVENT_PAGEFAULT);
	f->change(f->arg);
	memcpy(page, f->packet, f->len);
	must(ioctl(f->uffd, UFFDIO_COPY, &copy));
	return NULL;
}

pthread_t fetch_later(struct fetched *f)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t thread;

	f->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (f->uffd < 0)
		skip("no userfaultfd");
	must(ioctl(f->uffd, UFFDIO_API, &api));
	f->page = (void *)must((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	reg.range = (struct uffdio_range){ (uintptr_t)f->page, 4096 };
	must(ioctl(f->uffd, UFFDIO_REGISTER, &reg));
	pthread_create(&thread, NULL, fetch, f);
	return thread;
}
