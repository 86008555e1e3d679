#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh: "make bench". All peers in one boot: the tables and plots of doc/bench; then mytun alone, as
# "make test" does it, against the budget. LOWER=1 makes the budget what was measured, the worst of three; KERNEL is another
# kernel, one that "go run ./internal/vm kernels" prints, without a budget; OUT another directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
. internal/check/lib.sh

kernel=${KERNEL:-$MAIN_KERNEL}
dir=$(mktemp -d -t mytun-bench-XXXXXX)
go build -o "$dir/vm" ./internal/vm
go build -C internal/bench -o "$dir/report" ./report

measure() { # measure NAME ARG...
	"$dir/vm" run -kernel "$kernel" "${machine[@]}" -go internal/bench -go example/vpn -out "$dir/$1" -timeout 90m -- bench "${@:2}"
}

machine=(-icount)
measure all
# The clock of two emulated processors says who is faster, and not how fast.
machine=(-smp 2 -threads)
measure ratios -only ratios
# What is stored for a packet counts another machine, see the command.
go run -C internal/bench ./copies -kernel "$kernel" "$dir/copies.jsonl"
cat "$dir"/{all/out/figures,copies,ratios/out/figures}.jsonl >"$dir/figures.jsonl"
if [ "$kernel" = "$MAIN_KERNEL" ]; then
	out=${OUT:-doc/bench}
else
	out=${OUT:-$dir/plots}
fi
mkdir -p "$out"
if [ -f "$out/README.md" ]; then
	"$dir/report" -out "$out" -markdown "$out/README.md" "$dir/figures.jsonl"
	[ "$out" != doc/bench ] || "$dir/report" -markdown README.md "$dir/figures.jsonl" >/dev/null
else
	"$dir/report" -out "$out" "$dir/figures.jsonl"
fi
echo "tables and plots: $out"
[ "$kernel" = "$MAIN_KERNEL" ] || exit 0

machine=(-icount)
measure mytun "${BUDGETED[@]}" >/dev/null
if [ "${LOWER:-}" ]; then
	for again in second third; do
		measure $again "${BUDGETED[@]}" >/dev/null
	done
	cat "$dir"/{mytun,second,third}/out/figures.jsonl >"$dir/worst.jsonl"
	"$dir/report" -budget internal/bench/budget.txt -lower "$dir/worst.jsonl" >/dev/null
fi
"$dir/report" -budget internal/bench/budget.txt "$dir/mytun/out/figures.jsonl"
rm -rf "$dir"
