// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCachedFillsOnce(t *testing.T) {
	t.Setenv("MYTUN_CACHE", t.TempDir())
	made := 0
	for range 2 {
		dir, err := cached("kind/name", func(tmp, final string) error {
			made++
			return os.WriteFile(filepath.Join(tmp, "file"), nil, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("filled %d times", made)
	}
}

// What a killed or failed process left behind is neither used nor in the way.
func TestCachedBeginsAnew(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("MYTUN_CACHE", cache)
	if err := os.MkdirAll(filepath.Join(cache, "name.tmp-1", "half"), 0o755); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if _, err := cached("name", func(tmp, final string) error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	dir, err := cached("name", func(tmp, final string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if isDir(filepath.Join(dir, "half")) || isDir(filepath.Join(cache, "name.tmp-1")) {
		t.Error("the rest of an earlier attempt is still there")
	}
}
