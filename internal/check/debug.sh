#!/bin/bash
# SPDX-License-Identifier: MIT
# debug.sh RESULTS: what takes too long for every run: each of Debian's kernels, and for long those that watch
# themselves. LAB_SECONDS is how long each test without an end of its own goes on there.
#
# Whole it takes hours. Each commit has another share of what is slowest, by chance, and many commits have all;
# WHOLE=1 has all at once.
set -euo pipefail
. internal/check/lib.sh
results=$1
exec >"$results/debug.lines"
commit=$(git rev-parse HEAD)
commit=$((0x${commit:0:7}))

# Those in which several threads meet.
MEETING=(^stress/ ^recordstress/ ^injectstress/ ^mistakering/ ^mistakelife/ ^life/ ^eventfd/ ^between/ ^backpressure/a_sender
	^inject/changes ^plainnapi/ ^napi/threads ^hostile/offloads ^filter/a_program ^flow/flows_stay ^trace/what)

# share OF N WHAT...: each OF-th of these, from the N-th on.
share() {
	local of=$1 n=$2 i
	shift 2
	[ -z "${WHOLE:-}" ] || of=1
	for ((i = n % of; i < $#; i += of)); do echo "${@:i+1:1}"; done | xargs
}

# The other sections of abi.
mapfile -t OTHERS < <(grep -l '^TEST' internal/guest/abi/*.c | xargs basename -s .c | sed 's:.*:^&/:' |
	grep -vxF "$(printf '%s\n' "${MEETING[@]}")")

[ ${#OTHERS[@]} -gt 0 ]

kasan_scribble() { guest_tests kasan -suite debug-kasan-scribble -machines 1 -timeout "$1" -run '^(scribble)$'; }

kasan_sections() {
	guest_tests kasan -suite debug-kasan -machines 1 -timeout "$1" -run '^(abi)$' \
		-tests "$(share 9 $((commit / 3)) "${MEETING[@]}") $(share 24 $((commit / 27)) "${OTHERS[@]}")"
}

kasan_load() { guest_tests kasan -suite debug-kasan-load -machines 1 -timeout "$1" -run '^(load)$'; }

kasan_go() { guest_tests kasan -suite debug-kasan-go -machines 1 -timeout "$1" -run '^(mytun)$'; }

# The longer a CPU waits in the middle of an access the more often another one comes across it: as long as the
# kernel has it, three times as long at half as many accesses, and 25 times as long at three times as many, which
# is too slow for most.
kcsan() {
	local slow='kcsan.udelay_task=240 kcsan.udelay_interrupt=60 kcsan.skip_watch=2000'

	guest_tests kcsan -suite debug-kcsan -machines 1 -timeout "$1" -run '^(abi|scribble)$' \
		-tests "^scribble/ $(share 3 "$commit" "${MEETING[@]}")"
	guest_tests kcsan -suite debug-kcsan-slow -machines 1 -timeout "$1" -run '^(abi|scribble)$' \
		-tests "^scribble/ $(share 3 $((commit + 1)) "${MEETING[@]}")" -append "$slow"
}

kcsan_slowest() {
	local slowest='kcsan.udelay_task=2000 kcsan.udelay_interrupt=300 kcsan.skip_watch=300'

	guest_tests kcsan -suite debug-kcsan-slowest -machines 1 -timeout "$1" -run '^(abi)$' -tests '^stress/' -append "$slowest"
}

kernels=$("$VM" kernels)
for kernel in $kernels; do
	guest_tests "$kernel" -suite "debug-$kernel" -run "^($OF_MODULE)\$"
done

export LAB_SECONDS=${LAB_SECONDS:-60}
limit=60m
[ -z "${WHOLE:-}" ] || limit=6h

# These take turns on a CPU, and those after them on the other.
{
	guest_tests uml -suite debug-uml -machines 1 -timeout "$limit" -run '^(fail|abifuzz|scribble)$'
	kasan_scribble "$limit"
	for part in $(share 4 "$commit" kasan_sections kasan_load kasan_go kcsan_slowest); do $part "$limit"; done
	check 'model' doc/model/run
} &
turns=$!
kcsan "$limit"
check 'fuzz' internal/check/fuzz.sh
wait $turns
