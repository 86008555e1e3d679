// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"strings"
	"testing"
)

// The README shows this program; what it shows is what compiles.
func TestReadmeShowsThisProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, ok := strings.Cut(string(program), "package main\n")
	if !ok || !strings.Contains(string(readme), "```go\npackage main\n"+shown+"```\n") {
		t.Error("the program in README.md is not that of example/pong/main.go")
	}
}
