# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the stages of the tests share. A stage writes the results of its tests, in the formats that
# internal/check/tally reads, into the directory that it is given, and speaks to the terminal only
# of its progress.

# modules: the directories of the tree that are Go modules.
modules() { files '*go.mod' | xargs -n 1 dirname; }

# files PATTERN...: the project's files, those that are not committed yet included.
files() {
	local f
	git ls-files -co --exclude-standard -- "$@" | sort -u | while IFS= read -r f; do
		[ ! -f "$f" ] || echo "$f"
	done
}

# check NAME COMMAND...: one test, which passes when the command does.
check() {
	local name=$1 log status begun=$SECONDS
	shift
	log=$(mktemp)
	set +e
	(
		set -e
		"$@"
	) >"$log" 2>&1
	status=$?
	set -e
	if [ $status = 0 ]; then
		echo "ok $name"
	else
		echo "not ok $name: exit status $status"
		tail -n 60 "$log" | sed 's/^/# /'
	fi
	rm -f "$log"
	progress "$name, $((SECONDS - begun)) s"
}

# silent COMMAND...: fails when the command prints anything, too.
silent() {
	local out
	out=$("$@")
	[ -z "$out" ] || {
		echo "$out"
		return 1
	}
}

progress() { echo "test: $*" >&2; }
