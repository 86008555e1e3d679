#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel's own test of tun, tools/testing/selftests/net/tun.c, with our device at /dev/net/tun.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

program=/test/selftest/tun

# results: turns the TAP lines of the kernel's harness into the reporter's, one for each case. What a
# case says of its failure comes before its result there, and behind it here.
results() {
	awk '
		/^1\.\.[0-9]+$/ { planned = substr($0, 4) }
		/^#/ { said = said $0 "\n" }
		/^ok / { count++; said = ""; print /# SKIP/ ? "skip selftest: " $0 : "ok selftest/" $3 }
		/^not ok / { count++; print "not ok selftest/" $4 ": failed"; printf "%s", said; said = "" }
		END {
			if (!planned || count != planned)
				print "not ok selftest/all_cases: " count + 0 " results of " planned + 0
		}'
}

selftest() {
	# The built-in driver is not there, so nothing but ours can have answered.
	rmmod tun 2>/dev/null
	if grep -q '^tun ' /proc/modules; then
		echo "not ok selftest/alone: the built-in driver cannot be unloaded"
		return 1
	fi
	local node=/dev/net/tun made=
	[ -e $node ] || { touch $node && made=$node; } # where the driver is no module, it has its node
	unshare --mount bash -c 'mount --bind /dev/net/mytun /dev/net/tun && timeout 60 "$1"' - "$program" \
		>/tmp/tap 2>&1 || status=1
	[ ! "$made" ] || rm $made
	results </tmp/tap
}

leaves_nothing_behind() {
	if ip -o link | grep ': tap'; then
		echo "not ok selftest/leaves_no_interface: one is there"
		return 1
	fi
	echo "ok selftest/leaves_no_interface"
}

if [ ! -x "$program" ]; then
	echo "skip selftest: needs $program, which vm test builds"
	exit
fi
status=0
selftest || status=1
leaves_nothing_behind || status=1
exit $status
