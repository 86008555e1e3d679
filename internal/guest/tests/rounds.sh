#!/bin/bash
# SPDX-License-Identifier: MIT
# A thousand interfaces come and go under traffic. The figures of what the kernel held before and
# after are printed; the module can be unloaded then, and the kernel has said nothing.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

abi=/test/bin/abi

kernel_lines() { dmesg | grep -c .; }

rounds() {
	local before after status=0
	before=$(kernel_lines)
	"$abi" rounds/ || status=1
	after=$(kernel_lines)
	if [ "$before" = "$after" ]; then
		echo "ok rounds/kernel_says_nothing"
	else
		echo "not ok rounds/kernel_says_nothing: it said $((after - before)) lines"
		dmesg | tail -n $((after - before)) | sed 's/^/# /'
		status=1
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
