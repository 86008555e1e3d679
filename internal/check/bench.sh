#!/bin/bash
# SPDX-License-Identifier: MIT
# bench.sh RESULTS: does a packet cost more than its budget? Instructions of the emulated machine are
# counted, so that the machine beneath does not matter.
set -euo pipefail
. internal/check/lib.sh
results=$1
begun=$SECONDS
exec >"$results/bench.lines"

# The same run as internal/bench/run.sh makes for the budget: with other peers in it the kernel's memory
# lies otherwise, which is worth a percent.
if "$VM" run -q -icount -go internal/bench -go example/vpn -out "$results/bench" -timeout 20m -- \
	bench "${BUDGETED[@]}" 2>"$results/bench.log"; then
	go run -C internal/bench ./report -budget budget.txt "$results/bench/out/figures.jsonl" ||
		grep -q '^not ok' "$results/bench.lines" || echo "not ok bench: there is no report"
else
	echo "not ok bench: it could not be run"
	sed 's/^/# /' "$results/bench.log"
fi
progress "bench, $((SECONDS - begun)) s"
