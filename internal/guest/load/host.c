// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "host.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

static int host_socket(void)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT_HERE) };
	struct timeval moment = { .tv_usec = 50000 };
	int size = 1 << 24;
	int fd;

	inet_pton(AF_INET, HERE4, &here.sin_addr);
	fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	must(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)));
	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment)));
	must(bind(fd, (struct sockaddr *)&here, sizeof(here)));
	return fd;
}

static void *host_reads(void *arg)
{
	static uint8_t bytes[STAMP_MAX];
	struct host *h = arg;

	for (;;) {
		bool stop = __atomic_load_n(&h->stop, __ATOMIC_ACQUIRE);
		ssize_t len = recv(h->fd, bytes, sizeof(bytes), 0);

		if (len < 0 && errno == EAGAIN) {
			if (stop)
				return NULL;
			continue;
		}
		book_enter(&h->book, stamp_check_payload(bytes, must(len)));
	}
}

static uint64_t host_drops(const struct host *h)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	must(getsockopt(h->fd, SOL_SOCKET, SO_MEMINFO, info, &len));
	return info[SK_MEMINFO_DROPS];
}

void host_begin(struct host *h)
{
	h->fd = host_socket();
	must(-pthread_create(&h->thread, NULL, host_reads, h));
}

uint64_t host_end(struct host *h, uint64_t packets)
{
	uint64_t drops;

	eventually(book_total(&h->book) + host_drops(h) >= packets);
	__atomic_store_n(&h->stop, true, __ATOMIC_RELEASE);
	pthread_join(h->thread, NULL);
	drops = host_drops(h);
	close(h->fd);
	return drops;
}
