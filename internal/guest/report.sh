# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced by the guest tests. A test file is
#
#	#!/bin/bash
#	. /guest/report.sh
#	test_what_holds() { ...; }     # fails with the first command that fails
#	run_tests
#
# Each function whose name begins with test_ runs in a shell of its own, under set -euo pipefail and
# a time limit of TEST_SECONDS, times MYTUN_PATIENCE. It may call `skip WHY` or `fail WHY`. One line is reported for each:
# "ok NAME", "not ok NAME: why" or "skip NAME: why"; what a failed test printed follows it, each
# line behind a "# ". `FILE test_name` runs one test with its output on the terminal.

# shellcheck source=internal/guest/again.sh
. /guest/again.sh

# A sourced file sees the arguments of the script.
report_one=${1:-}

skip() {
	echo "$*" >&3
	exit 77
}

fail() {
	echo "$*" >&3
	exit 1
}

# eventually SECONDS COMMAND...: wait until the command succeeds.
eventually() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

run_tests() {
	local file=$0 names name log why status failed=0
	local seconds=$((${TEST_SECONDS:-60} * ${MYTUN_PATIENCE:-1}))
	if [ "$report_one" ]; then
		{ true >&3; } 2>/dev/null || exec 3>&2
		set -eEuo pipefail
		trap 'echo "line $LINENO: $BASH_COMMAND" >&3' ERR
		"$report_one"
		exit 0
	fi
	log=$(mktemp) why=$(mktemp)
	mapfile -t names < <(sed -n 's/^\(test_[A-Za-z0-9_]*\)().*/\1/p' "$file")
	for name in "${names[@]}"; do
		status=0
		timeout -k 5 "$seconds" bash "$file" "$name" >"$log" 2>&1 3>"$why" || status=$?
		name=$(basename "$file" .sh)/${name#test_}
		case $status in
		0) echo "ok $name" ;;
		77) echo "skip $name: $(head -n 1 "$why")" ;;
		124 | 137 | 143) echo "not ok $name: not done after $seconds s" ;;
		*) echo "not ok $name: $(head -n 1 "$why" | grep . || echo "exit status $status")" ;;
		esac
		case $status in
		0 | 77) ;;
		*) failed=1 && sed 's/^/# /' "$log" ;;
		esac
	done
	rm -f "$log" "$why"
	return $failed
}
