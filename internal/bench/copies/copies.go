// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sections are parts of the work of one index, as the benchmark tells it.
type section struct {
	index   int
	work    string // the direction
	peer    string // empty: what all have in common
	payload int    // bytes of each packet
	packets int    // of each
}

func parseSection(line string) (s section, err error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 5 {
		return s, fmt.Errorf("%d fields", len(fields))
	}
	s.work, s.peer = fields[1], fields[2]
	for i, n := range map[int]*int{0: &s.index, 3: &s.payload, 4: &s.packets} {
		if *n, err = strconv.Atoi(fields[i]); err != nil {
			return s, err
		}
	}
	if s.packets < 1 {
		return s, fmt.Errorf("%d packets", s.packets)
	}
	return s, nil
}

// figure is one for the command report.
type figure struct {
	Work   string  `json:"work"`
	Unit   string  `json:"unit"`
	Column string  `json:"column"`
	Peer   string  `json:"peer"`
	Value  float64 `json:"value"`
}

// copies makes figures of what was stored in sections of each index. They come in pairs: each way with smaller packets, and
// with larger ones. The median of many leaves out those into which a tick of the clock fell.
func copies(sections []section, stored map[int][]float64) (all []figure, err error) {
	common := make(map[string]float64)
	for ; len(sections) >= 2; sections = sections[2:] {
		small, large := sections[0], sections[1]
		if small.work != large.work || small.peer != large.peer || small.payload >= large.payload {
			return nil, fmt.Errorf("sections %+v and %+v are no pair", small, large)
		}
		var each [2]float64
		for i, s := range sections[:2] {
			bytes := stored[s.index]
			if len(bytes) == 0 {
				return nil, fmt.Errorf("section %+v has not been seen", s)
			}
			slices.Sort(bytes)
			each[i] = bytes[len(bytes)/2] / float64(s.packets)
		}
		n := (each[1] - each[0]) / float64(large.payload-small.payload)
		if small.peer == "" {
			common[small.work] = n
			continue
		}
		all = append(all, figure{"copies", "copies of each byte", small.work, small.peer, n - common[small.work]})
	}
	if len(sections) != 0 || len(all) == 0 {
		return nil, fmt.Errorf("%d pairs of sections, and %d that has no other", len(all), len(sections))
	}
	return all, nil
}
