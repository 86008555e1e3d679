// SPDX-License-Identifier: MIT
/* Runs a fuzz target over files, where there is no libFuzzer. */
#include <stdio.h>

#include "fuzz.h"

int main(int argc, char **argv)
{
	static uint8_t bytes[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		size_t n;

		if (!f) {
			perror(argv[i]);
			return 1;
		}
		n = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
		printf("%s\n", argv[i]);
		LLVMFuzzerTestOneInput(bytes, n);
	}
	return argc < 2;
}
