// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"os/exec"
)

// shellCommand is what the guest runs for an interactive user: a shell with a controlling terminal.
func shellCommand() []string {
	return []string{"setsid", "-c", "bash", "-i"}
}

// terminalParams tells the guest the size and kind of this terminal, which a serial line cannot say.
// The kernel hands parameters that it does not know to init as environment variables.
func terminalParams() string {
	term := os.Getenv("TERM")
	if term == "" {
		term = "vt100"
	}
	params := "TERM=" + term
	stty := exec.Command("stty", "size")
	stty.Stdin = os.Stdin
	var rows, columns int
	if out, err := stty.Output(); err == nil {
		fmt.Sscan(string(out), &rows, &columns)
	}
	if rows > 0 && columns > 0 {
		params += fmt.Sprintf(" ROWS=%d COLUMNS=%d", rows, columns)
	}
	return params
}
