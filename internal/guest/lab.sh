# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Read by init on a kernel that watches itself, when all programs are gone: asks for what such a kernel
# tells only when it is asked, and puts that into its log, where the host looks for complaints.

to_log() { # to_log FILE: line by line, in the words that the host knows
	local line
	while IFS= read -r line; do
		echo "<3>lab: $line" >/dev/kmsg
	done <"$1"
}

# What watches without a word is dead, or was never on.
off() { echo "<3>lab: BUG: $1 is off" >/dev/kmsg; }
case $MYTUN_LAB in
kcsan) grep -q '^enabled: 1' /sys/kernel/debug/kcsan || off KCSAN ;;
*) [ -e /sys/kernel/debug/kmemleak ] || off kmemleak ;;
esac

# An object is reported that two scans in a row found unreferenced and unchanged, and that is some
# seconds old.
if [ -e /sys/kernel/debug/kmemleak ]; then
	sleep 5.5
	echo scan >/sys/kernel/debug/kmemleak
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >/out/kmemleak
	if [ -s /out/kmemleak ]; then
		echo '<3>lab: memory leaked:' >/dev/kmsg
		to_log /out/kmemleak
	fi
fi

# One report, and the kernel stops looking for more of its kind.
if [ -e /proc/lockdep_stats ] && ! grep -Eq '^ *debug_locks: +1$' /proc/lockdep_stats; then
	echo '<3>lab: BUG: the lock debugging was turned off' >/dev/kmsg
fi
