#!/bin/bash
# SPDX-License-Identifier: MIT
# coverage.sh RESULTS: which lines of the module the tests reach, in virtual machines whose kernel counts
# them.
set -euo pipefail
. internal/check/lib.sh
results=$1
exec >"$results/coverage.lines"

guest_tests uml -suite coverage -gcov -timeout 40m -run "^($OF_MODULE|$IN_LAB|rounds|example/vpn)\$"
# What an allocator has left from before makes some failures come elsewhere: once more.
guest_tests uml -suite coverage-again -gcov -run '^(fail)$'

table=$results/coverage.txt
if go run ./internal/check/coverage "$results" >"$table" 2>&1; then
	echo "ok each line of the module is reached, or explained"
else
	echo "not ok each line of the module is reached, or explained: see the table"
fi
cat "$table" >&2
