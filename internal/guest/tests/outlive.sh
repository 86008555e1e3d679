#!/bin/bash
# SPDX-License-Identifier: MIT
# Packets of a plain write(2) that are still under way when the file is closed.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

# in_flight: how many packets wait in the qdisc of the wire.
in_flight() { tc -s qdisc show dev wire | sed -n 's/.*backlog [^ ]* \([0-9]*\)p.*/\1/p'; }

none_in_flight() { [ "$(in_flight)" = 0 ]; }

test_packets_outlive_their_file() {
	# A bridge passes the packet on as it is, its sender's socket included. The wire is slow.
	ip link add bridge0 type bridge
	ip link add wire type dummy
	tc qdisc add dev wire root tbf rate 4kbit burst 1600 latency 60s
	ip link set wire master bridge0 up
	ip link set bridge0 up
	modprobe tun && mount --bind /dev/net/mytun /dev/net/tun
	ip tuntap add dev tap0 mode tap
	umount /dev/net/tun
	ip link set tap0 master bridge0 up
	trap 'ip link del bridge0; ip link del wire; ip link del tap0' EXIT

	# Frames to one address, from another, of an experimental protocol.
	local frame
	frame=$(mktemp)
	{ printf '\x02\x00\x00\x00\x00\x09\x02\x00\x00\x00\x00\x01\x88\xb5' && head -c 986 /dev/zero; } >"$frame"
	for _ in 1 2 3 4; do cat "$frame" && sleep 0.2; done |
		socat -u -b 1000 - TUN,tun-device=/dev/net/mytun,tun-type=tap,tun-name=tap0,iff-no-pi
	local waiting
	waiting=$(in_flight)
	[ "$waiting" -gt 0 ] || fail "no packet was under way when the file was closed"
	# Each is freed only now, long after its file.
	eventually 40 none_in_flight || fail "$(in_flight) packets are still under way"
}

run_tests "$@"
