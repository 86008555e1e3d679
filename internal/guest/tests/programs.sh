#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that were written for /dev/net/tun, unmodified: they find the device by an option, or by
# a bind mount that puts it in the place of the built-in one.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

export TEST_SECONDS=60

# as_tun COMMAND...: with /dev/net/mytun at /dev/net/tun, for this command alone.
as_tun() {
	[ -e /dev/net/tun ] || modprobe tun
	unshare --mount bash -c 'mount --bind /dev/net/mytun /dev/net/tun && exec "$@"' - "$@"
}

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

# Two hosts, a wire between them: 192.168.9.1 and 192.168.9.2.
two_hosts() {
	ip netns add a
	ip netns add b
	ip link add wire netns a type veth peer name wire netns b
	ip -n a addr add 192.168.9.1/24 dev wire
	ip -n b addr add 192.168.9.2/24 dev wire
	for host in a b; do
		ip -n "$host" link set lo up
		ip -n "$host" link set wire up
	done
	trap no_hosts EXIT
}

no_hosts() {
	local pids
	pids=$(jobs -p)
	# shellcheck disable=SC2086 # a list
	[ -z "$pids" ] || kill $pids 2>/dev/null || true
	wait
	ip netns del a
	ip netns del b
}

listening_in() { ip netns exec "$1" ss -ltn | grep -q "$2"; }
up_in() { ip -n "$1" -o link show up | grep -q "$2"; }

# A megabyte over TCP from host a to an address of host b.
megabyte_to() {
	head -c 1000000 /dev/urandom >/tmp/sent
	ip netns exec b socat -u TCP-LISTEN:4000,reuseaddr CREATE:/tmp/received &
	eventually 10 listening_in b :4000
	ip netns exec a socat -u OPEN:/tmp/sent "TCP:$1:4000"
	wait $!
	cmp /tmp/sent /tmp/received
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

# openvpn_on HOST OPTION...: host a or b of a tunnel between them, in the background. What stands in
# "as" goes before the command.
as=()
openvpn_on() {
	local here=1 there=2
	[ "$1" = a ] || here=2 there=1
	ip netns exec "$1" "${as[@]}" openvpn --verb 3 --proto udp --port 1194 --disable-dco \
		--local 192.168.9.$here --remote 192.168.9.$there \
		--secret /tmp/key $((here - 1)) --cipher AES-256-CBC "${@:2}" &
}

# What both ends of a tunnel must carry then.
openvpn_carries() {
	eventually 20 up_in a v0
	eventually 20 up_in b v0
	eventually 20 ip netns exec a ping -q -c 1 -W 1 10.9.0.2
	ip netns exec a ping -q -c 5 -i 0.1 -W 5 -s 1400 10.9.0.2
	ip -n a -d link show v0 | tee /tmp/link
	grep -q mytun /tmp/link || fail "openvpn's interface is not ours"
	megabyte_to 10.9.0.2
}

test_openvpn_carries_ip_packets() {
	two_hosts
	openvpn --genkey secret /tmp/key
	openvpn_on a --dev v0 --dev-type tun --dev-node /dev/net/mytun --ifconfig 10.9.0.1 10.9.0.2
	openvpn_on b --dev v0 --dev-type tun --dev-node /dev/net/mytun --ifconfig 10.9.0.2 10.9.0.1
	openvpn_carries
}

test_openvpn_carries_ethernet_frames() {
	two_hosts
	openvpn --genkey secret /tmp/key
	openvpn_on a --dev v0 --dev-type tap --dev-node /dev/net/mytun --ifconfig 10.9.0.1 255.255.255.0
	openvpn_on b --dev v0 --dev-type tap --dev-node /dev/net/mytun --ifconfig 10.9.0.2 255.255.255.0
	openvpn_carries
}

# The way without privileges: the interface is made for a user, who then runs openvpn.
test_openvpn_of_a_user_takes_the_interface_made_for_it() {
	local options=(--dev v0 --dev-type tun --dev-node /dev/net/mytun) host
	two_hosts
	openvpn --genkey secret /tmp/key
	chmod 644 /tmp/key
	for host in a b; do
		ip netns exec $host openvpn --mktun "${options[@]}" --user user
	done
	ip -n a addr add 10.9.0.1/24 dev v0
	ip -n b addr add 10.9.0.2/24 dev v0
	ip -n a link set v0 up
	ip -n b link set v0 up

	as=(setpriv --reuid nobody --regid nogroup --clear-groups)
	openvpn_on a "${options[@]}" --ifconfig-noexec >/tmp/refused
	! wait $! || fail "anybody takes it"
	cat /tmp/refused
	grep -q 'TUNSETIFF v0: Operation not permitted' /tmp/refused

	as=(setpriv --reuid user --regid user --clear-groups)
	openvpn_on a "${options[@]}" --ifconfig-noexec
	openvpn_on b "${options[@]}" --ifconfig-noexec
	openvpn_carries
	ip -n a link del v0
	ip -n b link del v0
}

run_tests "$@"
