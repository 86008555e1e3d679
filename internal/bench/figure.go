// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
)

// figure is one that was measured: a line of JSON in the file that the command report reads.
type figure struct {
	Work   string  `json:"work"`   // what was done, "stack to program" for one
	Unit   string  `json:"unit"`   // of Value, "instructions/packet" for one
	Column string  `json:"column"` // with which sizes
	Peer   string  `json:"peer"`   // by whom
	Value  float64 `json:"value"`
}

var figures *os.File

// report keeps a figure, and shows that the work goes on.
func report(f figure) {
	fmt.Printf("%s, %s, %s: %.2f %s\n", f.Work, f.Column, f.Peer, f.Value, f.Unit)
	line, err := json.Marshal(f)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := figures.Write(append(line, '\n')); err != nil {
		log.Fatal(err)
	}
}
