// SPDX-License-Identifier: MIT

package plugin

import (
	"path/filepath"
	"testing"
)

func TestPluginsAreBuilt(t *testing.T) {
	for _, name := range []string{"profile", "stores"} {
		so := filepath.Join(t.TempDir(), name+".so")
		if err := Build(name, so); err != nil {
			t.Fatal(err)
		}
		if addr, err := Address(so, "qemu_plugin_install"); err != nil || addr == 0 {
			t.Errorf("%s: %#x, %v", name, addr, err)
		}
		if addr, err := Address(so, "no such"); err == nil {
			t.Errorf("%s: %#x", name, addr)
		}
	}
}
