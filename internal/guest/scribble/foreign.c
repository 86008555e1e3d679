// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "foreign.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "tally.h"

/* Ours; those of <linux/poison.h>, on kernels that write them: free and new objects, red zones,
 * free pages; and what the compiler leaves on the stack of the module, as it is built for the lab.
 */
static const uint8_t patterns[] = { 0xc5, 0x6b, 0x5a, 0xbb, 0xcc, 0xaa, 0xfe };

/* So many bytes alike are the kernel's: fewer there would be by chance, where somebody writes
 * random numbers.
 */
#define FOREIGN_LEAST 6

void foreign_expect_poison(void)
{
	glob_t found;

	/* Other kernels do not watch their memory. */
	if (access("/sys/kernel/debug/kmemleak", F_OK))
		return;
	if (glob("/sys/kernel/slab/kmalloc-*/poison", 0, NULL, &found))
		fail("this kernel does not tell how it fills its slabs");
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (read_file(found.gl_pathv[i])[0] != '1')
			fail("%s: this kernel leaves its slabs as they are", found.gl_pathv[i]);
	globfree(&found);
}

/* Buffers of packets between two sockets. */
static void fill_slabs(const void *bytes, size_t len)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
		return;
	for (size_t size = 16; size <= len; size += size / 2) {
		for (int i = 0; i < 6; i++)
			if (send(fds[0], bytes, size, 0) < 0)
				break;
		while (recv(fds[1], NULL, 0, MSG_TRUNC) > 0)
			;
	}
	close(fds[0]);
	close(fds[1]);
}

/* Packets of the loopback interface, whose heads are where those of others were. */
static void fill_packets(const void *bytes)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (size_t size = 1; fd >= 0 && size < 9000; size = size * 2 + 7)
		if (sendto(fd, bytes, size, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			break;
	close(fd);
}

void foreign_fill(void)
{
	size_t len = 1 << 20;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	memset(p, patterns[0], len);
	fill_slabs(p, 1 << 16);
	fill_packets(p);
	munmap(p, len);
}

void foreign_search(const char *where, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	unsigned int alike = 0; /* bytes before this one */

	for (size_t at = 1; at < len; at++) {
		alike = p[at] == p[at - 1] ? alike + 1 : 0;
		if (alike == FOREIGN_LEAST - 1 && memchr(patterns, p[at], sizeof(patterns))) {
			snprintf(tally->found, sizeof(tally->found),
				 "%s: before byte %zu of %zu %d times the kernel's %#x", where,
				 at + 1, len, FOREIGN_LEAST, p[at]);
			return;
		}
	}
	tally_add(BYTES_SEARCHED, len);
}
