// SPDX-License-Identifier: MIT

package main

import "testing"

func TestTables(t *testing.T) {
	got, _ := runReport(t, options{}, measured)
	equal(t, got, `### stack to program

| instructions/packet | 18 B x 1 | 18 B x 8 | 18 B x 64 |
|---------------------|---------:|---------:|----------:|
| mytun               | **1790** |      670 |   **100** |
| stock               |     1847 |          |      1873 |
| mytun, whole        |          |  **640** |           |

| calls/packet | 18 B x 1 |
|--------------|---------:|
| mytun        | **0.02** |
| stock        |     1.00 |

### tunnel

| Mbit/s |      TCP |
|--------|---------:|
| mytun  | **69.6** |
| stock  |     18.1 |
`)
}

func TestBestOfEquals(t *testing.T) {
	for _, tt := range []struct {
		name, unit string
		values     []float64
		want       string
	}{
		{"alone", "calls/packet", []float64{1}, ""},
		{"all equal", "calls/packet", []float64{1, 1}, ""},
		{"equal as they are shown", "calls/packet", []float64{500.1, 500.2, 700}, "500"},
		{"less than nothing", "calls/packet", []float64{3, -1}, "-1.00"},
		{"rate", "packets/s", []float64{3, 20}, "20.0"},
		{"rate without a time", "Mbit", []float64{3, 20}, "20.0"},
	} {
		tab := &table{unit: tt.unit, values: make(map[cell]float64)}
		for i, v := range tt.values {
			p := string(rune('a' + i))
			tab.peers = append(tab.peers, p)
			tab.values[cell{p, "c"}] = v
		}
		if got := tab.best("c"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		1862.4: "1862", 100: "100", 99.96: "100", 99.94: "99.9", 10: "10.0", 9.996: "10.0", 9.994: "9.99",
		0.02: "0.02", 0: "0.00", -150.2: "-150",
	} {
		if got := number(v); got != want {
			t.Errorf("%v is shown as %s, want %s", v, got, want)
		}
	}
	for n, want := range map[int]string{1: "1", 999: "999", 1000: "1,000", 1000000: "1,000,000"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is shown as %s, want %s", n, got, want)
		}
	}
}
