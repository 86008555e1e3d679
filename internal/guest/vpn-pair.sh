# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced by what runs example/vpn in the guest: two hosts, a wire between them, and a tunnel over
# it. Each host is a network namespace: right listens, left connects.
#
#	lay_wire                     # once
#	start_tunnel mytun           # or kernel; further words are flags of both ends
#	on_left ping "$right4"
#	stop_tunnel                  # the counters are in $counters/left and $counters/right

# The addresses inside of the tunnel. right4 and right6 are those to talk to from left.
# shellcheck disable=SC2034
left4=10.9.0.2 left6=fd00:9::2 right4=10.9.0.1 right6=fd00:9::1
left_pid='' right_pid=''

# shellcheck source=internal/guest/again.sh
. /guest/again.sh

on_left() { ip netns exec left "$@"; }
on_right() { ip netns exec right "$@"; }

lay_wire() {
	counters=$(mktemp -d)
	# The program itself, or the test binary of its package, which is also the program.
	if command -v vpn >/dev/null; then
		vpn=(vpn)
	elif [ -x /test/go/example/vpn/vpn.test ]; then
		vpn=(env VPN_TEST_MAIN=1 /test/go/example/vpn/vpn.test)
	else
		return 1
	fi
	modprobe -a tun veth
	ip netns add left
	ip netns add right
	ip link add wire netns left type veth peer name wire netns right
	local host
	for host in left right; do
		# Routers are not looked for: what is counted is what was sent on purpose.
		ip netns exec "$host" sh -c 'echo 0 | tee /proc/sys/net/ipv6/conf/*/router_solicitations' >/dev/null
		ip -n "$host" link set lo up
		ip -n "$host" link set wire up
	done
	ip -n right addr add 192.0.2.1/24 dev wire
	ip -n left addr add 192.0.2.2/24 dev wire
	ip -n right addr add 2001:db8::1/64 dev wire nodad
	ip -n left addr add 2001:db8::2/64 dev wire nodad
	"${vpn[@]}" -keygen >"$counters/key"
}

# start_end left|right BACKEND WHERE FLAGS...: starts one end and waits until its interface is up.
start_end() {
	local host=$1 backend=$2 how=-listen i
	local -n v4=${host}4 v6=${host}6 pid=${host}_pid
	[ "$host" = right ] || how=-connect
	: >"$counters/$host.log"
	ip netns exec "$host" "${vpn[@]}" -keyfile "$counters/key" -backend "$backend" "$how" "$3" \
		-name vpn0 -addr "$v4/24" -addr "$v6/64" "${@:4}" >"$counters/$host" 2>"$counters/$host.log" &
	pid=$!
	for ((i = 0; i < 100; i++)); do
		! grep -q 'is up' "$counters/$host.log" || return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	cat "$counters/$host.log" >&2
	return 1
}

# start_tunnel BACKEND FLAGS...: sets $left_pid and $right_pid. $outer is the address of right on the
# wire, IPv4 if not set.
start_tunnel() {
	start_end right "$1" "${outer:=192.0.2.1:5555}" "${@:2}"
	start_end left "$1" "$outer" "${@:2}"
	on_left ping -q -c 1 -W 10 "$right4" >/dev/null
}

# stop_end left|right SIGNAL: ends one end; it must end well and take its interface along.
stop_end() {
	local host=$1 status=0
	local -n pid=${host}_pid
	kill -s "$2" "$pid"
	wait "$pid" || status=$?
	if [ "$status" != 0 ]; then
		echo "$host ends with status $status after SIG$2: $(cat "$counters/$host.log")" >&2
		return 1
	fi
	if ip -n "$host" link show vpn0 2>/dev/null; then
		echo "the interface of $host outlives the program" >&2
		return 1
	fi
}

stop_tunnel() {
	stop_end left INT
	stop_end right INT
}

# counter left|right NAME: a counter of an end that has been stopped.
counter() { awk -v name="$2" '$1 == name { print $2 }' "$counters/$1"; }

# take_up ends what is left, and the hosts.
take_up() {
	local pids
	mapfile -t pids < <(ip netns pids left; ip netns pids right)
	[ ${#pids[@]} = 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
	wait
	ip netns del left
	ip netns del right
}
