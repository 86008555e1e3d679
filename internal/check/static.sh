#!/bin/bash
# SPDX-License-Identifier: MIT
# static.sh RESULTS: everything that is checked without running the project.
set -euo pipefail
. internal/check/lib.sh
exec >"$1/static.lines"

STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2
COLUMNS_MAX=100

mapfile -t c_files < <(files '*.c' '*.h')
mapfile -t kmod_files < <(files 'kmod/*.c' 'kmod/*.h')
mapfile -t go_files < <(files '*.go')

# Scripts are known by their first line: not all have an ending.
scripts() {
	local f
	files | while IFS= read -r f; do
		case $f in *.c | *.go) continue ;; esac
		if [[ $f == *.sh ]] || head -n 1 "$f" | grep -aqE '^#!.*\b(ba)?sh\b'; then
			echo "$f"
		fi
	done
}

spdx() {
	local f missing=0
	while IFS= read -r f; do
		case $f in
		*.go | *.c | *.h | *.S | *.sh | *.py | *.mk | *Makefile | *Kbuild) ;;
		*) head -n 1 "$f" | grep -aq '^#!' || continue ;;
		esac
		if ! head -n 5 "$f" | grep -aq 'SPDX-License-Identifier: '; then
			echo "$f: no SPDX-License-Identifier in its first lines"
			missing=1
		fi
	done < <(files)
	return $missing
}

line_length() {
	local f long=0
	for f in "${c_files[@]}"; do
		expand "$f" | awk -v f="$f" -v max=$COLUMNS_MAX '
			length > max { print f ":" NR ": " length " columns"; bad = 1 } END { exit bad }' || long=1
	done
	return $long
}

checkpatch() {
	local script
	script=$("$VM" checkpatch)
	grep -v '^#' internal/check/checkpatch.conf |
		xargs perl "$script" --strict --no-tree --show-types --terse --quiet --no-summary \
			--max-line-length=$COLUMNS_MAX --file "${kmod_files[@]}" --
}

# header COMPILER...: the header for programs, included alone.
header() { echo '#include "mytun.h"' | "$@" -Ikmod/uapi -Wall -Wextra -Wpedantic -Werror -fsyntax-only -; }

# The mistakes of "make planted", which is not run each time, must fit the module as it is.
planted_fit() {
	local patch dir bad=0
	dir=$(mktemp -d)
	for patch in internal/lab/planted/*; do
		rm -rf "$dir/kmod"
		cp -r kmod "$dir"
		patch -s -F0 -p1 -d "$dir" <"$patch" >/dev/null || {
			echo "$patch no longer fits"
			bad=1
		}
	done
	rm -rf "$dir"
	return $bad
}

in_module() {
	local dir=$1
	shift
	cd "$dir"
	"$@"
}

check "gofmt" silent gofmt -l "${go_files[@]}"
for module in $(modules); do
	check "go vet, $module" in_module "$module" go vet ./...
	check "go vet without cgo, $module" in_module "$module" env CGO_ENABLED=0 go vet ./...
	check "staticcheck, $module" in_module "$module" go run "$STATICCHECK" ./...
	check "go mod tidy, $module" in_module "$module" go mod tidy -diff
done
mapfile -t shell_files < <(scripts)
# Left out: SC2016 and SC2317 take programs for another shell, and functions called by their name,
# for mistakes.
check "shellcheck" shellcheck -x -e SC2016,SC2317 "${shell_files[@]}"
check "clang-format" clang-format --dry-run --Werror "${c_files[@]}"
check "C lines within $COLUMNS_MAX columns" line_length
check "SPDX headers" spdx
check "checkpatch" checkpatch
check "planted mistakes fit" planted_fit
check "header for programs, C99" header gcc -std=c99 -x c
check "header for programs, C++11" header g++ -std=c++11 -x c++
for kernel in $(kernels); do
	check "module without warnings (W=1), $kernel" "$VM" build -kernel "$kernel" -strict
done
check "module under sparse, $MAIN_KERNEL" "$VM" build -kernel "$MAIN_KERNEL" -sparse
