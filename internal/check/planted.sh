#!/bin/bash
# SPDX-License-Identifier: MIT
# planted.sh RESULTS [NAME...]: are the detectors alive? Each patch in internal/lab/planted puts one mistake into
# a copy of the module, and must be caught, in the words that it says, by the run that it names:
#
#	kernel: one that "go run ./internal/vm kernels [-lab]" prints
#	run:    a test program, and of which tests of it
#	caught: an extended regular expression for a line of what is reported
set -euo pipefail
. internal/check/lib.sh
results=$1
shift
exec >"$results/planted.lines"

planted() { # planted PATCH
	local patch=$1 dir kernel run caught name
	name=planted/$(basename "$patch" .patch)
	field() { sed -n "s/^$1: *//p" "$patch"; }
	kernel=$(field kernel) run=$(field run) caught=$(field caught)
	dir=$(mktemp -d)
	cp -r kmod "$dir/kmod"
	if ! patch -s -p1 -d "$dir" <"$patch" >&2; then
		echo "not ok $name: the patch no longer fits"
	elif ! "$VM" test -kernel "$kernel" -kmod "$dir/kmod" -machines 1 -results "$dir" -timeout 20m \
		-run "^${run%% *}\$" -tests "${run#* }" >"$dir/log" 2>&1; then
		echo "not ok $name: could not be run"
		sed 's/^/# /' "$dir/log"
	elif grep -Eqh -- "$caught" "$dir"/*.lines; then
		echo "ok $name: $(grep -Eh -m 1 -- "$caught" "$dir"/*.lines | head -n 1 | sed 's/^[# ]*//; s/^\[ *[0-9.]*\] *//')"
	else
		echo "not ok $name: nobody noticed"
		cat "$dir"/*.lines | sed 's/^/# /'
	fi
	rm -rf "$dir"
	progress "$name"
}

mapfile -t patches < <(files 'internal/lab/planted/*.patch')
for patch in "${patches[@]}"; do
	[ $# = 0 ] || [[ " $* " = *" $(basename "$patch" .patch) "* ]] || continue
	planted "$patch"
done
