#!/bin/bash
# SPDX-License-Identifier: MIT
# compare.sh [EXECUTIONS [SEED...]]: what is guidance worth? Guided and blind runs of the fuzzer, without a corpus,
# on User-mode Linux: how many programs come to the end of the maze that maze.patch puts into the module,
# and how many parts of the module as it is are reached.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
executions=${1:-5000}
shift || true
seeds=${*:-1 2 3 4 5}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

gcc -std=gnu11 -O2 -g -pthread -Ikmod/uapi -Iinternal/guest/testlib -o "$dir/abifuzz" \
	internal/lab/abifuzz/*.c internal/guest/testlib/*.c
cp -r kmod "$dir/kmod"
patch -s -p1 -d "$dir" <internal/lab/abifuzz/maze.patch

cat >"$dir/rounds" <<'E2'
for seed in $SEEDS; do
	for blind in 0 1; do
		rmmod mytun && insmod /mytun.ko
		echo "$WHAT, seed $seed, $( ((blind)) && echo blind || echo guided)"
		LAB_SEED=$seed LAB_BLIND=$blind abifuzz no_program | grep -E '^# [0-9]|says|^ok'
	done
done
E2

rounds() { # rounds WHAT KMOD
	go run ./internal/vm run -kernel uml -reach -kmod "$2" -timeout 10h -file "$dir/abifuzz" -file "$dir/rounds:/rounds" -- \
		env WHAT="$1" SEEDS="$seeds" LAB_EXECUTIONS="$executions" LAB_SECONDS=100000 LAB_CORPUS=/none LAB_SAVE=- bash /rounds
}

rounds maze "$dir/kmod"
rounds module kmod
