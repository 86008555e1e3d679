#!/bin/bash
# SPDX-License-Identifier: MIT
# host.sh: "make bench-host". mytun and its peers by the clock of this machine, whose kernel has the module
# loaded: packets and bits a second, CPU time, and how long a packet takes. It works in network namespaces
# of its own, loads the modules tun, veth, dummy and vhost_net, and wants the machine for itself for some
# four minutes. BENCH and REPORT are the two programs, where they are built already.
set -euo pipefail
cd "$(dirname "$0")"

if [ "$(id -u)" != 0 ]; then
	echo "bench-host: makes interfaces and network namespaces, which only root can: sudo make bench-host" >&2
	exit 1
fi
if [ ! -e /dev/net/mytun ]; then
	echo "bench-host: there is no /dev/net/mytun. The module: make kmod && make install && modprobe mytun" >&2
	exit 1
fi

dir=$(mktemp -d -t mytun-bench-XXXXXX)
trap 'rm -rf "$dir"' EXIT
if [ -z "${BENCH:-}" ]; then
	if ! command -v go >/dev/null; then
		echo "bench-host: there is no go in root's PATH: sudo env PATH=\"\$PATH\" make bench-host" >&2
		exit 1
	fi
	BENCH=$dir/bench REPORT=$dir/report
	go build -trimpath -o "$BENCH" .
	go build -trimpath -o "$REPORT" ./report
fi

# Named namespaces are mounts and files of /run/netns: in a place that goes away with this program.
mkdir -p /run/netns
# shellcheck disable=SC2016 # the other shell's parameters
unshare --net --mount sh -c 'mount -t tmpfs none /run/netns && exec "$@"' sh \
	"$BENCH" -only wall -out "$dir/figures.jsonl" >&2

echo "Linux $(uname -r), $(nproc) CPUs,$(sed -n 's/^model name[^:]*://p' /proc/cpuinfo | head -n 1)"
echo
"$REPORT" "$dir/figures.jsonl"
