// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// cmdTest runs the guest tests on one kernel. It writes their results, in the formats that
// internal/check/tally reads, to a directory, and succeeds if it could: that tests failed is for
// the tally to say.
func cmdTest(args []string) error {
	f := newFlags("test", "")
	var m machineOptions
	m.flags(f)
	results := f.String("results", "", "`DIR` for the results")
	pattern := f.String("run", "", "run only the sections (Go packages, test programs, shell files) that match `REGEXP`")
	tests := f.String("tests", "", "of the test programs run only the tests whose names contain one of these `WORDS`")
	// An emulated machine keeps one CPU of this one busy.
	machines := f.Int("machines", min(2, runtime.NumCPU()), "`NUMBER` of machines among which the tests are divided")
	f.Lookup("timeout").DefValue = "15m"
	m.timeout = 15 * time.Minute
	f.Parse(args)
	if *results == "" {
		return errors.New("-results DIR is missing")
	}
	scratch, err := os.MkdirTemp("", "mytun-scratch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	examples, err := examplePrograms()
	if err != nil {
		return err
	}
	m.goDirs = append(m.goDirs, examples...)
	// Its fuzzer wants to be guided.
	_, lab := labKernels[*m.kernel]
	m.build.reach = m.build.reach || lab
	spec, err := m.spec(scratch)
	if err != nil {
		return err
	}
	for _, p := range makePrograms {
		step("building %s", filepath.Join(p.dir, p.target))
		if err := command("", "make", "-s", "-C", p.dir, p.target); err != nil {
			return err
		}
		spec.Files = append(spec.Files, guestFile{Src: filepath.Join(p.dir, p.product), Dst: p.dst})
	}
	for _, p := range laterPrograms {
		file, err := p.fetch()
		var missing missingError
		if errors.As(err, &missing) {
			if err := reportMissing(*results, p.suite+"-"+p.pkg, err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		spec.Files = append(spec.Files, file)
	}
	bin := filepath.Join(scratch, "test")
	if err := buildTests(bin, spec.Kernel.Lab != nil); err != nil {
		return err
	}
	spec.Files = append(spec.Files, guestFile{Src: bin, Dst: "/test"})
	errs := make(chan error)
	for i := range *machines {
		spec := *spec
		spec.Command = []string{"env", "RUN=" + *pattern, "TESTS=" + *tests,
			fmt.Sprintf("MACHINE=%d", i), fmt.Sprintf("MACHINES=%d", *machines), "/guest/run-tests"}
		go func() { errs <- testMachine(&spec, *results, "guest-"+*m.kernel, fmt.Sprintf("machine%d", i+1)) }()
	}
	for range *machines {
		err = errors.Join(err, <-errs)
	}
	return err
}

// reportMissing writes to the directory results that a thing which tests use cannot be had any more.
func reportMissing(results, thing string, why error) error {
	first, _, _ := strings.Cut(why.Error(), "\n")
	line := fmt.Sprintf("missing %s: %s\n", thing, first)
	return os.WriteFile(filepath.Join(results, "missing-"+thing+".lines"), []byte(line), 0o644)
}

// testMachine boots a machine that runs the tests and writes what came of it to the directory
// results, all names beginning with suite. Its logs are in the directory suite-name.
func testMachine(spec *machine, results, suite, name string) error {
	progress := &progress{suite: suite}
	spec.Output = progress
	logs := filepath.Join(results, suite+"-"+name)
	res, bootErr := boot(spec, logs)
	progress.end()
	if bootErr == nil && res.Status != 0 {
		bootErr = machineFailure(res.Status)
	}
	verdict := "ok " + name + " runs to its end, kernel log clean\n"
	if bootErr != nil {
		first, rest, _ := strings.Cut(bootErr.Error(), "\n")
		verdict = fmt.Sprintf("not ok %s: %s\n%s", name, first, commented(rest))
	}
	if err := os.WriteFile(filepath.Join(results, suite+"-"+name+".lines"), []byte(verdict), 0o644); err != nil {
		return err
	}
	sections, err := readSections(filepath.Join(logs, outputLogName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the machine was never started, which the verdict says
	}
	for _, s := range sections {
		err = errors.Join(err, s.writeResults(filepath.Join(results, suite+"-"+strings.ReplaceAll(s.name, "/", "-"))))
	}
	return err
}

// machineFailure explains a status other than 0 of a machine that runs the tests. Failed tests are
// no reason for one.
func machineFailure(status int) error {
	why := map[int]string{
		120: "the module does not load",
		121: "the module cannot be unloaded when all programs are gone",
		124: "the tests were not done at the time limit, and the rest of them was not run",
	}[status]
	if why == "" {
		why = "run-tests broke off"
	}
	return fmt.Errorf("%s (status %d)", why, status)
}

// makePrograms are the C programs that have a Makefile of their own. What is in /test/bin is run as
// a test, what is in /bin is for the tests to run.
var makePrograms = []struct{ dir, target, product, dst string }{
	{"example/simpletun-c", "simpletun", "simpletun", "/bin/simpletun"},
	{"csrc", "module-test", "build/module-test", "/test/bin/csrc"},
}

// examplePrograms lists the Go programs below example/: the tests run them as a user would.
func examplePrograms() ([]string, error) {
	files, err := filepath.Glob("example/*/main.go")
	for i, file := range files {
		files[i] = filepath.Dir(file)
	}
	return files, err
}

// buildTests builds, below dir as the guest has them below /test, the tests that are for a guest; lab
// ones too, which are for a kernel that watches itself.
func buildTests(dir string, lab bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := buildGoTests(filepath.Join(dir, "go")); err != nil {
		return err
	}
	if err := buildSelftest(filepath.Join(dir, "selftest")); err != nil {
		return err
	}
	parents := []string{guestDir}
	if lab {
		parents = append(parents, labDir)
		if err := copyCorpora(filepath.Join(dir, "corpus")); err != nil {
			return err
		}
	}
	return buildCTests(filepath.Join(dir, "bin"), parents)
}

// buildGoTests builds the tests of each Go package, of whichever module, whose test files ask for
// MYTUN_GUEST, which is set in a guest only.
func buildGoTests(dir string) error {
	files, err := output("", "git", "grep", "-l", "--untracked", "-e", "MYTUN_GUEST", "--", "*_test.go")
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) { // 1: no such file
		return err
	}
	done := map[string]bool{}
	for file := range strings.FieldsSeq(files) {
		pkg := filepath.Dir(file)
		if done[pkg] {
			continue
		}
		done[pkg] = true
		name := pkg
		if pkg == "." {
			name = moduleName
		}
		dst := filepath.Join(dir, name)
		step("building the tests of %s", name)
		if err := command(pkg, "go", "test", "-c", "-o", filepath.Join(dst, filepath.Base(name)+".test"), "."); err != nil {
			return err
		}
		if data := filepath.Join(pkg, "testdata"); isDir(data) {
			if err := os.CopyFS(filepath.Join(dst, "testdata"), os.DirFS(data)); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	// testLibrary is what the C tests share; it is no program of its own.
	testLibrary = guestDir + "/testlib"
	// labDir has the C tests for kernels that watch themselves.
	labDir = "internal/lab"
)

// buildCTests builds one program, which reports as the shell tests do, of the C files in each
// directory below parents. Of the project they know the module's header alone.
func buildCTests(dir string, parents []string) error {
	sources := map[string][]string{}
	for _, parent := range parents {
		files, err := filepath.Glob(filepath.Join(parent, "*", "*.c"))
		if err != nil {
			return err
		}
		for _, file := range files {
			name := filepath.Dir(file)
			sources[name] = append(sources[name], file)
		}
	}
	shared := sources[testLibrary]
	delete(sources, testLibrary)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, files := range sources {
		step("building the tests in %s", name)
		args := []string{"-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-Ikmod/uapi", "-I" + testLibrary,
			"-o", filepath.Join(dir, filepath.Base(name))}
		if err := command("", "gcc", slices.Concat(args, files, shared)...); err != nil {
			return err
		}
	}
	return nil
}

// copyCorpora copies what the lab's fuzzers begin with, each to a directory of the fuzzer's name.
func copyCorpora(dir string) error {
	corpora, err := filepath.Glob(filepath.Join(labDir, "*", "corpus"))
	for _, corpus := range corpora {
		name := filepath.Base(filepath.Dir(corpus))
		err = errors.Join(err, os.CopyFS(filepath.Join(dir, name), os.DirFS(corpus)))
	}
	return err
}

func commented(text string) string {
	if text == "" {
		return ""
	}
	return "# " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n# ") + "\n"
}
