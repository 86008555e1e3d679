// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A tool is a program and the Debian package that has it.
type tool struct{ path, pkg string }

// guestTools go into every image. Where a program of the same name is among busybox's applets,
// the one named here wins.
var guestTools = []tool{
	{"/bin/busybox", "busybox-static"},
	{"/bin/bash", "bash"},
	{"/sbin/ip", "iproute2"},
	{"/sbin/tc", "iproute2"},
	{"/sbin/bridge", "iproute2"},
	{"/bin/ss", "iproute2"},
	{"/bin/ping", "iputils-ping"},
	{"/bin/kmod", "kmod"},
	{"/usr/sbin/ethtool", "ethtool"},
	{"/usr/sbin/nft", "nftables"},
	{"/usr/bin/iperf3", "iperf3"},
	{"/usr/bin/nsenter", "util-linux"},
	{"/usr/sbin/openvpn", "openvpn"},
	{"/usr/bin/prlimit", "util-linux"},
	{"/usr/bin/setpriv", "util-linux"},
	{"/usr/bin/socat", "socat"},
	{"/usr/bin/strace", "strace"},
	{"/usr/bin/tcpdump", "tcpdump"},
	{"/usr/bin/unshare", "util-linux"},
	{"/usr/bin/wg", "wireguard-tools"},
	{"/usr/bin/wireguard-go", "wireguard-go"},
	{"/usr/sbin/tincd", "tinc"},
}

// hostTools are what fetching, building, booting and the static checks need on this machine.
var hostTools = append([]tool{
	{"/usr/bin/qemu-system-x86_64", "qemu-system-x86"},
	{"/usr/bin/gcc", "gcc"},
	{"/usr/bin/g++", "g++"},
	{"/usr/bin/gcc-12", "gcc-12"},
	{"/usr/bin/make", "make"},
	{"/usr/include/stdio.h", "libc6-dev"},
	{"/usr/lib/x86_64-linux-gnu/libelf.so.1", "libelf1"}, // objtool of the kernel's build
	{"/sbin/depmod", "kmod"},
	{"/usr/bin/xz", "xz-utils"},
	{"/usr/bin/patch", "patch"}, // planted mistakes
	{"/usr/bin/sparse", "sparse"},
	{"/usr/bin/perl", "perl"},             // checkpatch
	{"/usr/bin/pkg-config", "pkg-config"}, // a test of what the C library installs
	{"/usr/bin/shellcheck", "shellcheck"},
	{"/usr/bin/clang-format", "clang-format"},
	{"/etc/ssl/certs/ca-certificates.crt", "ca-certificates"}, // Go modules
}, guestTools...)

// fuzzTools are what the guided fuzzing of the C library needs, and nothing else does.
var fuzzTools = []tool{
	{"/usr/bin/clang", "clang"},
	{"/usr/lib/clang/14/lib/linux/libclang_rt.fuzzer-x86_64.a", "libclang-rt-14-dev"},
}

// modelTools are what doc/model/run needs, and nothing else does.
var modelTools = []tool{
	{"/usr/bin/spin", "spin"},
	{"/usr/bin/gcc", "gcc"},
	{"/usr/include/stdio.h", "libc6-dev"},
}

// installMissing installs, with apt-get, the packages of those tools that are not there, and
// does nothing at all when none is missing.
func installMissing(tools []tool) error {
	var pkgs []string
	seen := map[string]bool{}
	for _, t := range tools {
		if _, err := os.Stat(t.path); err != nil && !seen[t.pkg] {
			seen[t.pkg] = true
			pkgs = append(pkgs, t.pkg)
		}
	}
	if len(pkgs) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing: %s; install them by hand, this is not a Debian system", strings.Join(pkgs, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing Debian packages; as root, run\n  apt-get install --no-install-recommends %s", strings.Join(pkgs, " "))
	}
	step("installing %s", strings.Join(pkgs, " "))
	os.Setenv("DEBIAN_FRONTEND", "noninteractive")
	install := append([]string{"install", "-y", "--no-install-recommends"}, pkgs...)
	if command("", "apt-get", install...) == nil {
		return nil
	}
	// The lists of a fresh or an old machine name packages that are no longer there.
	if err := command("", "apt-get", "update"); err != nil {
		return err
	}
	if err := command("", "apt-get", install...); err != nil {
		return err
	}
	for _, t := range tools {
		if _, err := os.Stat(t.path); err != nil {
			return fmt.Errorf("%s is installed and yet %s is not there (%s)", t.pkg, t.path, filepath.Base(t.path))
		}
	}
	return nil
}
