// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A machine is what to boot.
type machine struct {
	Kernel      *kernel
	Files       []guestFile
	Command     []string
	Interactive bool // the command talks to this terminal
	Timeout     time.Duration
	Icount      bool
	Threads     bool // of the emulator, one for each CPU
	MemMiB      int
	CPUs        int
	Params      string
	Plugin      string    // of QEMU, with its arguments; may be empty
	Output      io.Writer // what the command prints, live; may be nil
	KernelLog   io.Writer // what the kernel prints, live; may be nil
}

// A result is what a machine that ran to its end brought back.
type result struct {
	Status int    // of the command
	Out    string // copy of the guest's /out
}

// Names in the directory of a run.
const (
	kernelLogName = "kernel.log"
	outputLogName = "output.log"
)

// bootLimit is how long a machine may take to reach its init, a hundredth of it being usual.
const bootLimit = 3 * time.Minute

// grace is what a machine gets beyond its time limit, for booting and for telling what hangs.
const grace = time.Minute

// errNoInit is the failure of a machine that never got as far as our init: not the project's
// fault, and so the only one that is tried again.
var errNoInit = errors.New("the machine never reached its init")

// boot runs a machine to its end. dir receives kernel.log, output.log and out/, the guest's
// /out. An error means that the machine died, hung, or that its kernel complained; how the command
// ended is in the result.
func boot(m *machine, dir string) (*result, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	res, err := bootOnce(m, dir)
	if errors.Is(err, errNoInit) && interrupted.Err() == nil {
		fmt.Fprintf(os.Stderr, "vm: *** %v\nvm: *** TRYING ONCE MORE; the first log is kept as %s.1\n",
			err, filepath.Join(dir, kernelLogName))
		log := filepath.Join(dir, kernelLogName)
		if err := os.Rename(log, log+".1"); err != nil {
			return nil, err
		}
		res, err = bootOnce(m, dir)
	}
	return res, err
}

func bootOnce(m *machine, dir string) (*result, error) {
	tmp, err := os.MkdirTemp("", "mytun-boot-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	image, disk := filepath.Join(tmp, "image.cpio"), filepath.Join(tmp, "disk")
	if err := runImage(m, image); err != nil {
		return nil, fmt.Errorf("packing the image: %w", err)
	}
	if err := newDisk(disk); err != nil {
		return nil, err
	}

	ctx, cancel := context.WithTimeoutCause(interrupted, m.Timeout+grace,
		fmt.Errorf("the machine did not end within %v", m.Timeout+grace))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	log, err := newKernelLog(filepath.Join(dir, kernelLogName), m.KernelLog)
	if err != nil {
		return nil, err
	}
	noInit := time.AfterFunc(bootLimit, func() {
		if !log.InitReached() {
			fail(fmt.Errorf("no sign of life within %v", bootLimit))
		}
	})
	defer noInit.Stop()

	runErr := runMachine(ctx, m, image, disk, log, filepath.Join(dir, outputLogName))
	if err := log.Close(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		runErr = context.Cause(ctx)
	}
	if interrupted.Err() != nil {
		return nil, context.Cause(interrupted)
	}
	if !log.InitReached() {
		return nil, fmt.Errorf("%w: %w\n%s", errNoInit, runErr, log.End())
	}
	status, diskErr := readDisk(disk, dir)
	complaints, complaintsIn := log.Complaints(), filepath.Join(dir, kernelLogName)
	if len(complaints) == 0 && diskErr == nil {
		complaintsIn = filepath.Join(dir, "out", "dmesg")
		complaints = fileComplaints(complaintsIn)
	}
	switch {
	case len(complaints) > 0:
		return nil, fmt.Errorf("the kernel complains, in %s:\n%s", complaintsIn, quote(complaints))
	case runErr != nil:
		return nil, fmt.Errorf("%w\nend of the kernel's log:\n%s", runErr, log.End())
	case diskErr != nil:
		return nil, fmt.Errorf("the machine died: %w\nend of the kernel's log:\n%s", diskErr, log.End())
	}
	return &result{Status: status, Out: filepath.Join(dir, "out")}, nil
}

// The descriptors of the machine's program that lead to the kernel's log and to what the command
// prints: two lines, so that neither is ever mistaken for the other.
const (
	kernelFD = 3
	outputFD = 4
)

// runMachine starts the machine's program and waits for it.
func runMachine(ctx context.Context, m *machine, image, disk string, log io.Writer, outputLog string) error {
	var cmd *exec.Cmd
	var err error
	if m.Kernel.Lab != nil && m.Kernel.Lab.uml {
		cmd, err = umlCommand(ctx, m, image, disk)
	} else {
		cmd, err = qemuCommand(ctx, m, image, disk)
	}
	if err != nil {
		return err
	}
	cmd.Stderr = log
	// If this process is killed, the machine goes with it. The kernel ties that to the thread
	// that started it, hence the lock.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if m.Interactive {
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	}

	out, err := os.Create(outputLog)
	if err != nil {
		return err
	}
	defer out.Close()
	var output io.Writer = out
	if m.Output != nil {
		output = io.MultiWriter(out, m.Output)
	}
	ports := []io.Writer{log, output} // kernelFD, outputFD
	done := make(chan error, len(ports))
	for _, w := range ports {
		r, pw, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		defer pw.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, pw)
		go func() {
			_, err := io.Copy(w, r)
			done <- err
		}()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, f := range cmd.ExtraFiles {
		f.Close() // so that the copies end when the machine does
	}
	err = cmd.Wait()
	for range ports {
		err = errors.Join(err, <-done)
	}
	return err
}

// emulatedPatience is how many times its time limit a test may take in the emulator: limits are for an idle
// machine, and what hangs is found a little later.
const emulatedPatience = 3

// params are the kernel's parameters that all machines have, with the terminal and the disk as this
// machine's kernel names them. What the kernel does not know it hands to init, as its environment.
func (m *machine) params(terminal, disk string) string {
	params := fmt.Sprintf("panic=-1 oops=panic net.ifnames=0 log_buf_len=4M MYTUN_TERMINAL=%s MYTUN_DISK=%s", terminal, disk)
	patience := emulatedPatience
	if m.Kernel.Lab != nil {
		patience = m.Kernel.Lab.patience
		params += " MYTUN_LAB=" + m.Kernel.Name
	}
	params += fmt.Sprintf(" MYTUN_PATIENCE=%d", patience)
	if m.Interactive {
		params += " MYTUN_INTERACTIVE=1 " + terminalParams()
	} else if !m.Icount { // counted time is not the clock's
		params += fmt.Sprintf(" MYTUN_SECONDS=%d", int(m.Timeout.Seconds()))
	}
	return params + " " + m.Params
}
