#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that were written for /dev/net/tun, unmodified: they find the device by an option, or by
# a bind mount that puts it in the place of the built-in one. The VPNs have files of their own.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh
# shellcheck source=internal/guest/two-hosts.sh
. /guest/two-hosts.sh

export TEST_SECONDS=60

leftover=()
at_exit_delete() {
	leftover=("$@")
	trap delete_leftover EXIT
}

delete_leftover() {
	local name
	for name in "${leftover[@]}"; do
		[ ! -e "/sys/class/net/$name" ] || ip link del "$name"
	done
}

test_ip_tuntap_adds_and_deletes() {
	at_exit_delete persist0 persist1
	as_tun ip tuntap add dev persist0 mode tun user user group nogroup multi_queue
	ip -d link show dev persist0 >/tmp/link
	cat /tmp/link
	grep -q 'mytun' /tmp/link
	grep -q 'POINTOPOINT' /tmp/link
	[ "$(cat /sys/class/net/persist0/owner)" = 1000 ]
	as_tun ip tuntap del dev persist0 mode tun multi_queue
	[ ! -e /sys/class/net/persist0 ]

	as_tun ip tuntap add dev persist1 mode tap
	ip -d link show dev persist1 | grep -q 'link/ether'
	as_tun ip tuntap del dev persist1 mode tap
	[ ! -e /sys/class/net/persist1 ]
}

# `ip tuntap show` asks for interfaces of the kind "tun"; ours have a kind of their own.
test_ip_link_shows_interfaces_of_our_kind() {
	at_exit_delete persist0
	as_tun ip tuntap add dev persist0 mode tun
	ip link show type mytun | tee /tmp/shown
	grep -q ' persist0: ' /tmp/shown
}

test_ip_link_refuses_to_add_and_says_how_it_is_done() {
	! ip link add mytun9 type mytun 2>/tmp/why || fail "ip link add made an interface"
	cat /tmp/why
	grep -q '/dev/net/mytun' /tmp/why
}

test_ip_link_deletes() {
	at_exit_delete persist0
	as_tun ip tuntap add dev persist0 mode tun
	ip link del persist0
	[ ! -e /sys/class/net/persist0 ]
}

test_ethtool_names_the_driver_and_its_queues() {
	socat "TUN:10.8.0.1/24,tun-device=/dev/net/mytun,tun-name=shown0,iff-up" PIPE &
	eventually 10 test -e /sys/class/net/shown0
	ethtool -i shown0 | tee /tmp/driver
	grep -q '^driver: mytun$' /tmp/driver
	grep -q '^bus-info: tun$' /tmp/driver
	ethtool -S shown0 | tee /tmp/stats
	for stat in rx_q0_packets rx_q0_drops rx_q0_wakeups tx_q0_packets tx_q0_drops tx_q0_doorbells q0_faulted; do
		grep -q " $stat: 0" /tmp/stats || fail "no $stat"
	done
	ethtool -k shown0 >/tmp/features
	ethtool shown0 | grep -q 'Speed: 10000Mb/s'
	kill %1
}

# socat's two ends in the two hosts, joined by a socket that keeps packets apart.
socat_tunnel() {
	local opts="tun-device=/dev/net/mytun,tun-name=s0,iff-up,$1"
	rm -f /tmp/joint
	ip netns exec a socat "UNIX-LISTEN:/tmp/joint,socktype=5" "TUN:10.8.0.1/24,$opts" &
	eventually 10 test -S /tmp/joint
	ip netns exec b socat "TUN:10.8.0.2/24,$opts" "UNIX-CONNECT:/tmp/joint,socktype=5" &
	eventually 10 up_in a s0
	eventually 10 up_in b s0
	ip netns exec a ping -q -c 5 -i 0.1 -W 5 10.8.0.2
	ip netns exec a ping -q -c 5 -i 0.1 -W 5 -s 1400 10.8.0.2
	ip -n a -d link show s0
	megabyte_to 10.8.0.2
}

test_socat_carries_ip_packets() {
	two_hosts
	socat_tunnel tun-type=tun,iff-no-pi
}

test_socat_carries_packets_with_their_information_header() {
	two_hosts
	socat_tunnel tun-type=tun
}

test_socat_carries_ethernet_frames() {
	two_hosts
	socat_tunnel tun-type=tap,iff-no-pi
}

run_tests "$@"
