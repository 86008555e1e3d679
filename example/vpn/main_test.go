// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain makes the test binary the program itself where a test asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("VPN_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestOptions(t *testing.T) {
	k := newKey().String()
	o, err := parseOptions(strings.Fields("-listen :5555 -addr 10.9.0.1/24 -addr fd00::1/64 -queues 3 -backend kernel -key " + k))
	if err != nil {
		t.Fatal(err)
	}
	c := o.config
	if c.role != listener || c.address != ":5555" || len(c.addresses) != 2 || c.queues != 3 || c.key.String() != k || c.device.Backend.String() != "kernel" {
		t.Fatalf("%+v", c)
	}
	for _, bad := range []string{
		"",
		"-listen :1",
		"-listen :1 -connect 192.0.2.1:1 -key " + k,
		"-listen :1 -key short",
		"-listen :1 -keyfile /nowhere",
		"-listen :1 -keyfile /nowhere -key " + k,
		"-listen :1 -queues 0 -key " + k,
		"-listen :1 -queues 257 -key " + k,
		"-listen :1 -batch 0 -key " + k,
		"-listen :1 -keepalive 0 -key " + k,
		"-listen :1 -addr 10.0.0.1 -key " + k,
		"-listen :1 -backend best -key " + k,
		"-listen :1 -key " + k + " more",
	} {
		if _, err := parseOptions(strings.Fields(bad)); err == nil {
			t.Errorf("%q has no error", bad)
		}
	}
}
