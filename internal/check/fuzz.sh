#!/bin/bash
# SPDX-License-Identifier: MIT
# fuzz.sh: looks, FUZZTIME long for each target, for inputs that break what reads bytes of others. An
# input that does is left where the tests find it: in testdata of its package, or in csrc/build.
set -euo pipefail
. internal/check/lib.sh
time=${FUZZTIME:-30s}
status=0

# targets: "PACKAGE TARGET" of the Go module that this is the directory of.
targets() {
	go test -list '^Fuzz' ./... | awk '
		/^Fuzz/ { t[n++] = $1 }
		/^ok / { for (i = 0; i < n; i++) print $2, t[i]; n = 0 }'
}

# fuzz_go PACKAGE TARGET
fuzz_go() {
	local log
	log=$(mktemp)
	echo "== $1: $2, $time"
	if ! go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" </dev/null 2>&1 | tee "$log"; then
		# On a busy machine the end of the time is at times taken for a failure, which has no input then.
		if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
			echo "(that was the time, and no failure)"
		else
			status=1
		fi
	fi
	rm -f "$log"
}

for module in $(modules); do
	listed=$(cd "$module" && targets) # and fails where that does
	while read -r package target; do
		[ "$target" ] || continue # a module without any
		pushd "$module" >/dev/null
		fuzz_go "$package" "$target"
		popd >/dev/null
	done <<<"$listed"
done
make -s -C csrc fuzz FUZZTIME="${time%s}" || status=1
exit $status
