#!/bin/bash
# SPDX-License-Identifier: MIT
# A thousand interfaces come and go under traffic. The figures of what the kernel held before and
# after are printed; the module can be unloaded then, and the kernel has said nothing.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

abi=/test/bin/abi

# What the kernel said after a number of lines. A packet socket that looked at an interface before it
# was taken down may send to it afterwards, of whichever driver it is; the core says so. And it says
# when the emulated machine was not given the CPU for long.
said_after() {
	dmesg | tail -n "+$(($1 + 1))" |
		grep -v -e 'selects TX queue .*real number of TX queues is 0$' -e 'hrtimer: interrupt took [0-9]* ns$'
}

rounds() {
	local before status=0
	before=$(dmesg | wc -l)
	"$abi" rounds/ || status=1
	if said_after "$before" >/tmp/said; then
		echo "not ok rounds/kernel_says_nothing: $(wc -l </tmp/said) lines"
		sed 's/^/# /' /tmp/said
		status=1
	else
		echo "ok rounds/kernel_says_nothing"
	fi
	return $status
}

test_module_has_no_users_and_can_be_unloaded() {
	[ "$(cat /sys/module/mytun/refcnt)" = 0 ]
	rmmod mytun
	insmod /mytun.ko
}

if [ $# -gt 0 ]; then
	run_tests "$@"
elif [ ! -x "$abi" ]; then
	echo "skip rounds: needs $abi, the program in /guest/abi"
else
	status=0
	rounds || status=1
	run_tests || status=1
	exit $status
fi
