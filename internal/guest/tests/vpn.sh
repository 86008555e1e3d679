#!/bin/bash
# SPDX-License-Identifier: MIT
# example/vpn, the Go package at work: an encrypted tunnel between two hosts, over the module and over
# the kernel's own driver.

# shellcheck source=internal/guest/report.sh
. /guest/report.sh
# shellcheck source=internal/guest/vpn-pair.sh
. /guest/vpn-pair.sh

TEST_SECONDS=120

wire() {
	lay_wire || skip "example/vpn is not in this guest"
	trap take_up EXIT
}

# nothing_rejected: neither end of a tunnel that was stopped has thrown away what it received.
nothing_rejected() {
	local host kind n
	for host in left right; do
		for kind in malformed forged replayed stale stack; do
			n=$(counter "$host" "dropped_$kind")
			[ "$n" = 0 ] || fail "$host: dropped_$kind is $n"
		done
	done
}

# carries BACKEND FLAGS...: ping, TCP and UDP, over IPv4 and IPv6, in both directions.
carries() {
	local to
	wire
	start_tunnel "$@"
	on_right iperf3 -s -D
	eventually 5 on_left iperf3 -c "$right4" -n 16K
	for to in "$right4" "$right6"; do
		on_left ping -c 5 -i 0.2 -W 5 "$to"
		on_left ping -c 3 -i 0.2 -W 5 -s 1300 "$to"
		again on_left iperf3 -c "$to" -n 1M -P 2
		again on_left iperf3 -c "$to" -n 1M -R
		again on_left iperf3 -c "$to" -u -l 64 -b 500K -k 300
		again on_left iperf3 -c "$to" -u -l 1300 -b 5M -k 200 -R
	done
	on_right ping -c 3 -i 0.2 -W 5 "$left4"
	on_right ping -c 3 -i 0.2 -W 5 "$left6"
	stop_tunnel
	nothing_rejected
}

test_over_the_module() { carries mytun; }
test_over_the_kernels_own_driver() { carries kernel; }
test_over_the_module_with_four_queues() { carries mytun -queues 4; }
test_over_an_ipv6_wire() {
	# shellcheck disable=SC2034 # read by start_tunnel
	outer='[2001:db8::1]:5555'
	carries mytun
}

# The same program on both drivers speaks one protocol.
test_module_here_and_kernels_driver_there() {
	wire
	start_end right kernel 192.0.2.1:5555
	start_end left mytun 192.0.2.1:5555
	on_left ping -c 5 -i 0.2 -W 5 "$right4"
	on_left ping -c 5 -i 0.2 -W 5 "$right6"
	stop_tunnel
	nothing_rejected
}

# lost BACKEND: prints how many of 3000 small packets at a moderate rate do not arrive.
lost() {
	local n
	start_tunnel "$1" >&2
	on_right iperf3 -s -D >&2
	eventually 5 on_left iperf3 -c "$right4" -n 16K >&2
	again on_left iperf3 -c "$right4" -u -l 64 -b 512K -k 3000 | tee /dev/stderr |
		sed -n 's|.* \([0-9]*\)/[0-9]* (.*receiver|\1|p'
	kill "$(pidof iperf3)"
	stop_tunnel >&2
}

test_loses_no_more_than_the_kernels_own_driver() {
	local module kernel
	wire
	kernel=$(lost kernel)
	module=$(lost mytun)
	echo "lost of 3000: module $module, kernel's own driver $kernel"
	[ "$module" -le "$kernel" ] || fail "of 3000 packets $module are lost, and $kernel with the kernel's own driver"
}

# What comes twice is taken once.
test_replayed_datagrams_are_dropped() {
	local n
	wire
	modprobe sch_netem
	start_tunnel mytun
	ip netns exec left tc qdisc add dev wire root netem duplicate 100%
	on_left ping -c 10 -i 0.1 -W 5 "$right4" >"$counters/ping"
	! grep -q DUP "$counters/ping" || fail "a request arrived twice: $(grep -m 1 DUP "$counters/ping")"
	stop_tunnel
	n=$(counter right dropped_replayed)
	[ "$n" -ge 10 ] || fail "10 datagrams were sent twice and $n were dropped as replayed"
}

# What is changed on the wire does not get through.
test_tampered_datagrams_are_dropped() {
	local n
	wire
	modprobe nf_tables
	start_tunnel mytun
	# Four bytes of the encrypted packet: 8 of UDP, 24 of the tunnel's header, 8 of the packet.
	on_right nft 'table inet meddler { chain in { type filter hook prerouting priority -300
		udp dport 5555 @th,320,32 set 0xdeadbeef; }; }'
	! on_left ping -c 5 -i 0.1 -W 1 "$right4" || fail "a changed packet was answered"
	on_right nft delete table inet meddler
	on_left ping -c 3 -i 0.1 -W 5 "$right4"
	stop_tunnel
	n=$(counter right dropped_forged)
	[ "$n" -ge 5 ] || fail "5 datagrams were changed and $n were dropped as forged"
}

# Anybody may send anything to the port.
test_garbage_is_dropped() {
	local i n
	wire
	start_tunnel mytun
	for i in 1 2 3 4 5; do
		head -c $((i * 30)) /dev/urandom | on_left socat -u - UDP:192.0.2.1:5555
		# The right type, the wrong key.
		{ printf '\001\000\000\000' && head -c 100 /dev/urandom; } | on_left socat -u - UDP:192.0.2.1:5555
	done
	on_left ping -c 3 -i 0.1 -W 5 "$right4"
	stop_tunnel
	n=$(($(counter right dropped_malformed) + $(counter right dropped_forged) + $(counter right dropped_stale)))
	[ "$n" = 10 ] || fail "10 datagrams of garbage were sent and $n were dropped"
}

test_ends_on_a_signal_under_load() {
	local signal
	wire
	for signal in INT TERM; do
		start_tunnel mytun -queues 2
		on_left ping -f -c 100000 "$right4" >/dev/null &
		sleep 0.5
		stop_end right "$signal"
		stop_end left "$signal"
		[ "$(counter right received_packets)" -gt 0 ] || fail "no packets counted after SIG$signal: $(cat "$counters/right")"
	done
}

# Killed, it leaves no interface behind either, and nothing that holds the module.
test_leaves_nothing_when_killed() {
	wire
	start_tunnel mytun -queues 2
	kill -KILL "$left_pid" "$right_pid"
	wait || true
	local host
	for host in left right; do
		! ip -n "$host" link show vpn0 2>/dev/null || fail "the interface of $host outlives the program"
	done
	rmmod mytun
	insmod /mytun.ko
}

test_starts_again() {
	wire
	start_tunnel mytun
	stop_end left INT
	start_end left mytun 192.0.2.1:5555
	on_left ping -c 3 -i 0.2 -W 5 "$right4"
	stop_end right TERM
	start_end right mytun 192.0.2.1:5555
	on_left ping -c 3 -i 0.2 -W 5 "$right6"
	stop_tunnel
	nothing_rejected
}

# Its interface may be taken down, and comes back; deleted it is gone, and the program says so.
comes_back() { # comes_back BACKEND
	local status=0
	wire
	start_tunnel "$1"
	on_right ip link set vpn0 down
	! on_left ping -c 3 -i 0.1 -W 1 "$right4" || fail "an answer from an interface that is down"
	on_right ip link set vpn0 up
	on_left ping -c 3 -i 0.2 -W 5 "$right4"
	on_left ip link del vpn0
	wait "$left_pid" || status=$?
	[ "$status" = 1 ] || fail "exit status $status after the interface was deleted"
	grep '^vpn: .*vpn0' "$counters/left.log" | grep -v 'is up' || fail "it did not say why it ended: $(cat "$counters/left.log")"
	stop_end right TERM
}

test_interface_down_and_up_and_deleted() { comes_back mytun; }
test_interface_down_and_up_and_deleted_with_the_kernels_own_driver() { comes_back kernel; }

test_wrong_key_gets_nothing_through() {
	wire
	start_end right mytun 192.0.2.1:5555
	"${vpn[@]}" -keygen >"$counters/key"
	start_end left mytun 192.0.2.1:5555
	! on_left ping -c 3 -i 0.1 -W 1 "$right4" || fail "an answer through a tunnel with two keys"
	stop_tunnel
	[ "$(counter right dropped_forged)" -ge 3 ] || fail "not counted: $(cat "$counters/right")"
}

run_tests "$@"
