#!/bin/bash
# SPDX-License-Identifier: MIT
# debug.sh RESULTS: what takes too long for every run, on kernels that watch themselves. LAB_SECONDS is how
# long each test without an end of its own goes on.
set -euo pipefail
. internal/check/lib.sh
results=$1
exec >"$results/debug.lines"
export LAB_SECONDS=${LAB_SECONDS:-60}

# Those in which several threads meet.
MEETING='^stress/ ^recordstress/ ^injectstress/ ^mistakering/ ^mistakelife/ ^life/ ^eventfd/ ^between/ ^backpressure/a_sender ^inject/changes ^plainnapi/ ^napi/threads ^hostile/offloads ^filter/a_program ^flow/flows_stay ^trace/what'

# an_eighth: a part of the other sections of abi, of each commit another: whole it takes hours there.
an_eighth() {
	local section sections commit i
	mapfile -t sections < <(grep -l '^TEST' internal/guest/abi/*.c)
	commit=$(git rev-parse HEAD)
	for ((i = 0x${commit:0:7} % 8; i < ${#sections[@]}; i += 8)); do
		section=$(basename "${sections[i]}" .c)
		[[ " $MEETING " = *" ^$section/ "* ]] || echo "^$section/"
	done
}

# These take turns on a CPU, and those after them on the other.
kasan() {
	guest_tests uml -suite debug-uml -machines 1 -timeout 60m -run '^(fail|abifuzz|scribble)$'
	guest_tests kasan -suite debug-kasan -machines 1 -timeout 60m -run '^(abi|scribble)$' \
		-tests "$MEETING ^scribble/ $(an_eighth | xargs)"
	guest_tests kasan -suite debug-kasan-load -machines 1 -timeout 60m -run '^(load)$'
	guest_tests kasan -suite debug-kasan-go -machines 1 -timeout 60m -run '^(mytun)$'
}

kasan &
kasan=$!
guest_tests kcsan -suite debug-kcsan -machines 1 -timeout 90m -run '^(abi|scribble)$' -tests "$MEETING ^scribble/"
# The longer a CPU waits in the middle of an access the more often another one comes across it.
guest_tests kcsan -suite debug-kcsan-slow -machines 1 -timeout 90m -run '^(abi|scribble)$' -tests "$MEETING ^scribble/" \
	-append "kcsan.udelay_task=240 kcsan.udelay_interrupt=60 kcsan.skip_watch=2000"
# Ten times as long, and at seven times as many accesses: too slow for most.
guest_tests kcsan -suite debug-kcsan-slowest -machines 1 -timeout 90m -run '^(abi)$' -tests '^stress/' \
	-append "kcsan.udelay_task=2000 kcsan.udelay_interrupt=300 kcsan.skip_watch=300"
check 'model' doc/model/run
wait $kasan
check 'fuzz' internal/check/fuzz.sh
