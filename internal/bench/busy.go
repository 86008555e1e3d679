// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"
)

// busy is how long the processors have not been idle since some moment.
func busy() time.Duration {
	var idle time.Duration
	list := read("/proc/timer_list")
	for line := range bytes.Lines(list) {
		var ns int64
		if n, _ := fmt.Sscanf(string(line), "  .idle_sleeptime : %d nsecs", &ns); n == 1 {
			idle += time.Duration(ns)
		}
	}
	return time.Since(began) - idle
}

var began = time.Now()

// ran is how long the threads of the process have run.
func (s *server) ran() (sum time.Duration) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		log.Fatalf("no threads of %v: %v", s.cmd.Args, err)
	}
	for _, path := range threads {
		var ns int64
		if _, err := fmt.Sscan(string(read(path)), &ns); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

func read(path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return b
}
