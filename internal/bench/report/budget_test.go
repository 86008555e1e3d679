// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// cost is a line of figures, of the work w.
func cost(peer, column, unit string, value float64) string {
	return fmt.Sprintf(`{"work":"w","unit":%q,"column":%q,"peer":%q,"value":%v}`+"\n", unit, column, peer, value)
}

const insn = "instructions/packet"

func TestBudget(t *testing.T) {
	for _, tt := range []struct {
		name, budget, figures string
		want                  string // FILE stands for the budget's
	}{
		{"kept", "405\tmytun\tw\tc\t" + insn, cost("mytun", "c", insn, 413), "ok bench/w c"},
		{"kept, a little better", "405\tmytun\tw\tc\t" + insn, cost("mytun", "c", insn, 397), "ok bench/w c"},
		{"dearer", "405\tmytun\tw\tc\t" + insn, cost("mytun", "c", insn, 431),
			"not ok bench/w c: 431 instructions/packet, the budget is 405: 6.4 % more"},
		{"better", "405\tmytun\tw\tc\t" + insn, cost("mytun", "c", insn, 380),
			"# 380 instructions/packet, the budget is 405: better: make bench LOWER=1 lowers it\nok bench/w c"},
		{"not measured", "405\tmytun\tw\tc\t" + insn + "\n0\tmytun\tw\td\tinstructions/byte", cost("mytun", "d", "instructions/byte", 0),
			"ok bench/w d\nnot ok bench/w c: not measured, and FILE has a budget for it"},
		{"without a budget", "", cost("mytun", "c", insn, 431),
			"not ok bench/w c: 431 instructions/packet, and FILE has no budget for it"},
		{"another unit", "1\tmytun\tw\tc\tinstructions/byte", cost("mytun", "c", insn, 1) + cost("mytun", "c", "instructions/byte", 1),
			"not ok bench/w c: 1.00 instructions/packet, and FILE has no budget for it\nok bench/w c"},
		{"noise near zero", "0.02\tmytun\tw\tc\tinstructions/byte\n0\tmytun\tw\td\tinstructions/byte",
			cost("mytun", "c", "instructions/byte", 0.024) + cost("mytun", "d", "instructions/byte", 0.004),
			"ok bench/w c\nok bench/w d"},
		{"more than noise near zero", "0.02\tmytun\tw\tc\tinstructions/byte\n0\tmytun\tw\td\tinstructions/byte",
			cost("mytun", "c", "instructions/byte", 0.03) + cost("mytun", "d", "instructions/byte", 0.01),
			"not ok bench/w c: 0.03 instructions/byte, the budget is 0.02: 50.0 % more\n" +
				"not ok bench/w d: 0.01 instructions/byte, the budget is 0.00: more"},
		{"another way to use mytun", "100\tmytun, whole\tw\t\t" + insn, cost("mytun, whole", "", insn, 200),
			"not ok bench/w, mytun, whole: 200 instructions/packet, the budget is 100: 100.0 % more"},
		{"a column without a name", "100\tmytun\tw\t\t" + insn, cost("mytun", "", insn, 100), "ok bench/w"},
		{"of no concern", "1\tmytun\tw\tc\t" + insn, cost("mytun", "c", insn, 1) + cost("stock", "c", insn, 2) +
			cost("mytun", "d", "Mbit/s", 2) + cost("mytun", "d", "packets/s", 2) + cost("mytun", "d", "ratio", 2), "ok bench/w c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "budget", tt.budget)
			want := strings.ReplaceAll(tt.want, "FILE", file) + "\n"
			got, good := runReport(t, options{budget: file}, tt.figures)
			equal(t, got, want)
			if good == strings.Contains(want, "not ok") {
				t.Errorf("good %t", good)
			}
		})
	}
}

func TestLowerWritesWhatWasMeasured(t *testing.T) {
	const head = "# What mytun may cost.\n\n# Two lines.\n"
	file := write(t, "budget", head+"405\tmytun\tw\tc\t"+insn+"\n7\tmytun\tgone\tc\t"+insn+"\n")
	// Measured twice, the worse one counts.
	figures := cost("mytun", "c", insn, 431.26) + cost("mytun", "c", insn, 425) + cost("stock", "c", insn, 900) + cost("mytun", "d", "Mbit/s", 70) +
		cost("mytun, whole", "c", "instructions/byte", 0.0204)
	_, good := runReport(t, options{budget: file, lower: true}, figures)
	if !good {
		t.Error("not good")
	}
	equal(t, read(t, file), head+"431.26\tmytun\tw\tc\t"+insn+"\n0.02\tmytun, whole\tw\tc\tinstructions/byte\n")
	once := strings.Replace(figures, cost("mytun", "c", insn, 425), "", 1)
	got, good := runReport(t, options{budget: file}, once)
	if !good {
		t.Errorf("what was just written is not kept:\n%s", got)
	}
}

func TestBudgetThatCannotBeRead(t *testing.T) {
	_, err := readBudget(filepath.Join(t.TempDir(), "none"))
	fails(t, err, "no such file")
	for _, tt := range []struct{ text, words string }{
		{"405\tmytun\tw\tc\n", "budget:1: not a value"},
		{"# head\nmuch\tmytun\tw\tc\tu\n", "budget:2:"},
		{"1\tmytun\tw\tc\tu\n# lost when it is rewritten\n", "budget:2: not a value"},
		{"1\tmytun\tw\tc\tu\n2\tmytun\tw\tc\tu\n", "budget:2: the same again"},
	} {
		_, err := readBudget(write(t, "budget", tt.text))
		fails(t, err, tt.words)
	}
}
