#!/bin/bash
# SPDX-License-Identifier: MIT
# lab.sh RESULTS: the tests on kernels that watch themselves: on User-mode Linux all of them, on
# the emulated one, which is slow and has several CPUs, those in which several threads meet.
set -euo pipefail
. internal/check/lib.sh
results=$1

guest_tests uml -timeout 20m
guest_tests kasan -timeout 20m -run '^abi$' -tests 'stress/ life/ rounds/'
