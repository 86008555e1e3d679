// SPDX-License-Identifier: MIT

package main

import (
	"math"
	"strconv"
)

// number shows about three digits: runs differ by more than what follows them.
func number(v float64) string {
	for decimals, from := range []float64{100, 10} {
		// 99.96 is to be 100, not 100.0.
		scale := math.Pow10(decimals)
		if math.Abs(math.Round(v*scale*10)/(scale*10)) >= from {
			return strconv.FormatFloat(v, 'f', decimals, 64)
		}
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands is a whole number with a comma before each three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
