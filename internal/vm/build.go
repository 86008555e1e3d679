// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

const moduleName = "mytun"

type buildOptions struct {
	dir     string
	sparse  bool
	strict  bool
	gcov    bool
	reach   bool
	objects string
}

func (o *buildOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.dir, "kmod", "kmod", "`DIR` of the module's source")
	f.BoolVar(&o.gcov, "gcov", false, "count how often each line of the module runs; for kernels with CONFIG_GCOV_KERNEL")
	f.BoolVar(&o.reach, "reach", false, "let the module tell which parts of its code were reached, for the fuzzer")
	f.StringVar(&o.objects, "objects", "", "`DIR` in which what is compiled stays: the next source, of the same kernel, is compiled as far as it differs")
}

// buildModule builds the module for a kernel, in a copy of its source in the cache, and returns
// the path of the .ko. The same source is built once for each kernel.
func buildModule(k *kernel, o buildOptions) (string, error) {
	sources, err := moduleSources(o.dir)
	if err != nil {
		return "", err
	}
	args := []string{"CC=gcc-12", "CONFIG_DEBUG_INFO_BTF_MODULES=", "W=1"}
	args = append(args, k.source.makeArgs...)
	if o.sparse {
		args = append(args, "C=2")
	}
	var instruments []string
	if o.gcov {
		instruments = append(instruments, "gcov")
	}
	if o.reach {
		instruments = append(instruments, "reach")
	}
	if instruments != nil {
		args = append(args, "MYTUN_INSTRUMENT="+strings.Join(instruments, " "))
	}
	key, err := hashFiles(o.dir, sources, k.Root, k.Release, strings.Join(args, " "))
	if err != nil {
		return "", err
	}
	dir, err := cached("ko/"+key, func(tmp, _ string) error {
		step("building the module for %s", k.Release)
		return compile(k, o, sources, tmp, args)
	})
	if err != nil {
		return "", err
	}
	if err := showWarnings(filepath.Join(dir, "build.log"), o.strict || o.sparse); err != nil {
		return "", err
	}
	return filepath.Join(dir, moduleName+".ko"), nil
}

// moduleSources lists the files that a build reads, leaving out what one in the tree leaves behind.
func moduleSources(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if strings.HasPrefix(name, ".") && path != dir {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(name) {
		case ".c", ".h", ".S":
			if !strings.HasSuffix(name, ".mod.c") {
				break
			}
			return nil
		default:
			if name != "Kbuild" && name != "Makefile" && !strings.HasSuffix(name, ".Kbuild") {
				return nil
			}
		}
		rel, err := filepath.Rel(dir, path)
		files = append(files, rel)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the module's source: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no source of a module in %s", dir)
	}
	return files, nil
}

func hashFiles(dir string, files []string, salt ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", salt)
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %d\n", name, len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// compile leaves the .ko and build.log in dst, and in its notes what gcov wants to know of a module
// that counts its lines.
func compile(k *kernel, o buildOptions, sources []string, dst string, args []string) error {
	src, scratch := o.dir, filepath.Join(dst, "kmod")
	if o.objects != "" {
		var err error
		if scratch, err = filepath.Abs(o.objects); err != nil {
			return err
		}
	}
	for _, name := range sources {
		if err := copyChanged(filepath.Join(src, name), filepath.Join(scratch, name)); err != nil {
			return err
		}
	}
	make := append([]string{"-C", k.Headers, "M=" + scratch, fmt.Sprintf("-j%d", runtime.NumCPU())}, args...)
	cmd := exec.CommandContext(interrupted, "make", append(make, "modules")...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=", "LC_ALL=C") // not those of a make that started us
	log, err := cmd.CombinedOutput()
	// Names of files as the reader knows them.
	text := strings.ReplaceAll(string(log), scratch+"/", filepath.Clean(src)+"/")
	if err != nil {
		return fmt.Errorf("the module does not build for %s: %w\n%s", k.Release, err, lastLines(text, 60))
	}
	if err := os.WriteFile(filepath.Join(dst, "build.log"), []byte(text), 0o644); err != nil {
		return err
	}
	ko := filepath.Join(scratch, moduleName+".ko")
	if err := copyFile(ko, filepath.Join(dst, moduleName+".ko")); err != nil {
		return fmt.Errorf("the build for %s made no %s.ko: %w", k.Release, moduleName, err)
	}
	notes, err := filepath.Glob(filepath.Join(scratch, "*.gcno"))
	if err != nil {
		return err
	}
	for _, note := range notes {
		if err := copyFile(note, filepath.Join(dst, notesDir, filepath.Base(note))); err != nil {
			return err
		}
	}
	if o.objects != "" {
		return nil
	}
	return os.RemoveAll(scratch)
}

// notesDir is beside the .ko in the cache, and gcovDir in the guest's /out. The guest puts the counts
// there too, so that what comes back is all that gcov reads.
const (
	notesDir = "notes"
	gcovDir  = "/out/gcov"
)

var compilerWarning = regexp.MustCompile(`(?m)^(\S+:\d+(:\d+)?: (warning|error): .*|WARNING: .*)$`)

// showWarnings prints the warnings that a build log has, again each time, since a cached build
// would otherwise hide them.
func showWarnings(log string, fatal bool) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	found := compilerWarning.FindAllString(string(text), -1)
	if len(found) == 0 {
		return nil
	}
	if fatal {
		return fmt.Errorf("%d warnings:\n%s", len(found), lastLines(string(text), 100))
	}
	fmt.Fprintln(os.Stderr, lastLines(strings.Join(found, "\n"), 50))
	return nil
}

// copyChanged is copyFile, and leaves alone, with its time, what is the same already.
func copyChanged(src, dst string) error {
	was, err := os.ReadFile(dst)
	if err == nil {
		is, err := os.ReadFile(src)
		if err == nil && bytes.Equal(is, was) {
			return nil
		}
	}
	return copyFile(src, dst)
}

func copyFile(src, dst string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
