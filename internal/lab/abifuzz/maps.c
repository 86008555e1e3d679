// SPDX-License-Identifier: MIT
#include "maps.h"

#include <pthread.h>
#include <sys/mman.h>

#include "check.h"

static struct {
	void *map;
	size_t len;
} maps[64];
static size_t maps_n;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void maps_add(void *map, size_t len)
{
	pthread_mutex_lock(&lock);
	if (maps_n < ARRAY_SIZE(maps)) {
		maps[maps_n].map = map;
		maps[maps_n++].len = len;
	} else {
		munmap(map, len);
	}
	pthread_mutex_unlock(&lock);
}

void maps_clear(void)
{
	while (maps_n) {
		maps_n--;
		munmap(maps[maps_n].map, maps[maps_n].len);
	}
}
