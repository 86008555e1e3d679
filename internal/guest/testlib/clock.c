// SPDX-License-Identifier: MIT
#include "clock.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

unsigned int lab_seconds(unsigned int usual)
{
	const char *text = getenv("LAB_SECONDS");

	return text && *text ? strtoul(text, NULL, 10) : usual;
}

unsigned int lab_rounds(unsigned int rounds)
{
	unsigned int seconds = lab_seconds(0);

	return seconds > 20 ? (uint64_t)rounds * seconds / 20 : rounds;
}
