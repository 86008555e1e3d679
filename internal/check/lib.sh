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

# The kernel that all tests run on, and the exit status of $VM where a mirror does not have, or no
# longer has, what it was to fetch.
# shellcheck disable=SC2034 # for the stages
MAIN_KERNEL=6.1
MISSING=3

# The test programs of the module alone, and not those of others, which need more of a kernel than those
# that watch themselves have.
# shellcheck disable=SC2034
OF_MODULE='abi|scribble|load|mytun|csrc|module|permissions|selftest|outlive'
# Those that need a kernel which lets allocations fail, and tells where it has been.
# shellcheck disable=SC2034
IN_LAB='fail|abifuzz'

# The works of the benchmark whose figures have a budget, and the peers.
# shellcheck disable=SC2034
BUDGETED=(-only 'udp,tcp,relay,ping,vpn' -peers 'mytun;example/vpn on mytun')

# kernels: all that there are, or those of $KERNELS.
kernels() {
	case ${KERNELS:-all} in
	all) "$VM" kernels ;;
	*) tr ' ' '\n' <<<"$KERNELS" ;;
	esac
}

# missing NAME LOG: the line for what could not be tested, since the outer world has it no longer.
missing() { echo "missing $1: $(grep -m 1 'missing: ' "$2" | sed 's/.*missing: //')"; }

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
	elif [ $status = $MISSING ] && [ "$1" = "$VM" ]; then
		missing "$name" "$log"
	else
		echo "not ok $name: exit status $status"
		tail -n 60 "$log" | sed 's/^/# /'
	fi
	rm -f "$log"
	progress "$name, $((SECONDS - begun)) s"
}

# guest_tests KERNEL FLAGS...: in virtual machines, see vm test. The stage has set results.
# shellcheck disable=SC2154
guest_tests() {
	local begun=$SECONDS
	"$VM" test -kernel "$1" -results "$results" "${@:2}" || {
		echo "not ok guest tests on $1: they could not be run, see above"
	} >>"$results/guest.lines"
	progress "guest tests on $1, $((SECONDS - begun)) s"
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
