#!/bin/bash
# SPDX-License-Identifier: MIT
# openvpn, unmodified, which finds the device by an option.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh
# shellcheck source=internal/guest/two-hosts.sh
. /guest/two-hosts.sh

export TEST_SECONDS=100

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
	is_ours a v0
	is_ours b v0
	megabyte_to 10.9.0.2
	carries_iperf3 10.9.0.2 v0
}

test_carries_ip_packets() {
	two_hosts
	openvpn --genkey secret /tmp/key
	openvpn_on a --dev v0 --dev-type tun --dev-node /dev/net/mytun --ifconfig 10.9.0.1 10.9.0.2
	openvpn_on b --dev v0 --dev-type tun --dev-node /dev/net/mytun --ifconfig 10.9.0.2 10.9.0.1
	openvpn_carries
}

test_carries_ethernet_frames() {
	two_hosts
	openvpn --genkey secret /tmp/key
	openvpn_on a --dev v0 --dev-type tap --dev-node /dev/net/mytun --ifconfig 10.9.0.1 255.255.255.0
	openvpn_on b --dev v0 --dev-type tap --dev-node /dev/net/mytun --ifconfig 10.9.0.2 255.255.255.0
	openvpn_carries
}

# The way without privileges: the interface is made for a user, who then runs openvpn.
test_user_takes_the_interface_made_for_it() {
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
