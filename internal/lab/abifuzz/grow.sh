#!/bin/bash
# SPDX-License-Identifier: MIT
# grow.sh: runs the fuzzer for LAB_SECONDS (of the machine's clock; 60) on User-mode Linux with KASAN, with the random
# numbers of LAB_SEED if that is set, and adds to the corpus what reached more of the module than all that is there.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
corpus=internal/lab/abifuzz/corpus
dir=$(mktemp -d)

gcc -std=gnu11 -O2 -g -pthread -Ikmod/uapi -Iinternal/guest/testlib -o "$dir/abifuzz" \
	internal/lab/abifuzz/*.c internal/guest/testlib/*.c
if ! go run ./internal/vm run -kernel uml -reach -timeout 10h -out "$dir/out" -file "$dir/abifuzz" \
	-file "$corpus:/test/corpus/abifuzz" -- \
	env LAB_SECONDS="${LAB_SECONDS:-60}" LAB_SEED="${LAB_SEED:-}" abifuzz no_program; then
	echo "grow: nothing is added; the programs and the kernel's log are in $dir/out" >&2
	exit 1
fi
last=$(find "$corpus" -type f -printf '%f\n' | sort | tail -n 1)
next=$((10#$last + 1))
for program in "$dir"/out/out/abifuzz/*; do
	[ -e "$program" ] || break
	cp "$program" "$(printf '%s/%04d' "$corpus" "$next")"
	next=$((next + 1))
done
echo "grow: $((next - 10#$last - 1)) programs are added"
rm -rf "$dir"
