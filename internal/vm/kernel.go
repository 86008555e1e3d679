// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"flag"
	"fmt"
	"io/fs"
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
	libs     []string // libraries that its build tools need, where this machine's may be too old
}

var kernelSources = map[string]kernelSource{
	"5.10": {suite: "bullseye"},
	"6.1":  {suite: "bookworm"},
	"6.12": {suite: "bookworm-backports"},
	"7.2": {
		suite: "sid",
		// Their compiler knows options and attributes that gcc 12 does not.
		makeArgs: []string{"CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=", "KCFLAGS=-Wno-attributes"},
		libs:     []string{"libc6", "libelf1t64", "libssl3t64", "libzstd1", "zlib1g"},
	},
}

const defaultKernel = "6.1"

func kernelFlag(f *flag.FlagSet) *string {
	names := slices.Concat(kernelNames(), labKernelNames())
	return f.String("kernel", defaultKernel, "kernel `NAME`, one of "+strings.Join(names, ", "))
}

// kernelNames lists the kernels, the oldest first.
func kernelNames() []string {
	return slices.SortedFunc(maps.Keys(kernelSources), func(a, b string) int {
		return cmp.Compare(versionNumber(a), versionNumber(b))
	})
}

// versionNumber orders names such as 5.10 and 6.1.
func versionNumber(name string) int {
	var major, minor int
	fmt.Sscanf(name, "%d.%d", &major, &minor)
	return major<<16 | minor
}

// A kernel is one that is in the cache, ready to build against and to boot.
type kernel struct {
	Name    string
	Release string // as uname -r says it
	Root    string // the packages, unpacked
	Vmlinuz string
	Modules string     // .../lib/modules/Release
	Headers string     // the directory to give to make -C
	Lab     *labKernel // nil for Debian's own
	source  kernelSource
}

// fetchKernel returns a kernel of the table above or of the lab's, downloading or building it first
// if need be. It stays at the version that the cache holds: what passed yesterday is tested against
// the same kernel today.
func fetchKernel(name string) (*kernel, error) {
	if _, ok := labKernels[name]; ok {
		return fetchLabKernel(name)
	}
	src, ok := kernelSources[name]
	if !ok {
		return nil, fmt.Errorf("no kernel %q; there are %s", name,
			strings.Join(slices.Concat(kernelNames(), labKernelNames()), ", "))
	}
	root, err := cached("kernel/"+name, func(tmp, final string) error {
		return unpackKernel(name, src, tmp, final)
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
	// Newer images are empty packages that depend on their parts.
	partPackage = regexp.MustCompile(`^linux-(base|binary|modules)-\d`)
)

// isVersion says whether an image's package is of the kernel version name.
func isVersion(pkg, name string) bool {
	version := strings.TrimPrefix(pkg, "linux-image-")
	rest, ok := strings.CutPrefix(version, name)
	return ok && rest != "" && strings.ContainsAny(rest[:1], ".-+")
}

func unpackKernel(name string, src kernelSource, tmp, final string) error {
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
	if !isVersion(image[0], name) { // suites move on
		return missingError{fmt.Errorf("suite %s of Debian has %s and no kernel %s", src.suite, image[0], name)}
	}
	parts, err := apt.depends(image[0], partPackage)
	if err != nil {
		return err
	}
	build, err := apt.depends(headers[0], buildPackage)
	if err != nil {
		return err
	}
	debs, err := apt.download(slices.Concat(image, parts, headers, build)...)
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := command("", "dpkg", "-x", deb, tmp); err != nil {
			return err
		}
	}
	if len(src.libs) > 0 {
		if err := addLibraries(apt, src.libs, tmp, final); err != nil {
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

// addLibraries makes the programs of the kernel's build run on libraries of their own suite, which are
// unpacked beside them: each becomes a script that starts it with the loader that belongs to these.
func addLibraries(apt *aptDir, libs []string, root, final string) error {
	debs, err := apt.download(libs...)
	if err != nil {
		return err
	}
	const dir = "libraries"
	for _, deb := range debs {
		if err := command("", "dpkg", "-x", deb, filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	lib := filepath.Join(final, dir, "usr/lib/x86_64-linux-gnu")
	tools, err := filepath.Glob(filepath.Join(root, "usr/lib/linux-kbuild-*"))
	if err != nil || len(tools) != 1 {
		return fmt.Errorf("expected one linux-kbuild, found %q: %v", tools, err)
	}
	return filepath.WalkDir(tools[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isDynamic(path) {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if err := os.Rename(path, path+".elf"); err != nil {
			return err
		}
		script := fmt.Sprintf("#!/bin/sh\nexec '%s/ld-linux-x86-64.so.2' --argv0 \"$0\" --library-path '%s' '%s.elf' \"$@\"\n",
			lib, lib, filepath.Join(final, rel))
		return os.WriteFile(path, []byte(script), 0o755)
	})
}
