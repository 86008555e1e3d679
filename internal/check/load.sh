#!/bin/bash
# SPDX-License-Identifier: MIT
# load.sh RESULTS: the largest loads. LOAD_PACKETS is how many packets they have.
set -euo pipefail
. internal/check/lib.sh
results=$1
packets=${LOAD_PACKETS:-100000000}

# With one CPU it is the program's turn as often as the generator's.
LOAD_PACKETS=$packets guest_tests "$MAIN_KERNEL" -suite load -machines 1 -smp 1 -timeout 120m \
	-run '^(load)$' -tests 'a_hundred_million_in_super_packets a_storm_of_a_hundred_million'
# What looks at each byte, of all lengths and with both CPUs, gets a fiftieth: some 30 for each of 64,000 flows.
LOAD_PACKETS=$((packets / 50)) guest_tests "$MAIN_KERNEL" -suite load-flows -machines 1 -timeout 120m \
	-run '^(load)$' -tests 'flows/ a_storm_on_64_queues'
