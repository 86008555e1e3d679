// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// initMarker is what the guest's init writes to the kernel's log first of all.
const initMarker = "mytun: init reached"

// complaint matches a line by which a kernel says that something is wrong with itself.
var complaint = regexp.MustCompile(`BUG:|BUG at |WARNING:|\bKASAN\b|\bKCSAN\b|\bKFENCE\b.*bug|\bUBSAN\b|\bOops\b|Kernel panic|` +
	`soft lockup|hard LOCKUP|refcount_t|refcount.*(overflow|underflow|saturated|leak)|memory leak|new suspected|leaked reference|` +
	`general protection|invalid opcode|unable to handle|INFO: task|rcu.*stall|ODEBUG|possible circular|` +
	`suspicious RCU|bad unlock|still held|unregister_netdevice: waiting|page allocation failure|Out of memory|` +
	`list_(add|del) corruption|double free|scheduling while atomic|[Bb]ad page|usercopy: Kernel|` +
	`turning off the locking correctness validator|unreferenced object|sleeping function called`)

// A kernelLog keeps what a kernel prints: in a file, on the terminal if wanted, and in memory.
type kernelLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	file *os.File
	live io.Writer
}

func newKernelLog(path string, live io.Writer) (*kernelLog, error) {
	f, err := os.Create(path)
	if live == nil {
		live = io.Discard
	}
	return &kernelLog{file: f, live: live}, err
}

func (l *kernelLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	l.live.Write(p)
	return l.file.Write(p)
}

func (l *kernelLog) Close() error { return l.file.Close() }

func (l *kernelLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ReplaceAll(l.text.String(), "\r", "")
}

// InitReached says whether the machine has come as far as our init.
func (l *kernelLog) InitReached() bool { return strings.Contains(l.String(), initMarker) }

// End returns the last lines, as a quotation.
func (l *kernelLog) End() string { return lastLines(l.String(), 40) }

// Complaints returns the lines that match complaint, each with what follows it.
func (l *kernelLog) Complaints() []string { return findComplaints(l.String()) }

// fileComplaints is Complaints of a log in a file: the kernel's whole log as the guest saved it has
// also the lines that are not worth a console.
func fileComplaints(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return []string{fmt.Sprintf("(no log: %v)", err)}
	}
	return findComplaints(string(text))
}

// Data races of others are none of ours. A report is between two lines of equal signs.
var (
	race    = regexp.MustCompile(`BUG: KCSAN`)
	raceEnd = regexp.MustCompile(`={20}`)
	ours    = regexp.MustCompile(`\[mytun\]|\bmytun_`)
)

// testMarker stands before the name of what the guest's run-tests begins.
const testMarker = "guest: begin "

// findComplaints leaves out what the kernel said before our init was reached: of itself, that is.
func findComplaints(text string) []string {
	const context = 40 // lines of a report that are worth showing
	var found []string
	during := ""
	if _, after, ok := strings.Cut(text, initMarker); ok {
		text = after
	}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if _, name, ok := strings.Cut(lines[i], testMarker); ok {
			during = "(during " + name + ")\n"
		}
		if !complaint.MatchString(lines[i]) {
			continue
		}
		end := min(i+context, len(lines))
		if race.MatchString(lines[i]) {
			n := slices.IndexFunc(lines[i:], raceEnd.MatchString)
			if n < 0 {
				n = len(lines) - i
			}
			report := lines[i : i+n]
			if !slices.ContainsFunc(report, ours.MatchString) {
				i += n
				continue
			}
			end = i + n
		}
		found = append(found, during+strings.Join(lines[i:end], "\n"))
		i = end - 1
	}
	return found
}

// quote shows the first few of the reports found.
func quote(reports []string) string {
	const most = 3
	text := strings.Join(reports[:min(most, len(reports))], "\n---\n")
	if len(reports) > most {
		text += fmt.Sprintf("\n--- and %d more", len(reports)-most)
	}
	return lastLines(text, most*42)
}
