/* SPDX-License-Identifier: MIT */
/* What libFuzzer calls, and, with the seeds alone, seeds.c. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, also where assert() is nothing. */
#define must_hold(cond)          \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#endif /* TEST_FUZZ_H */
