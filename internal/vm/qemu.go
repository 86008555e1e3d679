// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
)

// qemuCommand is a machine that QEMU's software emulates.
func qemuCommand(ctx context.Context, m *machine, image, disk string) (*exec.Cmd, error) {
	if err := installMissing(hostTools[:1]); err != nil {
		return nil, err
	}
	params := "console=ttyS0 " + m.params("ttyS1", "vda")
	cpus := m.CPUs
	if !m.Icount {
		// The emulated CPUs' counters are not good clocks. Some kernels find out in the middle of a test,
		// and say so in the log.
		params += " tsc=unstable"
	}
	// One thread runs all CPUs: with one each, a machine with few CPUs of its own now and then fails
	// to boot. But then they never run at the same moment, and two that race are rarely seen to.
	thread := "single"
	if m.Kernel.Lab != nil || m.Threads {
		thread = "multi"
	}
	args := []string{
		"-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		// cmpxchg16b is emulated wrongly by QEMU 7.2 and crashes newer kernels.
		"-accel", "tcg,thread=" + thread, "-cpu", "max,-cx16",
		"-m", strconv.Itoa(m.MemMiB),
		"-kernel", m.Kernel.Vmlinuz, "-initrd", image,
		"-chardev", fmt.Sprintf("file,id=kernel,path=/dev/fd/%d", kernelFD), "-serial", "chardev:kernel",
		"-drive", "if=none,id=disk,format=raw,cache=unsafe,file=" + disk, "-device", "virtio-blk-pci,drive=disk",
	}
	if m.Icount {
		cpus = 1
		args = append(args, "-icount", "shift=0,sleep=off")
	}
	if m.Plugin != "" {
		args = append(args, "-plugin", m.Plugin)
	}
	if m.Interactive {
		args = append(args, "-chardev", "stdio,id=output,signal=off")
	} else {
		args = append(args, "-chardev", fmt.Sprintf("file,id=output,path=/dev/fd/%d", outputFD))
	}
	args = append(args, "-serial", "chardev:output", "-smp", strconv.Itoa(cpus), "-append", params)
	return exec.CommandContext(ctx, "qemu-system-x86_64", args...), nil
}
