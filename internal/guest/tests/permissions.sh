#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs of users without privileges; who may do what exactly is tested in C.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

as_user() { setpriv --reuid user --regid user --clear-groups --inh-caps=-all "$@"; }

# In user, network and mount namespaces of its own, with our device in the built-in one's place.
as_user_in_namespaces() {
	[ -e /dev/net/tun ] || modprobe tun
	# shellcheck disable=SC2016 # for the other shell
	as_user unshare --map-root-user --net --mount \
		bash -euc 'mount --bind /dev/net/mytun /dev/net/tun; eval "$1"' - "$1"
}

test_device_is_open_to_all() {
	[ "$(stat -c '%a %F' /dev/net/mytun)" = "666 character special file" ]
	as_user bash -c 'exec 3<>/dev/net/mytun'
}

test_user_makes_no_interface() {
	! as_user socat TUN,tun-device=/dev/net/mytun,tun-name=users0 PIPE 2>/tmp/why ||
		fail "a user made an interface"
	cat /tmp/why
	grep -q 'not permitted' /tmp/why
	[ ! -e /sys/class/net/users0 ]
}

test_user_makes_interfaces_in_namespaces_of_its_own() {
	as_user_in_namespaces '
		ip tuntap add dev mine0 mode tun
		ip tuntap add dev mine1 mode tap
		ip addr add 10.7.0.1/24 dev mine0
		ip link set mine0 up
		ip -d link show mine0
		ip tuntap del dev mine1 mode tap
		ip link del mine0' | tee /tmp/shown
	grep -q mytun /tmp/shown
}

test_user_namespace_alone_gives_no_right_to_the_network() {
	! as_user unshare --map-root-user socat TUN,tun-device=/dev/net/mytun,tun-name=users0 PIPE 2>/tmp/why ||
		fail "root of a user namespace made an interface in a network that is not its own"
	grep -q 'not permitted' /tmp/why
}

run_tests "$@"
