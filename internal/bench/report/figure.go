// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// figure is one that was measured, as the benchmark wrote it.
type figure struct {
	key
	Value float64 `json:"value"`
}

// key is what was measured; no two figures have the same.
type key struct {
	Peer   string `json:"peer"`
	Work   string `json:"work"`
	Column string `json:"column"`
	Unit   string `json:"unit"`
}

func readFigures(path string) ([]figure, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var figures []figure
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		var fig figure
		if err := json.Unmarshal(in.Bytes(), &fig); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		figures = append(figures, fig)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(figures) == 0 {
		return nil, fmt.Errorf("%s: no figures: the benchmark ended before its first", path)
	}
	return figures, nil
}

// isRate tells whether more of a unit is better.
func isRate(unit string) bool {
	return strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "Mbit") || unit == "times as good"
}

// isMytun tells the project's own peers, which differ in how they use it, from all others.
func isMytun(peer string) bool {
	return strings.HasPrefix(peer, "mytun") || strings.HasSuffix(peer, " on mytun")
}
