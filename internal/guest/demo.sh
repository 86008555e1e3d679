#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Shows example/vpn over the module and over the kernel's own driver: two hosts with a wire between
# them, the same traffic, and a table of what it cost. The machine is emulated, so that the table
# compares its columns and says nothing about real hardware. On one whose time counts guest
# instructions (vm run -icount) two runs differ by some per cent, whatever else its host is doing.

set -euo pipefail
# shellcheck source=internal/guest/vpn-pair.sh
. /guest/vpn-pair.sh

small=${SMALL_PACKETS:-12000}  # packets of 64 bytes of payload, as fast as they can be sent
bulk=${BULK_MEGABYTES:-8}      # megabytes over TCP
counted=${COUNTED_PACKETS:-3000} # packets while system calls are counted, which costs CPU time itself

tracing=/sys/kernel/tracing/events/raw_syscalls/sys_enter

# --- measuring ---

# cpu PID: nanoseconds that all threads of a process have run.
cpu() { cat /proc/"$1"/task/*/schedstat | awk '{ n += $1 } END { printf "%.0f", n }'; }

# Packets that went into the tunnel on the left, that its interface dropped there, and that came
# out of it on the right.
packets_in() { on_left cat /sys/class/net/vpn0/statistics/tx_packets; }
packets_dropped() { on_left cat /sys/class/net/vpn0/statistics/tx_dropped; }
packets_out() { on_right cat /sys/class/net/vpn0/statistics/rx_packets; }

# begin, finish: around a measurement. finish sets sent, dropped, arrived, and the CPU time of both
# ends for each packet, in nanoseconds.
begin() {
	sent=$(packets_in) dropped=$(packets_dropped) arrived=$(packets_out)
	left_cpu=$(cpu "$left_pid") right_cpu=$(cpu "$right_pid")
}

finish() {
	sent=$(($(packets_in) - sent)) dropped=$(($(packets_dropped) - dropped)) arrived=$(($(packets_out) - arrived))
	left_cpu=$((($(cpu "$left_pid") - left_cpu) / sent))
	right_cpu=$((($(cpu "$right_pid") - right_cpu) / arrived))
}

# syscalls PID: of the counting that is under way, the calls of all threads of a process.
syscalls() {
	local threads
	threads=$(ls /proc/"$1"/task)
	awk -v threads="$threads" '
		BEGIN { split(threads, t); for (i in t) of[t[i]] = 1 }
		/hitcount:/ { gsub(/[^0-9]+/, " "); if ($1 in of) n += $2 }
		END { print n + 0 }' $tracing/hist
}

# count_syscalls COMMAND...: sets left_calls and right_calls, system calls for 100 packets.
count_syscalls() {
	begin
	echo 'hist:keys=common_pid:size=4096' >$tracing/trigger
	"$@" >/dev/null
	left_calls=$(syscalls "$left_pid") right_calls=$(syscalls "$right_pid")
	echo '!hist:keys=common_pid:size=4096' >$tracing/trigger
	finish
	left_calls=$((left_calls * 100 / sent)) right_calls=$((right_calls * 100 / arrived))
}

# --- the table ---

declare -A cell # of a backend and a row
rows=()

# put ROW VALUE: a cell of the present backend.
put() {
	[[ " ${rows[*]/#/|}" == *"|$1"* ]] || rows+=("$1")
	cell[$backend,$1]=$2
}

# scaled NUMBER DIVISOR DIGITS: a fraction.
scaled() { awk -v n="$1" -v by="$2" -v format="%.$3f" 'BEGIN { printf format, n / by }'; }

progress() { echo "demo: $backend: $*" >&2; }

# word_before PATTERN WORD: the word before another, in the last line that matches.
word_before() { awk -v line="$1" -v unit="$2" '$0 ~ line { for (i = 2; i <= NF; i++) if ($i == unit) w = $(i - 1) } END { print w }'; }

measure_ping() { # measure_ping NAME ADDRESS
	local average
	progress "ping, $1"
	average=$(on_left ping -q -c 10 -i 0.02 "$2" | sed -n 's|^rtt.* = [^/]*/\([^/]*\)/.*|\1|p')
	put "ping $1|round trip, average|ms" "$average"
}

measure_tcp() { # measure_tcp NAME ADDRESS
	local out
	progress "TCP, $1, $bulk MB"
	begin
	out=$(again on_left iperf3 -f m -c "$2" -n "${bulk}M")
	finish
	put "TCP $1|throughput|Mbit/s" "$(word_before receiver Mbits/sec <<<"$out")"
	put "TCP $1|CPU of the sending end|us/packet" "$(scaled "$left_cpu" 1000 1)"
	put "TCP $1|CPU of the receiving end|us/packet" "$(scaled "$right_cpu" 1000 1)"
}

measure_udp() { # measure_udp NAME ADDRESS
	local out seconds total
	progress "UDP, $1, $small packets of 64 bytes"
	begin
	out=$(again on_left iperf3 -c "$2" -u -l 64 -b 0 -k "$small")
	finish
	seconds=$(word_before receiver sec <<<"$out")
	total=$((sent + dropped))
	put "UDP $1, 64 bytes|arrive|packets/s" "$(scaled "$arrived" "${seconds#*-}" 0)"
	put "UDP $1, 64 bytes|are lost|%" "$(scaled $(((total - arrived) * 100)) "$total" 1)"
	put "UDP $1, 64 bytes|CPU of the sending end|us/packet" "$(scaled "$left_cpu" 1000 1)"
	put "UDP $1, 64 bytes|CPU of the receiving end|us/packet" "$(scaled "$right_cpu" 1000 1)"
}

measure_syscalls() {
	progress "system calls"
	count_syscalls on_left iperf3 -c "$right4" -n 3M
	put "TCP IPv4|system calls of the sending end|per packet" "$(scaled "$left_calls" 100 2)"
	put "TCP IPv4|system calls of the receiving end|per packet" "$(scaled "$right_calls" 100 2)"
	count_syscalls on_left iperf3 -c "$right4" -u -l 64 -b 0 -k "$counted"
	put "UDP IPv4, 64 bytes|system calls of the sending end|per packet" "$(scaled "$left_calls" 100 2)"
	put "UDP IPv4, 64 bytes|system calls of the receiving end|per packet" "$(scaled "$right_calls" 100 2)"
}

measure() {
	progress "the tunnel comes up"
	start_tunnel "$backend"
	on_right iperf3 -s -D
	sleep 0.3
	progress "warming up: what is allocated once is allocated"
	again on_left iperf3 -c "$right4" -n 2M >/dev/null
	again on_left iperf3 -c "$right4" -u -l 64 -b 0 -k "$counted" >/dev/null
	measure_ping IPv4 "$right4"
	measure_ping IPv6 "$right6"
	measure_tcp IPv4 "$right4"
	measure_tcp IPv6 "$right6"
	measure_udp IPv4 "$right4"
	measure_udp IPv6 "$right6"
	measure_syscalls
	kill "$(pidof iperf3)"
	stop_tunnel
}

print_table() {
	local row group name unit last=
	printf '\n%-36s %-11s %10s %10s\n' "example/vpn, one queue, over" "" mytun "stock tun"
	while IFS= read -r row; do
		IFS='|' read -r group name unit <<<"$row"
		[ "$group" = "$last" ] || printf '%s\n' "$group"
		last=$group
		printf '  %-34s %-11s %10s %10s\n' "$name" "$unit" "${cell[mytun,$row]}" "${cell[kernel,$row]}"
	done < <(printf '%s\n' "${rows[@]}" | awk -F'|' '!($1 in at) { at[$1] = ++n } { print at[$1] "|" $0 }' | sort -s -t'|' -k1,1n | cut -d'|' -f2-)
	printf '\nTimes are those of an emulated machine: compare the columns.\n'
}

lay_wire || { echo "demo: the guest has no vpn: build example/vpn and put it in with -file" >&2; exit 1; }
for backend in mytun kernel; do
	measure
done
print_table
