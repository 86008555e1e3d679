// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// umlCommand is a machine of User-mode Linux: the kernel is a program of this machine, and its
// processes are processes of this machine, which the kernel traces. They never call this machine's
// kernel, and see none of its files.
func umlCommand(ctx context.Context, m *machine, image, disk string) (*exec.Cmd, error) {
	if m.Icount || m.Plugin != "" {
		return nil, errors.New("instructions are counted by the emulator, which User-mode Linux does without")
	}
	args := []string{
		fmt.Sprintf("mem=%dM", m.MemMiB), "initrd=" + image, "ubd0=" + disk,
		fmt.Sprintf("con0=null,fd:%d", kernelFD), "con=null", "root=/dev/ram0",
		"uml_dir=" + filepath.Dir(image), "umid=machine",
	}
	if m.Interactive {
		args = append(args, "con1=fd:0,fd:1")
	} else {
		args = append(args, fmt.Sprintf("con1=null,fd:%d", outputFD))
	}
	args = append(args, strings.Fields(m.params("tty1", "ubda"))...)
	// Not as the first process of its namespace, which nothing that it does to itself would end: it
	// aborts when it panics.
	shell := []string{"-c", `"$@"; exit $?`, "sh", m.Kernel.Vmlinuz}
	cmd := exec.CommandContext(ctx, "/bin/sh", append(shell, args...)...)
	// Its memory is a file: in memory, if there is room, or else on the disk, which is slower.
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Dir(image))
	var shm syscall.Statfs_t
	if syscall.Statfs("/dev/shm", &shm) == nil && shm.Bavail*uint64(shm.Bsize) > uint64(m.MemMiB)<<20 {
		cmd.Env = append(os.Environ(), "TMPDIR=/dev/shm")
	}
	// Its processes end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	return cmd, nil
}
