// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// command runs a program quietly. What it printed becomes part of the error, if there is one.
func command(dir, name string, args ...string) error {
	_, err := output(dir, name, args...)
	return err
}

// output is command, and returns what the program wrote to its standard output.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(interrupted, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C") // what it says may have to be understood
	var stdout, both bytes.Buffer
	cmd.Stdout = &teeBuffer{&stdout, &both}
	cmd.Stderr = &both
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, lastLines(both.String(), 30))
	}
	return stdout.String(), nil
}

type teeBuffer [2]*bytes.Buffer

func (t *teeBuffer) Write(p []byte) (int, error) {
	t[0].Write(p)
	return t[1].Write(p)
}

// lastLines returns the end of a log, indented, so that it reads as a quotation.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = append([]string{"..."}, lines[len(lines)-n:]...)
	}
	return quotation(strings.Join(lines, "\n"))
}

func quotation(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }
