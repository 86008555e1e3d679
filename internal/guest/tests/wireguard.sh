#!/bin/bash
# SPDX-License-Identifier: MIT
# wireguard-go, unmodified: it knows no other device than /dev/net/tun, so a bind mount puts ours there.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh
# shellcheck source=internal/guest/two-hosts.sh
. /guest/two-hosts.sh

export TEST_SECONDS=200

# Of a later Debian: it moves packets with a virtio header and asks for offloads.
offloading=/test/debian/wireguard-go

# wireguard_on HOST: the interface wg-HOST, in the background.
wireguard_on() {
	as_tun ip netns exec "$1" env LOG_LEVEL=error "$wireguard" -f "wg-$1" &
	eventually 20 test -S "/run/wireguard/wg-$1.sock"
}

# configure HOST PEER NUMBER PEERS-NUMBER
configure() {
	ip netns exec "$1" wg set "wg-$1" private-key "/tmp/$1.key" listen-port 51820 peer "$(wg pubkey <"/tmp/$2.key")" \
		endpoint "192.168.9.$4:51820" allowed-ips "10.9.0.$4/32,fd00:9::$4/128"
	ip -n "$1" addr add "10.9.0.$3/24" dev "wg-$1"
	ip -n "$1" addr add "fd00:9::$3/64" dev "wg-$1" nodad
	ip -n "$1" link set "wg-$1" up
}

tunnel() {
	local wireguard=$1 host
	two_hosts
	rm -rf /run/wireguard
	for host in a b; do
		wg genkey >/tmp/$host.key
		wireguard_on $host
	done
	configure a b 1 2
	configure b a 2 1
	is_ours a wg-a
	is_ours b wg-b
	eventually 20 ip netns exec a ping -q -c 1 -W 1 10.9.0.2
	ip netns exec a ping -q -c 5 -i 0.1 -W 5 -s 1380 10.9.0.2
	ip netns exec a ping -q -c 5 -i 0.1 -W 5 -s 1300 fd00:9::2
	megabyte_to 10.9.0.2
	carries_iperf3 10.9.0.2 wg-a
}

test_carries_packets() {
	command -v wireguard-go wg >/dev/null || skip "wireguard-go is not in this guest"
	tunnel wireguard-go
}

test_carries_packets_with_offloads() {
	[ -x $offloading ] || skip "the later wireguard-go is not in this guest"
	local host
	tunnel $offloading
	carries_iperf3 fd00:9::2 wg-a
	for host in a b; do
		ip netns exec $host ethtool -k wg-$host >/tmp/features
		grep '^tcp-segmentation-offload: on' /tmp/features || fail "it asked for no offloads"
	done
}

run_tests "$@"
