#!/bin/bash
# SPDX-License-Identifier: MIT
# guest.sh RESULTS: the tests of the loaded module, in virtual machines. KERNELS names the kernels to
# boot, or is "all"; all tests run on each of them then, and one that cannot be had is a failure.
#
# Without it all tests run on the main kernel, and on one of the others those sections that touch the
# module's edges with the kernel. Which one is a matter of the commit: each commit has its kernel, by
# chance, and many commits have them all.
set -euo pipefail
. internal/check/lib.sh
results=$1

# Go packages, test programs, shell files: see vm test -run.
ESSENTIAL='^(mytun|abi|load|csrc|module|selftest|scribble)$'

# other_kernels: those beside the main one, that of this commit first.
other_kernels() {
	local others commit i
	mapfile -t others < <("$VM" kernels | grep -vxF "$MAIN_KERNEL")
	commit=$(git rev-parse HEAD)
	for ((i = 0; i < ${#others[@]}; i++)); do
		echo "${others[(0x${commit:0:7} + i) % ${#others[@]}]}"
	done
}

fetched() { "$VM" fetch -kernel "$1" >/dev/null 2>"$results/fetch.log"; }

one_more_kernel() {
	local kernel status
	for kernel in $(other_kernels); do
		status=0
		fetched "$kernel" || status=$?
		case $status in
		0)
			progress "== the other kernel of this commit is $kernel: $ESSENTIAL; KERNELS=all runs all on all"
			guest_tests "$kernel" -run "$ESSENTIAL"
			return
			;;
		"$MISSING") missing "kernel $kernel" "$results/fetch.log" ;;
		*)
			echo "not ok kernel $kernel: it cannot be fetched"
			sed 's/^/# /' "$results/fetch.log"
			return
			;;
		esac >>"$results/guest.lines"
	done
	echo "not ok guest tests on another kernel: there is none to be had" >>"$results/guest.lines"
}

if [ "${KERNELS:-}" ]; then
	for kernel in $(kernels); do
		guest_tests "$kernel"
	done
else
	guest_tests "$MAIN_KERNEL"
	one_more_kernel
fi
