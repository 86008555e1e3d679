// SPDX-License-Identifier: MIT

// Command vm runs the project in virtual machines. It fetches Debian kernels, builds the module
// for them, packs initramfs images, boots them under QEMU's software emulation (no hardware
// support is needed, and no module is ever loaded into the host) and brings back what the guest
// printed, wrote and logged.
//
// It is the only place that does any of this. What runs inside of the machines is in internal/guest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: go run ./internal/vm COMMAND [FLAGS]

  deps            install the Debian packages that the other commands need, if any is missing
  kernels         print the names of the kernels that there are (-lab: those with sanitizers)
  fetch           download, or build, a kernel and its headers into the cache; prints where they are
  build           build the module for a kernel; prints the path of the .ko
  run -- CMD...   boot a machine, run CMD in it, exit with its status
  shell           an interactive machine on this terminal; "exit" ends it
  test            run the guest tests on a kernel
  checkpatch      download the kernel's checkpatch; prints its path
  distclean       remove all that the cache holds

"COMMAND -h" lists the flags. The cache is $MYTUN_CACHE, else ~/.cache/mytun. The exit status is 3
where Debian's mirror does not have, or no longer has, what a command needs.
`

func main() {
	commands := map[string]func([]string) error{
		"deps":       cmdDeps,
		"kernels":    cmdKernels,
		"fetch":      cmdFetch,
		"build":      cmdBuild,
		"run":        cmdRun,
		"shell":      cmdShell,
		"test":       cmdTest,
		"checkpatch": cmdCheckpatch,
		"distclean":  cmdDistclean,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	err := commands[os.Args[1]](os.Args[2:])
	var status exitStatus
	var missing missingError
	switch {
	case errors.As(err, &status):
		os.Exit(int(status))
	case errors.As(err, &missing):
		fmt.Fprintf(os.Stderr, "vm %s: missing: %v\n", os.Args[1], err)
		os.Exit(statusMissing)
	case err != nil:
		fmt.Fprintf(os.Stderr, "vm %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// statusMissing is the exit status where a mirror does not have what is needed.
const statusMissing = 3

// exitStatus is the failure of the guest's own command: there is nothing to add to what it
// printed, and the caller wants its number.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// interrupted ends when somebody wants this process to end: what runs is stopped, and what would be
// left behind is removed on the way out.
var interrupted, _ = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)

// step says on the terminal that something slow begins.
func step(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "vm: "+format+"\n", args...)
}

func newFlags(name, args string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ExitOnError)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: go run ./internal/vm %s [FLAGS] %s\n", name, args)
		f.PrintDefaults()
	}
	return f
}

func cmdDeps(args []string) error {
	f := newFlags("deps", "")
	model := f.Bool("model", false, "what checking the models of doc/model needs, instead")
	fuzz := f.Bool("fuzz", false, "what fuzzing the C library needs, instead")
	f.Parse(args)
	switch {
	case *model:
		return installMissing(modelTools)
	case *fuzz:
		return installMissing(fuzzTools)
	}
	return installMissing(hostTools)
}

func cmdKernels(args []string) error {
	f := newFlags("kernels", "")
	lab := f.Bool("lab", false, "those of the lab instead, which are built here, with what each watches")
	f.Parse(args)
	if !*lab {
		fmt.Println(strings.Join(kernelNames(), "\n"))
		return nil
	}
	for _, name := range labKernelNames() {
		fmt.Printf("%s\t%s\n", name, labKernels[name].watches)
	}
	return nil
}

func cmdFetch(args []string) error {
	f := newFlags("fetch", "")
	name := kernelFlag(f)
	f.Parse(args)
	k, err := fetchKernel(*name)
	if err != nil {
		return err
	}
	fmt.Printf("release=%s\nvmlinuz=%s\nheaders=%s\nroot=%s\n", k.Release, k.Vmlinuz, k.Headers, k.Root)
	return nil
}

func cmdCheckpatch(args []string) error {
	newFlags("checkpatch", "").Parse(args)
	path, err := fetchSource(checkpatchFile)
	if err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

func cmdDistclean(args []string) error {
	newFlags("distclean", "").Parse(args)
	return removeCache()
}

func cmdBuild(args []string) error {
	f := newFlags("build", "")
	name := kernelFlag(f)
	var o buildOptions
	o.flags(f)
	f.BoolVar(&o.sparse, "sparse", false, "run sparse over the module; its warnings are errors")
	f.BoolVar(&o.strict, "strict", false, "the compiler's warnings (W=1) are errors")
	f.Parse(args)
	k, err := fetchKernel(*name)
	if err != nil {
		return err
	}
	ko, err := buildModule(k, o)
	if err != nil {
		return err
	}
	fmt.Println(ko)
	return nil
}

func cmdRun(args []string) error {
	f := newFlags("run", "-- COMMAND [ARG...]")
	var m machineOptions
	m.flags(f)
	out := f.String("out", "", "`DIR` for the guest's /out, kernel.log and output.log (kept only on failure if empty)")
	quiet := f.Bool("q", false, "do not copy what the guest's command prints to this terminal")
	f.Parse(args)
	if f.NArg() == 0 {
		f.Usage()
		return exitStatus(2)
	}
	scratch, err := os.MkdirTemp("", "mytun-scratch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	spec, err := m.spec(scratch)
	if err != nil {
		return err
	}
	spec.Command = f.Args()
	if !*quiet {
		spec.Output = os.Stdout
	}
	dir, keep := *out, true
	if dir == "" {
		keep = false
		if dir, err = os.MkdirTemp("", "mytun-run-"); err != nil {
			return err
		}
	}
	res, err := boot(spec, dir)
	if err != nil {
		return fmt.Errorf("%w\nlogs: %s", err, dir)
	}
	if !keep {
		os.RemoveAll(dir)
	}
	if res.Status != 0 {
		return exitStatus(res.Status)
	}
	return nil
}

func cmdShell(args []string) error {
	f := newFlags("shell", "")
	var m machineOptions
	m.flags(f)
	f.Parse(args)
	m.timeout = 24 * time.Hour
	scratch, err := os.MkdirTemp("", "mytun-scratch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	spec, err := m.spec(scratch)
	if err != nil {
		return err
	}
	spec.Interactive = true
	spec.Command = shellCommand()
	dir, err := os.MkdirTemp("", "mytun-shell-")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "vm: kernel log: %s; \"exit\" ends the machine\n", filepath.Join(dir, kernelLogName))
	if _, err = boot(spec, dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

const defaultMemMiB = 1024

// machineOptions are the flags that run, shell and test share.
type machineOptions struct {
	kernel  *string
	build   buildOptions
	noKmod  bool
	files   fileList
	goDirs  stringList
	timeout time.Duration
	icount  bool
	threads bool
	mem     int
	smp     int
	params  string
	plugin  string
	verbose bool
}

func (m *machineOptions) flags(f *flag.FlagSet) {
	m.kernel = kernelFlag(f)
	m.build.flags(f)
	f.BoolVar(&m.noKmod, "nokmod", false, "boot without the module")
	f.Var(&m.files, "file", "`SRC[:DST]` put into the guest (repeatable; directories too; DST defaults to /bin/NAME)")
	f.Var(&m.goDirs, "go", "`DIR` of a Go program to build and put into the guest as /bin/DIR's name (repeatable)")
	f.DurationVar(&m.timeout, "timeout", 2*time.Minute, "time limit of the command; the machine gets a minute more")
	f.BoolVar(&m.icount, "icount", false, "one CPU, guest time counts guest instructions (benchmarks)")
	f.BoolVar(&m.threads, "threads", false, "each CPU has a thread of its own; some kernels do not always boot so")
	f.IntVar(&m.mem, "mem", 0, "memory in `MiB` (0: what the kernel needs, 1024 for most)")
	f.IntVar(&m.smp, "smp", 2, "number of CPUs")
	f.StringVar(&m.params, "append", "", "further kernel parameters")
	f.StringVar(&m.plugin, "plugin", "", "`FILE[,NAME=VALUE...]` of a plugin that QEMU's emulator loads")
	f.BoolVar(&m.verbose, "v", false, "copy the kernel log to this terminal")
}

// spec makes ready what the machine needs; scratch is a directory that lasts as long as it.
func (m *machineOptions) spec(scratch string) (*machine, error) {
	k, err := fetchKernel(*m.kernel)
	if err != nil {
		return nil, err
	}
	spec := &machine{
		Kernel: k, Files: m.files, Timeout: m.timeout, Icount: m.icount, Threads: m.threads,
		MemMiB: m.mem, CPUs: m.smp, Params: m.params, Plugin: m.plugin,
		KernelLog: io.Discard,
	}
	if spec.MemMiB == 0 {
		spec.MemMiB = defaultMemMiB
		if k.Lab != nil {
			spec.MemMiB = k.Lab.memMiB
		}
	}
	if k.Lab != nil {
		spec.Params = strings.TrimSpace(k.Lab.params + " " + spec.Params)
	}
	if m.verbose {
		spec.KernelLog = os.Stderr
	}
	if !m.noKmod {
		ko, err := buildModule(k, m.build)
		if err != nil {
			return nil, err
		}
		spec.Files = append(spec.Files, guestFile{Src: ko, Dst: "/" + moduleName + ".ko"})
		if m.build.gcov {
			notes := filepath.Join(filepath.Dir(ko), notesDir)
			if !isDir(notes) {
				return nil, fmt.Errorf("kernel %s has no CONFIG_GCOV_KERNEL", k.Name)
			}
			spec.Files = append(spec.Files, guestFile{Src: notes, Dst: gcovDir})
		}
	}
	for _, dir := range m.goDirs {
		f, err := buildProgram(dir, scratch)
		if err != nil {
			return nil, err
		}
		spec.Files = append(spec.Files, f)
	}
	return spec, nil
}
