#!/bin/bash
# SPDX-License-Identifier: MIT
# tinc, unmodified, which finds the device by a line of its configuration.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh
# shellcheck source=internal/guest/two-hosts.sh
. /guest/two-hosts.sh

export TEST_SECONDS=200

# configure HOST LINE...: writes the configuration of host a or b below /tmp/tinc, with the lines.
configure() {
	local host=$1 number=1 dir=/tmp/tinc/$1
	[ "$host" = a ] || number=2
	mkdir -p "$dir/hosts"
	printf '%s\n' "Name = $host" "Interface = t0" "Device = /dev/net/mytun" \
		"AddressFamily = ipv4" "${@:2}" >"$dir/tinc.conf"
	printf '%s\n' "Address = 192.168.9.$number" "Subnet = 10.9.0.$number/32" >"$dir/hosts/$host"
	# shellcheck disable=SC2016 # tinc sets $INTERFACE
	printf '%s\n' '#!/bin/sh' "ip addr add 10.9.0.$number/24 dev \$INTERFACE" \
		'ip link set $INTERFACE up' >"$dir/tinc-up"
	chmod +x "$dir/tinc-up"
	# Appends the public key to hosts/HOST. A short one is made quickly and serves a test.
	tincd -c "$dir" -K1024 </dev/null
}

tinc_on() { ip netns exec "$1" tincd -c "/tmp/tinc/$1" --pidfile="/run/tinc.$1" -D -d3 & }

tunnel() { # tunnel LINE...: of both configurations
	command -v tincd >/dev/null || skip "tinc is not in this guest"
	two_hosts
	rm -rf /tmp/tinc
	configure a "$@" "ConnectTo = b"
	configure b "$@"
	cp /tmp/tinc/a/hosts/a /tmp/tinc/b/hosts/a
	cp /tmp/tinc/b/hosts/b /tmp/tinc/a/hosts/b
	tinc_on b
	eventually 20 listening_in b :655
	tinc_on a
	eventually 20 up_in a t0
	eventually 20 up_in b t0
	is_ours a t0
	is_ours b t0
	eventually 30 ip netns exec a ping -q -c 1 -W 1 10.9.0.2
	ip netns exec a ping -q -c 5 -i 0.1 -W 5 -s 1400 10.9.0.2
	megabyte_to 10.9.0.2
	carries_iperf3 10.9.0.2 t0
}

test_router_carries_ip_packets() { tunnel "Mode = router"; }
test_switch_carries_ethernet_frames() { tunnel "Mode = switch"; }

run_tests "$@"
