// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "reach.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "program.h"

static uint8_t *map;

bool reach_map(void)
{
	int fd = open("/sys/kernel/debug/mytun_reach", O_RDWR | O_CLOEXEC);
	void *p;

	if (fd < 0)
		return false;
	p = mmap(NULL, BLOCKS + TEXT_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return false;
	map = p;
	return true;
}

void reach_reset(void)
{
	memset(map, 0, BLOCKS);
}

void reach_say(const char *text)
{
	strncpy((char *)map + BLOCKS, text, TEXT_MAX - 1);
}

void reach_seen(struct seen *s)
{
	const uint64_t *words = (const uint64_t *)map;

	for (size_t i = 0; i < BLOCKS / 8; i++) {
		memset(&s->how[8 * i], 0, 8);
		if (!words[i])
			continue;
		for (size_t j = 8 * i; j < 8 * i + 8; j++)
			s->how[j] = !map[j] ? 0 : map[j] == 1 ? 1
					  : map[j] < 16	      ? 2
							      : 4;
	}
}

size_t seen_new(const struct seen *s, const struct seen *all)
{
	size_t n = 0;

	for (size_t i = 0; i < BLOCKS; i++)
		n += __builtin_popcount(s->how[i] & ~all->how[i]);
	return n;
}

void seen_without(struct seen *s, const struct seen *all)
{
	for (size_t i = 0; i < BLOCKS; i++)
		s->how[i] &= ~all->how[i];
}

void seen_both(struct seen *s, const struct seen *other)
{
	for (size_t i = 0; i < BLOCKS; i++)
		s->how[i] &= other->how[i];
}

void seen_add(struct seen *all, const struct seen *s)
{
	for (size_t i = 0; i < BLOCKS; i++)
		all->how[i] |= s->how[i];
}

bool seen_all_of(const struct seen *s, const struct seen *want)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (want->how[i] && !s->how[i])
			return false;
	return true;
}

size_t seen_blocks(const struct seen *s)
{
	size_t n = 0;

	for (size_t i = 0; i < BLOCKS; i++)
		n += !!s->how[i];
	return n;
}
