# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# again COMMAND...: the output of a command that gets a second chance. It is for iperf3, whose server
# may still be closing one test when the next one begins, which it then resets.
again() {
	local out
	out=$("$@") || {
		echo "again: $*" >&2
		sleep 1
		out=$("$@")
	}
	echo "$out"
}
