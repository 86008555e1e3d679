#!/bin/bash
# SPDX-License-Identifier: MIT
# planted.sh RESULTS: are the detectors alive, and the tests that are named after a mistake? Each patch
# in internal/lab/planted, or those that $PLANTED names, puts one mistake into a copy of the module, and
# must be caught, in the words that it says, by the run that it names:
#
#	kernel: one that "go run ./internal/vm kernels [-lab]" prints
#	run:    a test program, and of which tests of it
#	seconds: how long the tests without an end of their own go on, if it must be more than usual
#	caught: an extended regular expression for a line of what is reported; each, if there are more
#
# The same runs must pass, and report none of that, with the module as it is; or where the patch has more in it
# than the mistake, a delay above all, with NAME.innocent, which has the rest of it, lest that is what is caught.
set -euo pipefail
. internal/check/lib.sh
results=$1
exec >"$results/planted.lines"

field() { sed -n "s/^$1: *//p" "$2"; } # field NAME PATCH

# reported KERNEL KMOD PROGRAMS TESTS: runs these; what is reported goes to files *.lines in the
# directory $dir. What the last module for this kernel had in common with it is not compiled again.
reported() {
	local limit=20m
	[ "$1" != uml ] || limit=5m # it may hang where others panic
	"$VM" test -kernel "$1" -kmod "$2" -objects "$results/objects-$1" -machines 1 -results "$dir" \
		-timeout $limit -run "^($3)\$" -tests "$4" >"$dir/log" 2>&1
}

# first REGEXP: the first line of what was reported that matches it.
first() {
	grep -Em 1 -- "$1" < <(cat "$dir"/*.lines | sed 's/^[# ]*//; s/^\[ *[0-9.]*\] *//')
}

# verdict BEGUN STATUS NAME KERNEL: WHY: a result, and its line of the table on the terminal.
verdict() {
	echo "$2 planted/$3: $5"
	printf '%-26s %-6s %4d s  %s\n' "$3" "$4" $((SECONDS - $1)) "$([ "$2" = ok ] || echo "$2: ")${5:0:150}" >&2
}

# copied CHANGE: a copy of the module in $dir/kmod, with this in it.
copied() {
	cp -r kmod "$dir/kmod"
	patch -s -F0 -p1 -d "$dir" <"$1" >"$dir/log" 2>&1
}

planted() { # planted PATCH
	local patch=$1 name kernel run regexp line lines=() begun=$SECONDS dir status=0
	name=$(basename "$patch" .patch)
	kernel=$(field kernel "$patch") run=$(field run "$patch")
	dir=$(mktemp -d)
	if ! copied "$patch"; then
		verdict "$begun" 'not ok' "$name" "$kernel" 'the patch no longer fits'
		sed 's/^/# /' "$dir/log"
		rm -rf "$dir"
		return
	fi
	LAB_SECONDS=$(field seconds "$patch") reported "$kernel" "$dir/kmod" "${run%% *}" "${run#* }" || status=$?
	while [ $status = 0 ] && IFS= read -r regexp; do
		line=$(first "$regexp") || break
		lines+=("$line")
	done < <(field caught "$patch")
	if [ $status != 0 ]; then
		verdict "$begun" 'not ok' "$name" "$kernel" 'could not be run'
		sed 's/^/# /' "$dir/log"
	elif [ ${#lines[@]} = "$(grep -c '^caught:' "$patch")" ]; then
		verdict "$begun" ok "$name" "$kernel" "${lines[0]}"
	else
		verdict "$begun" 'not ok' "$name" "$kernel" "nobody noticed; no line has $regexp"
		cat "$dir"/*.lines | sed 's/^/# /'
	fi
	rm -rf "$dir"
}

# innocent KERNEL CHANGE PATCH...: all runs of these on one kernel, and no mistake. CHANGE: what the module has in
# it all the same, or /dev/null.
innocent() {
	local kernel=$1 change=$2 patch run regexp line programs='' tests='' begun=$SECONDS dir found name=none longest
	shift 2
	for patch in "$@"; do
		run=$(field run "$patch")
		programs+="|${run%% *}" tests+=" ${run#* }"
	done
	dir=$(mktemp -d)
	[ "$change" = /dev/null ] || name=$(basename "$change")
	longest=$(for patch in "$@"; do field seconds "$patch"; done | sort -n | tail -n 1)
	if ! copied "$change" || ! LAB_SECONDS=$longest reported "$kernel" "$dir/kmod" "${programs#|}" "${tests# }"; then
		verdict "$begun" 'not ok' "$name" "$kernel" 'could not be run'
		sed 's/^/# /' "$dir/log"
		rm -rf "$dir"
		return
	fi
	found=$(cat "$dir"/*.lines | sed -n '/^not ok /,/^\(ok\|skip\) / s/^/# /p')
	for patch in "$@"; do
		while IFS= read -r regexp; do
			line=$(first "$regexp") || continue
			found+=$'\n'"# $(basename "$patch" .patch) would be caught by this: $line"
		done < <(field caught "$patch")
	done
	if [ "$found" ]; then
		verdict "$begun" 'not ok' "$name" "$kernel" 'something fails, or is caught, where no mistake is'
		echo "$found"
	else
		verdict "$begun" ok "$name" "$kernel" 'no mistake, and nothing is caught'
	fi
	rm -rf "$dir"
}

for name in ${PLANTED:-}; do
	[ -e "internal/lab/planted/$name.patch" ] || echo "not ok planted/$name: there is no such patch"
done
mapfile -t patches < <(files 'internal/lab/planted/*.patch')
declare -A on pure
for patch in "${patches[@]}"; do
	[[ -z ${PLANTED:-} || " $PLANTED " = *" $(basename "$patch" .patch) "* ]] || continue
	kernel=$(field kernel "$patch")
	on[$kernel]+=" $patch"
	[ -e "${patch%.patch}.innocent" ] || pure[$kernel]+=" $patch"
done
for kernel in "${!on[@]}"; do
	read -ra patches <<<"${pure[$kernel]:-}"
	[ ${#patches[@]} = 0 ] || innocent "$kernel" /dev/null "${patches[@]}"
	read -ra patches <<<"${on[$kernel]}"
	for patch in "${patches[@]}"; do
		change=${patch%.patch}.innocent
		[ ! -e "$change" ] || innocent "$kernel" "$change" "$patch"
		planted "$patch"
	done
done
