// SPDX-License-Identifier: MIT
/* mytun_test [PART-OF-A-NAME]: the library's unit tests, without the module. */
#include "tap.h"

int main(int argc, char **argv)
{
	const char *filter = argc > 1 ? argv[1] : NULL;

	tap_run("", ring_tests, filter);
	tap_run("", wait_tests, filter);
	tap_run("", thread_tests, filter);
	return tap_end();
}
