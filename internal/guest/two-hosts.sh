# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced, behind report.sh, by the tests of programs that were written for /dev/net/tun: two hosts
# a and b, network namespaces with a wire between them, and what a tunnel over it must carry.

# as_tun COMMAND...: with /dev/net/mytun at /dev/net/tun, for this command alone.
as_tun() {
	[ -e /dev/net/tun ] || modprobe tun
	unshare --mount bash -c 'mount --bind /dev/net/mytun /dev/net/tun && exec "$@"' - "$@"
}

# The wire's addresses are 192.168.9.1 and 192.168.9.2. What runs in the hosts ends with the test.
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
	mapfile -t pids < <(in_hosts)
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	eventually 10 nobody_in_hosts
	ip netns del a
	ip netns del b
}

in_hosts() {
	ip netns pids a
	ip netns pids b
}

nobody_in_hosts() { [ -z "$(in_hosts)" ]; }

listening_in() { ip netns exec "$1" ss -ltn | grep -q "$2"; }
up_in() { ip -n "$1" -o link show up | grep -q "$2"; }

# is_ours HOST NAME: fails the test if an interface is not the module's.
is_ours() {
	ip -n "$1" -d link show "$2" | tee /tmp/link
	grep -qw mytun /tmp/link || fail "$2 of host $1 is not ours"
}

# bytes_of HOST NAME rx|tx
bytes_of() { ip netns exec "$1" cat "/sys/class/net/$2/statistics/$3_bytes"; }

# A megabyte over TCP from host a to an address of host b.
megabyte_to() {
	head -c 1000000 /dev/urandom >/tmp/sent
	ip netns exec b socat -u TCP-LISTEN:4000,reuseaddr CREATE:/tmp/received &
	eventually 10 listening_in b :4000
	ip netns exec a socat -u OPEN:/tmp/sent "TCP:$1:4000"
	wait $!
	cmp /tmp/sent /tmp/received
}

# arrived: of the packets of an iperf3 run over UDP, whose report it reads.
arrived() { sed -n 's|.* \([0-9]*\)/\([0-9]*\) (.*receiver.*|\2 \1|p' | awk '{ print $1 - $2 }'; }

# carries_iperf3 ADDRESS NAME: TCP and UDP between host a and an address of host b, both ways, through
# an interface that host a has under that name. How fast is not asked.
carries_iperf3() {
	local to=$1 name=$2 way n rx tx
	rx=$(bytes_of a "$name" rx) tx=$(bytes_of a "$name" tx)
	listening_in b :5201 || ip netns exec b iperf3 -s >/dev/null &
	eventually 10 listening_in b :5201
	for way in "" -R; do
		# shellcheck disable=SC2086 # an option, or none
		again ip netns exec a iperf3 -c "$to" -n 1M $way
		# shellcheck disable=SC2086
		again ip netns exec a iperf3 -c "$to" -u -l 1000 -b 2M -k 100 $way | tee /tmp/udp
		n=$(arrived </tmp/udp)
		[ "$n" -gt 0 ] || fail "of 100 packets over UDP ${way:+(iperf3 $way) }$n arrived"
	done
	rx=$(($(bytes_of a "$name" rx) - rx)) tx=$(($(bytes_of a "$name" tx) - tx))
	# iperf3 ends when it has sent a megabyte, whether or not the last of it has come to the wire.
	if [ $rx -lt 500000 ] || [ $tx -lt 500000 ]; then
		fail "iperf3 ran, and $name of host a received $rx bytes and sent $tx"
	fi
}
