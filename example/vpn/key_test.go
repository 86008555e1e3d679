// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyIsReadAsItIsPrinted(t *testing.T) {
	k := newKey()
	if k == newKey() {
		t.Fatal("two keys are the same")
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(k.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readKey(file); err != nil || got != k {
		t.Fatalf("readKey: %v, %v", got, err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good := newKey().String()
	for _, bad := range []string{"", "hello", good[:40], good + "AAAA", strings.Repeat("!", 44)} {
		if _, err := parseKey(bad); err == nil {
			t.Errorf("parseKey(%q) has no error", bad)
		}
	}
}

// Same key, same session, same nonce: only the role tells the directions apart.
func TestSessionsDiffer(t *testing.T) {
	k, id := newKey(), sessionID{1}
	sealed := func(k key, r role, id sessionID) string {
		aead, err := k.session(r, id)
		if err != nil {
			t.Fatal(err)
		}
		return string(aead.Seal(nil, make([]byte, nonceSize), []byte("packet"), nil))
	}
	all := map[string]bool{}
	for _, s := range []string{
		sealed(k, listener, id), sealed(k, connector, id), sealed(k, listener, sessionID{2}), sealed(newKey(), listener, id),
	} {
		all[s] = true
	}
	if len(all) != 4 {
		t.Fatalf("of 4 sessions that differ in key, role or name %d have ciphers of their own", len(all))
	}
	if sealed(k, listener, id) != sealed(k, listener.peer().peer(), id) {
		t.Fatal("the peer's peer is somebody else")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(newKey().String())
	f.Add(" " + key{}.String() + "\r\n")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := parseKey(s)
		if err != nil {
			return
		}
		if again, err := parseKey(k.String()); again != k || err != nil {
			t.Fatalf("%q is %v, which is %v, %v", s, k, again, err)
		}
	})
}
