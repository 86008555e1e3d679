#!/bin/bash
# SPDX-License-Identifier: MIT
# example/simpletun-c, which is the C library at work: two hosts, a wire, and a tunnel over it.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh

TEST_SECONDS=100

# The wire is 192.0.2.0/24, the tunnel 10.9.0.0/24. Host a is the server.
lay_wire() {
	command -v simpletun >/dev/null || skip "simpletun is not in this guest"
	ip netns add a
	ip netns add b
	ip link add wire netns a type veth peer name wire netns b
	in_a ip addr add 192.0.2.1/24 dev wire
	in_b ip addr add 192.0.2.2/24 dev wire
	in_a ip link set wire up
	in_b ip link set wire up
	in_a ip link set lo up
	in_b ip link set lo up
	trap take_up EXIT
}

take_up() {
	local pids
	mapfile -t pids < <(ip netns pids a; ip netns pids b)
	[ ${#pids[@]} = 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
	ip netns del a
	ip netns del b
}

in_a() { ip netns exec a "$@"; }
in_b() { ip netns exec b "$@"; }

# start_server KIND, start_client KIND: sets $server, $client.
start_server() {
	ip netns exec a simpletun -i sim0 -s -p 5000 -a "$1" 2>server.log &
	server=$!
	eventually 5 in_a ip link show sim0
	in_a ip addr add 10.9.0.1/24 dev sim0
	in_a ip link set sim0 mtu 1400 up
}

start_client() {
	ip netns exec b simpletun -i sim0 -c 192.0.2.1 -p 5000 -a "$1" 2>client.log &
	client=$!
	eventually 5 in_b ip link show sim0
	in_b ip addr add 10.9.0.2/24 dev sim0
	in_b ip link set sim0 mtu 1400 up
}

# stop PID LOG HOST: ends it by SIGTERM; it must say what it did, and leave no interface.
stop() {
	local status=0
	kill -TERM "$1"
	wait "$1" || status=$?
	[ "$status" = 0 ] || fail "exit status $status after SIGTERM: $(tail -n 1 "$2")"
	grep -q 'out [0-9]* packets' "$2" || fail "no report at the end: $(cat "$2")"
	! ip netns exec "$3" ip link show sim0 2>/dev/null || fail "the interface outlives the program"
}

tunnel() {
	cd "$(mktemp -d)"
	lay_wire
	start_server "$1"
	start_client "$1"
	in_b ping -c 5 -i 0.2 -W 2 10.9.0.1
	in_a ping -c 5 -i 0.2 -W 2 -s 1372 10.9.0.2
	in_a iperf3 -s -D
	eventually 5 in_b iperf3 -c 10.9.0.1 -n 64K
	again in_b iperf3 -c 10.9.0.1 -t 2
	again in_b iperf3 -c 10.9.0.1 -t 2 -R
	again in_b iperf3 -c 10.9.0.1 -t 2 -P 4 --bidir
	again in_b iperf3 -c 10.9.0.1 -t 1 -u -b 20M -l 200
	# After all that load the tunnel still answers.
	in_b ping -c 3 -i 0.2 -W 2 10.9.0.1
	stop "$client" client.log b
	stop "$server" server.log a
	cat client.log server.log
}

test_tun_carries_ping_and_iperf3() { tunnel tun; }
test_tap_carries_ping_and_iperf3() { tunnel tap; }

test_client_comes_back() {
	cd "$(mktemp -d)"
	lay_wire
	start_server tun
	start_client tun
	in_b ping -c 1 -W 2 10.9.0.1
	stop "$client" client.log b
	# From another port, so the server must follow.
	start_client tun
	in_b ping -c 2 -i 0.2 -W 2 10.9.0.1
	in_a ping -c 2 -i 0.2 -W 2 10.9.0.2
	stop "$client" client.log b
	stop "$server" server.log a
}

test_interface_down_and_up() {
	cd "$(mktemp -d)"
	lay_wire
	start_server tun
	start_client tun
	in_b ping -c 1 -W 2 10.9.0.1
	in_a ip link set sim0 down
	! in_b ping -c 2 -i 0.2 -W 1 10.9.0.1 || fail "an answer from an interface that is down"
	in_a ip link set sim0 up
	in_b ping -c 2 -i 0.2 -W 2 10.9.0.1
	stop "$client" client.log b
	stop "$server" server.log a
}

test_interface_deleted_under_it() {
	cd "$(mktemp -d)"
	local status=0
	lay_wire
	start_server tun
	in_a ip link del sim0
	wait "$server" || status=$?
	[ "$status" = 1 ] || fail "exit status $status after the interface was deleted"
	grep -q 'sim0: ' server.log || fail "it did not say why it ended: $(cat server.log)"
}

run_tests "$@"
