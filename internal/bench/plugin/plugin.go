// SPDX-License-Identifier: MIT

// Package plugin runs the benchmark in a virtual machine with one of the plugins of QEMU's emulator that are
// in src: they see each instruction, which no program in the machine does.
package plugin

import (
	"debug/elf"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed src
var sources embed.FS

// Build compiles src/NAME.c.
func Build(name, dst string) error {
	dir, err := os.MkdirTemp("", "mytun-plugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, sources); err != nil {
		return err
	}
	return Run(filepath.Join(dir, "src"), "gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden",
		"-shared", "-fPIC", "-o", dst, name+".c")
}

// BuildProgram compiles a Go program as internal/vm does, so that it lies in memory as it does in "make bench".
func BuildProgram(dir, dst string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", dst}, flags...)
	return Run(dir, "go", append(args, ".")...)
}

// Address is where a program's function or variable is.
func Address(program, symbol string) (uint64, error) {
	f, err := elf.Open(program)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	all, err := f.Symbols()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", program, err)
	}
	for _, sym := range all {
		if sym.Name == symbol {
			return sym.Value, nil
		}
	}
	return 0, fmt.Errorf("%s has no %s", program, symbol)
}

// Run runs a command in a directory; what it prints is ours.
func Run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
