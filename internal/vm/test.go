// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	tests := f.String("tests", "", "of the test programs run only the tests whose names contain one of these `WORDS`, or begin with one that has ^ before it")
	suite := f.String("suite", "", "`NAME` of the results, if not guest-KERNEL")
	// An emulated machine keeps one CPU of this one busy.
	machines := f.Int("machines", min(2, runtime.NumCPU()), "`NUMBER` of machines among which the tests are divided")
	f.Lookup("timeout").DefValue = "15m"
	m.timeout = 15 * time.Minute
	f.Parse(args)
	if *results == "" {
		return errors.New("-results DIR is missing")
	}
	run, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	shell, err := shellTests()
	if err != nil {
		return err
	}
	// What is not going to run need not be built, and only the shell tests run other programs.
	wanted := run.MatchString
	programs := slices.ContainsFunc(shell, wanted)
	scratch, err := os.MkdirTemp("", "mytun-scratch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if *suite == "" {
		*suite = "guest-" + *m.kernel
	}
	if programs {
		examples, err := examplePrograms()
		if err != nil {
			return err
		}
		m.goDirs = append(m.goDirs, examples...)
	}
	// Its fuzzer wants to be guided; and runs of which the coverage is added up must be of one build.
	_, lab := labKernels[*m.kernel]
	m.build.reach = m.build.reach || lab && (wanted("abifuzz") || m.build.gcov)
	spec, err := m.spec(scratch)
	if err != nil {
		return err
	}
	for _, p := range makePrograms {
		if !programs && !wanted(filepath.Base(p.dst)) {
			continue
		}
		step("building %s", filepath.Join(p.dir, p.target))
		if err := command("", "make", "-s", "-C", p.dir, p.target); err != nil {
			return err
		}
		spec.Files = append(spec.Files, guestFile{Src: filepath.Join(p.dir, p.product), Dst: p.dst})
	}
	for _, p := range laterPrograms {
		if !programs {
			break
		}
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
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := buildGoTests(filepath.Join(bin, "go"), wanted); err != nil {
		return err
	}
	if programs {
		if err := buildSelftest(filepath.Join(bin, "selftest")); err != nil {
			return err
		}
	}
	parents := []string{guestDir}
	if lab {
		parents = append(parents, labDir)
		if err := copyCorpora(filepath.Join(bin, "corpus")); err != nil {
			return err
		}
	}
	cTests, err := buildCTests(parents, wanted)
	if err != nil {
		return err
	}
	spec.Files = append(spec.Files, guestFile{Src: bin, Dst: "/test"})
	spec.Files = append(spec.Files, cTests...)
	type outcome struct {
		ran []string
		err error
	}
	outcomes := make(chan outcome)
	for i := range *machines {
		logs := filepath.Join(*results, *suite+fmt.Sprintf("-machine%d", i+1))
		if _, err := os.Stat(logs); err == nil {
			return fmt.Errorf("%s is there already: another run's results, which -suite would keep apart", logs)
		}
	}
	for i := range *machines {
		spec := *spec
		spec.Command = []string{"env", "RUN=" + *pattern, "TESTS=" + *tests,
			fmt.Sprintf("MACHINE=%d", i), fmt.Sprintf("MACHINES=%d", *machines)}
		for _, name := range testSettings {
			if value := os.Getenv(name); value != "" {
				spec.Command = append(spec.Command, name+"="+value)
			}
		}
		spec.Command = append(spec.Command, "/guest/run-tests")
		go func() {
			ran, err := testMachine(&spec, *results, *suite, fmt.Sprintf("machine%d", i+1))
			outcomes <- outcome{ran, err}
		}()
	}
	var ran []string
	for range *machines {
		o := <-outcomes
		err = errors.Join(err, o.err)
		ran = append(ran, o.ran...)
	}
	never := neverRan(*pattern, ran)
	if err == nil {
		var names []string
		names, err = testNames(*results, *suite)
		never = append(never, neverMatched(strings.Fields(*tests), names)...)
	}
	if len(never) > 0 && err == nil {
		line := fmt.Sprintf("not ok sections: %s never ran\n", strings.Join(never, ", "))
		err = os.WriteFile(filepath.Join(*results, *suite+"-sections.lines"), []byte(line), 0o644)
	}
	return err
}

// testSettings are the environment variables by which test programs are told to do more, or to repeat
// what they did: the head of each program says which.
var testSettings = []string{"LAB_SECONDS", "LOAD_PACKETS", "SEED", "LAB_SEED", "ROUNDS"}

// reportMissing writes to the directory results that a thing which tests use cannot be had any more.
func reportMissing(results, thing string, why error) error {
	first, _, _ := strings.Cut(why.Error(), "\n")
	line := fmt.Sprintf("missing %s: %s\n", thing, first)
	return os.WriteFile(filepath.Join(results, "missing-"+thing+".lines"), []byte(line), 0o644)
}

// testMachine boots a machine that runs the tests and writes what came of it to the directory
// results, all names beginning with suite, and returns the names of the sections that it ran. Its logs are in
// the directory suite-name.
func testMachine(spec *machine, results, suite, name string) ([]string, error) {
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
		return nil, err
	}
	sections, err := readSections(filepath.Join(logs, outputLogName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the machine was never started, which the verdict says
	}
	var ran []string
	for _, s := range sections {
		ran = append(ran, s.name)
		err = errors.Join(err, s.writeResults(filepath.Join(results, suite+"-"+strings.ReplaceAll(s.name, "/", "-"))))
	}
	return ran, err
}

// neverRan returns those of the names that pattern lists, as "^(a|b)$", that no section has: misspelt, or of
// tests that are there no more. Another pattern, which lists nothing, is one itself when there is no section at all.
func neverRan(pattern string, ran []string) []string {
	list, ok := strings.CutPrefix(pattern, "^(")
	list, closed := strings.CutSuffix(list, ")$")
	if !ok || !closed {
		if len(ran) == 0 {
			return []string{pattern}
		}
		return nil
	}
	return slices.DeleteFunc(strings.Split(list, "|"), func(name string) bool { return slices.Contains(ran, name) })
}

var testName = regexp.MustCompile(`(?m)^(?:ok|not ok|skip) ([^\s:]+)`)

// testNames returns the names of all test programs' tests of a suite that ran.
func testNames(results, suite string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(results, suite+"-*.lines"))
	var names []string
	for _, file := range files {
		text, readErr := os.ReadFile(file)
		err = errors.Join(err, readErr)
		for _, m := range testName.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names, err
}

// neverMatched returns those of the words, as -tests has them, that are in no test's name. Options of the test programs,
// which may stand among them, are none.
func neverMatched(words, names []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool {
		if strings.HasPrefix(word, "-") {
			return true
		}
		beginning, begins := strings.CutPrefix(word, "^")
		return slices.ContainsFunc(names, func(name string) bool {
			return begins && strings.HasPrefix(name, beginning) || !begins && strings.Contains(name, word)
		})
	})
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

// buildGoTests builds the tests of each Go package, of whichever module, whose test files ask for
// MYTUN_GUEST, which is set in a guest only, if it is wanted.
func buildGoTests(dir string, wanted func(name string) bool) error {
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
		if !wanted(name) {
			continue
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
// directory below parents whose name is wanted. Of the project they know the module's header alone. The
// same source is built once.
func buildCTests(parents []string, wanted func(name string) bool) ([]guestFile, error) {
	var programs []guestFile
	for _, parent := range parents {
		dirs, err := filepath.Glob(filepath.Join(parent, "*"))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			sources, err := filepath.Glob(filepath.Join(dir, "*.c"))
			if err != nil {
				return nil, err
			}
			name := filepath.Base(dir)
			if sources == nil || dir == testLibrary || !wanted(name) {
				continue
			}
			program, err := buildCTest(dir)
			if err != nil {
				return nil, err
			}
			programs = append(programs, guestFile{Src: program, Dst: "/test/bin/" + name})
		}
	}
	return programs, nil
}

func buildCTest(dir string) (string, error) {
	var read []string
	for _, glob := range []string{dir + "/*.[ch]", testLibrary + "/*.[ch]", "kmod/uapi/*.h"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			return "", err
		}
		read = append(read, files...)
	}
	args := []string{"-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-Ikmod/uapi", "-I" + testLibrary}
	key, err := hashFiles(".", read, args...)
	if err != nil {
		return "", err
	}
	for _, file := range read {
		if filepath.Ext(file) == ".c" {
			args = append(args, file)
		}
	}
	name := filepath.Base(dir)
	built, err := cached(filepath.Join("program", name+"-"+key), func(tmp, _ string) error {
		step("building the tests in %s", dir)
		return command("", "gcc", append(args, "-o", filepath.Join(tmp, name))...)
	})
	return filepath.Join(built, name), err
}

// shellTests lists the names of those in internal/guest/tests.
func shellTests() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(guestDir, "tests", "*.sh"))
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".sh")
	}
	return files, err
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
