// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLabKernelsHaveTheirConfigurations(t *testing.T) {
	for name, lab := range labKernels {
		config, err := lab.config()
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(config), "\nCONFIG_NET=y\n") {
			t.Errorf("%s: no network in %q", name, config)
		}
	}
}

func TestOptionsThatGotLost(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".config")
	if err := os.WriteFile(file, []byte("#\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=12\nCONFIG_E=y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkConfig([]byte("CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=12\nCONFIG_D=n\n"), file); err != nil {
		t.Error(err)
	}
	for _, lost := range []string{"CONFIG_B=y", "CONFIG_C=1", "CONFIG_D=y", "CONFIG_E=n"} {
		if err := checkConfig([]byte(lost+"\n"), file); err == nil || !strings.Contains(err.Error(), lost) {
			t.Errorf("%s: %v", lost, err)
		}
	}
}
