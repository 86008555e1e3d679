#!/bin/bash
# SPDX-License-Identifier: MIT
# The module comes and goes without a word, and leaves the device node that programs open.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

kernel_lines() { dmesg | grep -c -v 'tainting kernel'; }

test_device_is_there() {
	[ -e /sys/class/misc/mytun ] || fail "no /sys/class/misc/mytun"
	[ -c /dev/net/mytun ] || fail "/dev/net/mytun is not a character device"
	local mode
	mode=$(stat -c %a /dev/net/mytun)
	[ "$mode" = 666 ] || fail "/dev/net/mytun has mode $mode, programs without privileges need 666"
}

test_unloads_and_loads_silently() {
	local before after i
	before=$(kernel_lines)
	for i in 1 2 3; do
		rmmod mytun
		[ ! -e /dev/net/mytun ] || fail "round $i: /dev/net/mytun outlives the module"
		[ ! -e /sys/class/misc/mytun ] || fail "round $i: /sys/class/misc/mytun outlives the module"
		insmod /mytun.ko
		[ -c /dev/net/mytun ] || fail "round $i: no /dev/net/mytun after loading again"
	done
	after=$(kernel_lines)
	[ "$before" = "$after" ] || fail "the kernel log grew: $(dmesg | tail -n $((after - before)))"
}

test_first_load_is_silent() {
	# Unsigned and out of tree is what the kernel itself says; anything else would be ours.
	if dmesg | grep '\] mytun' | grep -v -e 'init reached' -e 'loading out-of-tree module' -e 'module verification failed'; then
		fail "loading the module prints to the kernel log"
	fi
}

# console_on DEVICE: may the kernel print there?
console_on() {
	local target=/sys/kernel/config/netconsole/test status=0
	mkdir $target
	echo "$1" >$target/dev_name
	echo 10.9.0.1 >$target/local_ip
	echo 10.9.0.2 >$target/remote_ip
	if echo 1 >$target/enabled; then
		echo 0 >$target/enabled
	else
		status=1
	fi
	rmdir $target
	return $status
}

# It prints with interrupts off, wherever it is.
test_is_no_console() {
	modprobe netconsole || skip "this kernel has no netconsole"
	[ -d /sys/kernel/config/netconsole ] || mount -t configfs none /sys/kernel/config
	trap 'ip link del c0; ip link del c1 || true; modprobe -r netconsole' EXIT
	ip link add c0 type dummy
	ip link set c0 up
	console_on c0 || fail "nor can an interface that can"
	[ -e /dev/net/tun ] || modprobe tun
	unshare --mount bash -c 'mount --bind /dev/net/mytun /dev/net/tun && ip tuntap add dev c1 mode tap'
	ip link set c1 up
	! console_on c1 || fail "an interface of ours is a console"
	dmesg | tail -n 20 | grep "c1 doesn't support polling" || fail "it was refused for another reason"
}

test_describes_itself() {
	modinfo -F license /mytun.ko | grep -q '^GPL' || fail "not under the GPL"
	modinfo -F description /mytun.ko | grep -q . || fail "no description"
}

run_tests
