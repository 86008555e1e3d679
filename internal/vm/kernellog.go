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
var complaint = regexp.MustCompile(`\bBUG\b|WARNING:|\bKASAN\b|\bKCSAN\b|\bKFENCE\b.*bug|\bUBSAN\b|\bOops\b|Kernel panic|` +
	`soft lockup|hard LOCKUP|refcount_t|refcount.*(overflow|underflow|saturated|leak)|memory leak|new suspected|leaked reference|` +
	`general protection|invalid opcode|unable to handle|INFO: task|rcu.*stall|ODEBUG|possible circular|` +
	`suspicious RCU|bad unlock|still held|unregister_netdevice: waiting|page allocation failure|Out of memory|` +
	`\bcorruption\b|single bit error|Dead loop on virtual device|asks to queue packet|cannot create duplicate|tried to init an initialized|entered softirq|double free|scheduling while atomic|[Bb]ad page|usercopy: Kernel|` +
	`turning off the locking correctness validator|unreferenced object|sleeping function called|NOHZ.*softirq.*pending|hw csum failure`)

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

// A report ends with the trace, or with a line of equal signs.
var (
	race      = regexp.MustCompile(`BUG: KCSAN`)
	reportEnd = regexp.MustCompile(`={20}|end trace`)
)

// Others have an end of their own: what is said of locks, the stack; a leaked object, where the next begins.
var otherEnds = []struct{ title, end *regexp.Regexp }{
	{regexp.MustCompile(`WARNING: [a-z]|BUG: (sleeping|scheduling)`), regexp.MustCompile(`</TASK>`)},
	{regexp.MustCompile(`unreferenced object|memory leaked`), regexp.MustCompile(`unreferenced object`)},
}

// reportLen returns how many lines the report has that begins with the first of lines. What has no end is
// shown at some length.
func reportLen(lines []string) int {
	const longest, endless = 2000, 200
	after := lines[1:min(longest, len(lines))]
	for _, other := range otherEnds {
		if !other.title.MatchString(lines[0]) {
			continue
		}
		if n := slices.IndexFunc(after, other.end.MatchString); n >= 0 {
			return 1 + n
		}
	}
	if n := slices.IndexFunc(after, reportEnd.MatchString); n >= 0 {
		return 1 + n
	}
	return min(endless, len(lines))
}

// The parts of such a report: what begins the stack of an access, the module's functions in it, and
// where an interrupt, which may come anywhere, came to it.
var (
	access    = regexp.MustCompile(`(read|write|race).* by (task|interrupt)`)
	ours      = regexp.MustCompile(`\[mytun\]`)
	interrupt = regexp.MustCompile(`asm_(sysvec|common|exc)_|__do_softirq`)
)

// accessDepth is how many functions deep the module is asked whether an access is its own: itself, or by
// what it calls to that end.
const accessDepth = 3

// sendersLook is where the core looks whether a queue is stopped.
const sendersLook = "(__dev_queue_xmit|dev_hard_start_xmit|sch_direct_xmit|__qdisc_run|qdisc_maybe_clear_missed)"

// coreRaces are those of the kernel with itself, on its own fields, in what the module calls.
var coreRaces = regexp.MustCompile(`BUG: KCSAN: data-race in (` + strings.Join([]string{
	// The state of a NAPI instance is looked at once without a mark, before it is changed atomically.
	"napi_complete_done / napi_schedule_prep",
	"napi_schedule_prep / napi_complete_done",
	// So is that of a queue.
	sendersLook + " / netif_tx_wake_queue",
	"netif_tx_wake_queue / " + sendersLook,
	// What an interface can, which the core changes under senders.
	"__dev_queue_xmit / __netdev_update_features",
	"__netdev_update_features / __dev_queue_xmit",
	"netif_skb_features / __netdev_update_features",
	"__netdev_update_features / netif_skb_features",
}, "|") + `)\b`)

// ourRace says whether the module makes one of the two accesses of a report.
func ourRace(report []string) bool {
	if coreRaces.MatchString(report[0]) {
		return false
	}
	depth := accessDepth
	for _, line := range report {
		switch {
		case access.MatchString(line):
			depth = 0
		case interrupt.MatchString(line):
			depth = accessDepth
		case depth < accessDepth && ours.MatchString(line):
			return true
		default:
			depth++
		}
	}
	return false
}

// starved are warnings of the kernel's core that it had no memory, and can only warn of it: for a name in
// sysfs, when an interface moves to another network namespace; for the fields of a module's tracepoints.
// The lab makes it have none.
var (
	starved    = regexp.MustCompile(`WARNING: .* at (net/core/dev\.c:\d+ _*dev_change_net_namespace|kernel/trace/trace_events\.c:\d+ event_define_fields)\b`)
	warningEnd = regexp.MustCompile(`end trace`)
	starving   = []string{"(during fail)\n", "(during abifuzz)\n"}
)

// testMarker stands before the name of what the guest's run-tests begins.
const testMarker = "guest: begin "

// findComplaints leaves out what the kernel said before our init was reached: of itself, that is.
func findComplaints(text string) []string {
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
		if slices.Contains(starving, during) && starved.MatchString(lines[i]) {
			if n := slices.IndexFunc(lines[i:], warningEnd.MatchString); n >= 0 {
				i += n
				continue
			}
		}
		end := i + reportLen(lines[i:])
		if race.MatchString(lines[i]) && !ourRace(lines[i:end]) {
			i = end
			continue
		}
		found = append(found, during+strings.Join(lines[i:end], "\n"))
		i = end - 1
	}
	return found
}

// What differs between a report and its repeats, in the lines that tell them from others: those that
// complain, and the functions of a stack.
var (
	accidental = regexp.MustCompile(`^\[ *[0-9.]+\]|\b(CPU|PID): \d+|(0x)?\b[0-9a-f]{8,}\b`)
	frame      = regexp.MustCompile(`\+0x[0-9a-f]+/0x[0-9a-f]+`)
)

// signature returns what a report has in common with its repeats.
func signature(report string) string {
	var key strings.Builder
	stack := frame.MatchString(report)
	for i, line := range strings.Split(report, "\n") {
		if i == 0 || !stack || complaint.MatchString(line) || frame.MatchString(line) {
			key.WriteString(strings.TrimSpace(accidental.ReplaceAllString(line, "")) + "\n")
		}
	}
	return key.String()
}

// quote shows the reports found, each whole, and how often it was repeated.
func quote(reports []string) string {
	times := map[string]int{}
	for _, r := range reports {
		times[signature(r)]++
	}
	var shown []string
	for _, r := range reports {
		n := times[signature(r)]
		if n == 0 {
			continue
		}
		times[signature(r)] = 0
		if n > 1 {
			r += fmt.Sprintf("\n--- %d times", n)
		}
		shown = append(shown, r)
	}
	return quotation(strings.Join(shown, "\n---\n"))
}
