#!/bin/bash
# SPDX-License-Identifier: MIT
# lab.sh RESULTS: the tests on kernels that watch themselves: on User-mode Linux those of the module, and on
# the emulated one, which is slow and has several CPUs, those in which several threads meet. The programs of
# others run on Debian's kernels alone.
set -euo pipefail
. internal/check/lib.sh
results=$1

# Other random numbers for each commit, and the same each time that it is tested.
commit=$(git rev-parse HEAD)
export LAB_SEED=${LAB_SEED:-$((0x${commit:0:7}))}
export SEED=${SEED:-$LAB_SEED}

guest_tests uml -timeout 20m -run "^($OF_MODULE|$IN_LAB)\$"
guest_tests kasan -machines 1 -timeout 20m -run '^(abi)$' \
	-tests '^stress/ ^injectstress/queues ^mistakelife/ring ^mistakelife/use ^mistakering/two ^life/de ^eventfd/no ^recordstress/the'
