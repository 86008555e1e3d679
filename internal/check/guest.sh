#!/bin/bash
# SPDX-License-Identifier: MIT
# guest.sh RESULTS: the tests of the loaded module, in one virtual machine for each of KERNELS.
set -euo pipefail
for kernel in ${KERNELS:-6.1}; do
	go run ./internal/vm test -kernel "$kernel" -results "$1" || {
		echo "not ok guest tests on $kernel: they could not be run, see above"
	} >>"$1/guest.lines"
done
