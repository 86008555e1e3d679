#!/bin/bash
# SPDX-License-Identifier: MIT
# host.sh RESULTS: the tests that need no module.
set -euo pipefail
. internal/check/lib.sh
results=$1
exec >"$results/host.lines"

# A failed test is in the events, or else in what the go command says besides.
go_tests() { # go_tests MODULE
	local begun=$SECONDS name=${1//\//-}
	name=$results/go-${name/#./mytun}.json
	(cd "$1" && go test -race -json ./...) >"$name" 2>&1 || true
	progress "go test -race, $1, $((SECONDS - begun)) s"
}

# The library reports as we do, so its tests count one by one.
c_tests() {
	local begun=$SECONDS log=$results/csrc.lines
	if ! make -s -C csrc test >"$log" 2>&1 && ! grep -q '^not ok ' "$log"; then
		echo "not ok make -C csrc test: failed"
		tail -n 40 "$log" | sed 's/^/# /'
	fi
	progress "make -C csrc test, $((SECONDS - begun)) s"
}

build_static() { (cd "$1" && CGO_ENABLED=0 go build -o /dev/null ./...); }

for module in $(modules); do
	go_tests "$module"
	check "builds without cgo, $module" build_static "$module"
done
c_tests
