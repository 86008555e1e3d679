#!/bin/bash
# SPDX-License-Identifier: MIT
# coverage.sh RESULTS: which lines of the module the tests reach, in virtual machines whose kernel counts
# them. KERNELS names those kernels, if it shall be others.
set -euo pipefail
. internal/check/lib.sh
results=$1
exec >"$results/coverage.lines"

COUNTING_KERNELS=uml

for kernel in ${KERNELS:-$COUNTING_KERNELS}; do
	guest_tests "$kernel" -gcov
done

table=$results/coverage.txt
if go run ./internal/check/coverage "$results" >"$table" 2>&1; then
	echo "ok each line of the module is reached, or explained"
else
	echo "not ok each line of the module is reached, or explained: see the table"
fi
cat "$table" >&2
