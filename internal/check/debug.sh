#!/bin/bash
# SPDX-License-Identifier: MIT
# debug.sh RESULTS: what takes too long for every run. LAB_SECONDS is how long each test without an end of
# its own goes on, on kernels that watch themselves; LOAD_PACKETS how many packets the largest load has.
set -euo pipefail
. internal/check/lib.sh
results=$1
exec >"$results/debug.lines"
export LAB_SECONDS=${LAB_SECONDS:-120}

# Those in which several threads meet.
MEETING='^stress/ ^recordstress/ ^injectstress/ ^mistakering/ ^mistakelife/ ^life/ ^eventfd/ ^between/'

loads() {
	local packets=${LOAD_PACKETS:-100000000}
	# With one CPU it is the program's turn as often as the generator's.
	LOAD_PACKETS=$packets guest_tests "$MAIN_KERNEL" -suite debug-load -machines 1 -smp 1 -timeout 120m \
		-run '^(load)$' -tests 'a_hundred_million_in_super_packets a_storm_of_a_hundred_million'
	# What looks at each byte, of all lengths and with both CPUs, gets a fiftieth: some 30 for each of 64,000 flows.
	LOAD_PACKETS=$((packets / 50)) guest_tests "$MAIN_KERNEL" -suite debug-load-flows -machines 1 -timeout 120m \
		-run '^(load)$' -tests 'flows/ a_storm_on_64_queues'
}

# These need one CPU for most of their time, and have the whole of it beside the others.
loads &
loads=$!

guest_tests uml -suite debug-uml -machines 1 -timeout 60m -run '^(fail|abifuzz|scribble)$'
# The rest of abi runs on uml, in a hundredth of the time.
guest_tests kasan -suite debug-kasan -machines 1 -timeout 60m -run '^(abi|scribble)$' -tests "$MEETING ^scribble/"
guest_tests kasan -suite debug-kasan-load -machines 1 -timeout 60m -run '^(load)$'
guest_tests kasan -suite debug-kasan-go -machines 1 -timeout 60m -run '^(mytun)$'
guest_tests kcsan -suite debug-kcsan -machines 1 -timeout 90m -run '^(abi|scribble)$' -tests "$MEETING ^scribble/"
# The longer a CPU waits in the middle of an access the more often another one comes across it.
guest_tests kcsan -suite debug-kcsan-slow -machines 1 -timeout 90m -run '^(abi|scribble)$' -tests "$MEETING ^scribble/" \
	-append "kcsan.udelay_task=240 kcsan.udelay_interrupt=60 kcsan.skip_watch=2000"
# Ten times as long, and at seven times as many accesses. The machine is so slow then that the hostile program found its
# administrator hung, when it gave it a minute; with the time that it gives now nobody has tried.
guest_tests kcsan -suite debug-kcsan-slowest -machines 1 -timeout 90m -run '^(abi)$' -tests '^stress/' \
	-append "kcsan.udelay_task=2000 kcsan.udelay_interrupt=300 kcsan.skip_watch=300"
wait $loads
check 'fuzz' internal/check/fuzz.sh
check 'model' doc/model/run
