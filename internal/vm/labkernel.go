// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A labKernel is a kernel that watches itself: with sanitizers, lock debugging and the like, which no
// distribution has. It is built from the source of Debian's kernel 6.1.
type labKernel struct {
	arch    string   // make's ARCH
	configs []string // files in config/
	image   string   // what boots, in the built tree
	uml     bool     // it is a program, and needs no emulator
	memMiB  int      // what it needs
	// How many times its time limit a test may take; on Debian's kernels, emulatedPatience.
	patience int
	params   string
	watches  string
}

var labKernels = map[string]labKernel{
	"uml": {
		arch: "um", configs: []string{"common", "um", "debug", "kasan"}, image: "linux", uml: true, memMiB: 1536, patience: 2,
		// Where all sleep, the clock goes on to what comes next: tests that wait do not.
		params:  "kasan_multi_shot page_poison=1 slub_debug=PZ time-travel",
		watches: "memory, leaks, undefined behaviour; one CPU, at the speed of this machine",
	},
	"kasan": {
		arch: "x86", configs: []string{"common", "x86", "debug", "lockdep", "kasan", "kasan-x86"}, image: "arch/x86/boot/bzImage", memMiB: 3072, patience: 8,
		params:  "kasan_multi_shot page_poison=1 slub_debug=PZ",
		watches: "the same on several CPUs, locks, and sleep in atomic context; emulated, slow",
	},
	"kcsan": {
		arch: "x86", configs: []string{"common", "x86", "debug", "lockdep", "kcsan"}, image: "arch/x86/boot/bzImage", memMiB: 2048, patience: 8,
		watches: "data races, and locks; emulated, slow",
	},
}

func labKernelNames() []string { return slices.Sorted(maps.Keys(labKernels)) }

//go:embed config/*.config
var kernelConfigs embed.FS

// kernelTools are what building a kernel needs on this machine.
var kernelTools = []tool{
	{"/usr/bin/bc", "bc"},
	{"/usr/bin/bison", "bison"},
	{"/usr/bin/flex", "flex"},
	{"/usr/include/gelf.h", "libelf-dev"},
	{"/usr/bin/xz", "xz-utils"},
	{"/usr/bin/gcc-12", "gcc-12"},
}

// labRecipe changes when buildLabKernel does, so that no old kernel is used.
const labRecipe = 1

func fetchLabKernel(name string) (*kernel, error) {
	lab := labKernels[name]
	if err := installMissing(kernelTools); err != nil {
		return nil, err
	}
	config, err := lab.config()
	if err != nil {
		return nil, err
	}
	deb, err := sourceDeb()
	if err != nil {
		return nil, err
	}
	compiler, err := output("", "gcc-12", "-dumpfullversion")
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(fmt.Append(nil, labRecipe, lab.arch, lab.image, filepath.Base(deb), compiler, string(config)))
	dir, err := cached("lab/"+name+"-"+hex.EncodeToString(key[:8]), func(tmp, _ string) error {
		return buildLabKernel(name, lab, deb, config, tmp)
	})
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, err)
	}
	tree := filepath.Join(dir, "tree")
	release, err := kernelRelease(tree)
	if err != nil {
		return nil, err
	}
	return &kernel{
		Name: name, Release: release, Root: dir, Headers: tree,
		Vmlinuz: filepath.Join(dir, filepath.Base(lab.image)),
		Modules: filepath.Join(dir, "modules"),
		Lab:     &lab,
		// What the module forgets to initialise on its stack is no zero by chance.
		source: kernelSource{makeArgs: []string{"ARCH=" + lab.arch, "UBSAN_SANITIZE=y", "KCFLAGS=-ftrivial-auto-var-init=pattern"}},
	}, nil
}

// config is the kernel's configuration, as far as it is not the least that there is; in order, since
// it is part of the kernel's name in the cache.
func (l *labKernel) config() ([]byte, error) {
	var options []string
	for _, name := range l.configs {
		text, err := kernelConfigs.ReadFile("config/" + name + ".config")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") {
				options = append(options, line)
			}
		}
	}
	slices.Sort(options)
	return []byte(strings.Join(slices.Compact(options), "")), nil
}

func kernelRelease(tree string) (string, error) {
	text, err := os.ReadFile(filepath.Join(tree, "include/config/kernel.release"))
	return strings.TrimSpace(string(text)), err
}

// buildLabKernel leaves in dst the image, what the build of a module reads (tree/), and modules/, the
// indexes of a kernel that has everything built in.
func buildLabKernel(name string, lab labKernel, deb string, config []byte, dst string) error {
	tree := filepath.Join(dst, "tree")
	step("unpacking %s for kernel %s", sourcePackage, name)
	if err := unpackSourceTree(deb, tree); err != nil {
		return err
	}
	wanted := filepath.Join(dst, "wanted.config")
	if err := os.WriteFile(wanted, config, 0o644); err != nil {
		return err
	}
	args := []string{"-C", tree, "ARCH=" + lab.arch, "CC=gcc-12"}
	if err := command("", "env", append([]string{"KCONFIG_ALLCONFIG=" + wanted, "make", "allnoconfig"}, args...)...); err != nil {
		return err
	}
	if err := checkConfig(config, filepath.Join(tree, ".config")); err != nil {
		return err
	}
	if err := makeKernel(name, append(args, fmt.Sprintf("-j%d", runtime.NumCPU()))); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(tree, lab.image), filepath.Join(dst, filepath.Base(lab.image))); err != nil {
		return err
	}
	modules := filepath.Join(dst, "modules")
	for _, index := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		if err := copyFile(filepath.Join(tree, index), filepath.Join(modules, index)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(modules, "modules.dep"), nil, 0o644); err != nil {
		return err
	}
	return pruneTree(tree)
}

// checkConfig compares what a configuration has with what was wanted: an option that depends on
// another one vanishes without a word.
func checkConfig(wanted []byte, file string) error {
	got, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var lost []string
	for line := range strings.Lines(string(wanted)) {
		line = strings.TrimSpace(line)
		option, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		has := bytes.Contains(got, []byte("\n"+line+"\n"))
		if value == "n" {
			has = !bytes.Contains(got, []byte("\n"+option+"=y\n"))
		}
		if !has {
			lost = append(lost, line)
		}
	}
	if lost != nil {
		return fmt.Errorf("the kernel's source does not let its configuration have %s", strings.Join(lost, " "))
	}
	return nil
}

// makeKernel runs make and tells now and then how far it is.
func makeKernel(name string, args []string) error {
	step("building kernel %s, some 1500 files: minutes, once", name)
	begun := time.Now()
	var log bytes.Buffer
	cmd := exec.CommandContext(interrupted, "make", args...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=", "LC_ALL=C", "KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=mytun", "KBUILD_BUILD_HOST=lab")
	out := &lineCounter{name: name, log: &log, begun: begun, next: begun.Add(time.Minute)}
	cmd.Stdout, cmd.Stderr = out, out // one writer: never called by two at a time
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make: %w\n%s", err, lastLines(log.String(), 40))
	}
	step("kernel %s is built, %v", name, time.Since(begun).Round(time.Second))
	return nil
}

// A lineCounter keeps a log of make's and shows each minute how many lines it has.
type lineCounter struct {
	name        string
	log         *bytes.Buffer
	begun, next time.Time
	lines       int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte("\n"))
	if now := time.Now(); now.After(c.next) {
		step("kernel %s: %d files, %v", c.name, c.lines, now.Sub(c.begun).Round(time.Second))
		c.next = now.Add(time.Minute)
	}
	return c.log.Write(p)
}

// pruneTree removes what the build of a module does not read, nine tenths of the tree.
func pruneTree(tree string) error {
	keep := map[string][]string{
		".":     {"Makefile", "Kbuild", ".config", "Module.symvers", "include", "scripts", "arch", "tools"},
		"arch":  {"x86", "um"},
		"tools": {"objtool"},
	}
	for dir, names := range keep {
		entries, err := os.ReadDir(filepath.Join(tree, dir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if slices.Contains(names, e.Name()) {
				continue
			}
			if err := os.RemoveAll(filepath.Join(tree, dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".o", ".a", ".cmd", ".ko":
			return os.Remove(path)
		}
		return nil
	})
}

// unpackSourceTree unpacks the kernel's whole source.
func unpackSourceTree(deb, dst string) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	const script = `set -o pipefail
dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/src/$3.tar.xz" | tar -xJ -C "$2" --strip-components=1`
	return command("", "bash", "-c", script, "bash", deb, dst, sourcePackage)
}
