// SPDX-License-Identifier: MIT

package main

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// A key is the secret that both ends share. It never encrypts anything itself: each session has
// a key of its own, which is derived from it.
type key [chacha20poly1305.KeySize]byte

// newKey makes a key.
func newKey() key {
	var k key
	rand.Read(k[:]) // never fails
	return k
}

// String returns the key as readKey and parseKey take it.
func (k key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// parseKey reads what String wrote.
func parseKey(s string) (k key, err error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != len(k) {
		return k, fmt.Errorf("a key is %d bytes in base64, as -keygen prints them", len(k))
	}
	return key(b), nil
}

// readKey reads a key from a file.
func readKey(file string) (key, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return key{}, err
	}
	k, err := parseKey(string(b))
	if err != nil {
		return key{}, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}

// A role is which of the two ends this is. It keeps the keys of the two directions apart, so that
// a datagram that comes back to its sender is not taken for one of the peer.
type role string

const (
	listener  role = "listener"  // waits for the other end at a known address
	connector role = "connector" // knows that address
)

// peer returns the role of the other end.
func (r role) peer() role {
	if r == listener {
		return connector
	}
	return listener
}

// session derives the cipher of everything that the end with the role from sends in the session id.
func (k key) session(from role, id sessionID) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, k[:], id[:], "mytun example vpn 1, sent by the "+string(from), chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.New(derived)
}
