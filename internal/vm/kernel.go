// SPDX-License-Identifier: MIT

package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A kernelSource says where a kernel comes from. The kernels are Debian's *cloud* flavour: small,
// quick to boot, and with the drivers that virtual machines need.
type kernelSource struct {
	suite    string
	makeArgs []string // what the build of a module needs beyond the common arguments
}

var kernelSources = map[string]kernelSource{
	"5.10": {suite: "bullseye"},
	"6.1":  {suite: "bookworm"},
	"6.12": {suite: "bookworm-backports"},
}

const defaultKernel = "6.1"

func kernelFlag(f *flag.FlagSet) *string {
	return f.String("kernel", defaultKernel, "kernel `NAME`, one of "+strings.Join(kernelNames(), ", "))
}

func kernelNames() []string { return slices.Sorted(maps.Keys(kernelSources)) }

// A kernel is one that is in the cache, ready to build against and to boot.
type kernel struct {
	Name    string
	Release string // as uname -r says it
	Root    string // the packages, unpacked
	Vmlinuz string
	Modules string // .../lib/modules/Release
	Headers string // the directory to give to make -C
	source  kernelSource
}

// fetchKernel returns a kernel of the table above, downloading it first if need be. It stays at
// the version that the cache holds: what passed yesterday is tested against the same kernel
// today.
func fetchKernel(name string) (*kernel, error) {
	src, ok := kernelSources[name]
	if !ok {
		return nil, fmt.Errorf("no kernel %q; there are %s", name, strings.Join(kernelNames(), ", "))
	}
	root, err := cached("kernel/"+name, func(tmp, final string) error {
		return unpackKernel(src, tmp, final)
	})
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, err)
	}
	return findKernel(name, src, root)
}

var (
	imagePackage   = regexp.MustCompile(`^linux-image-\d`)
	headersPackage = regexp.MustCompile(`^linux-headers-\d`)
	buildPackage   = regexp.MustCompile(`^linux-(headers-\d.*-common|kbuild-|compiler-gcc-)`)
)

func unpackKernel(src kernelSource, tmp, final string) error {
	apt, err := openApt(filepath.Join(tmp, "apt"), src.suite)
	if err != nil {
		return err
	}
	image, err := apt.depends("linux-image-cloud-amd64", imagePackage)
	if err != nil {
		return err
	}
	headers, err := apt.depends("linux-headers-cloud-amd64", headersPackage)
	if err != nil {
		return err
	}
	if len(image) != 1 || len(headers) != 1 {
		return fmt.Errorf("expected one image and one headers package in Debian %s, found %q and %q", src.suite, image, headers)
	}
	build, err := apt.depends(headers[0], buildPackage)
	if err != nil {
		return err
	}
	debs, err := apt.download(slices.Concat(image, headers, build)...)
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := command("", "dpkg", "-x", deb, tmp); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(apt.dir); err != nil {
		return err
	}
	k, err := findKernel("", src, tmp)
	if err != nil {
		return err
	}
	// The package's own script would do this at installation.
	base := strings.TrimSuffix(k.Modules, "/lib/modules/"+k.Release)
	if err := command("", "/sbin/depmod", "-b", base, k.Release); err != nil {
		return err
	}
	return relocateHeaders(filepath.Join(k.Headers, "Makefile"), final)
}

// findKernel looks at an unpacked tree. Older packages have the image in /boot, newer ones beside
// the modules.
func findKernel(name string, src kernelSource, root string) (*kernel, error) {
	k := &kernel{Name: name, Root: root, source: src}
	one := func(patterns ...string) (string, error) {
		for _, p := range patterns {
			if found, _ := filepath.Glob(filepath.Join(root, p)); len(found) == 1 {
				return found[0], nil
			}
		}
		return "", fmt.Errorf("%s has not exactly one %s; remove that directory and try again", root, strings.Join(patterns, " or "))
	}
	var err error
	if k.Modules, err = one("lib/modules/*", "usr/lib/modules/*"); err != nil {
		return nil, err
	}
	if k.Vmlinuz, err = one("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"); err != nil {
		return nil, err
	}
	if k.Headers, err = one("usr/src/linux-headers-*-cloud-amd64"); err != nil {
		return nil, err
	}
	k.Release = filepath.Base(k.Modules)
	return k, nil
}

// relocateHeaders makes unpacked headers usable in place: their Makefile names the directory
// where the package would have installed them.
func relocateHeaders(makefile, root string) error {
	text, err := os.ReadFile(makefile)
	if err != nil {
		return err
	}
	moved := regexp.MustCompile(`(include |KBUILD_OUTPUT=)/usr/src/`).
		ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(root, "$", "$$")+"/usr/src/"))
	return os.WriteFile(makefile, moved, 0o644)
}
