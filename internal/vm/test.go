// SPDX-License-Identifier: MIT

package main

func cmdTest(args []string) error { return nil }
