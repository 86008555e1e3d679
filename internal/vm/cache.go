// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// cacheDir is where everything downloaded or built is kept.
func cacheDir() (string, error) {
	if dir := os.Getenv("MYTUN_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir() // honours XDG_CACHE_HOME
	if err != nil {
		return "", fmt.Errorf("%w (set MYTUN_CACHE to a directory)", err)
	}
	return filepath.Join(dir, "mytun"), nil
}

// cached returns the directory of the cache that is called name, having make fill it first if it
// is not there. make fills a temporary directory, which takes its name only when it is
// complete: a process killed on the way leaves nothing that a later one would believe. final is
// the name that the directory is going to have.
func cached(name string, make func(tmp, final string) error) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, name)
	if isDir(final) {
		return final, nil
	}
	unlock, err := lock(final + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(final) { // another process was faster
		return final, nil
	}
	// Only the lock's holder has one. Others are of processes that were killed, whose own children
	// may still be writing: hence a name that is not used again.
	old, err := filepath.Glob(final + ".tmp-*")
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	tmp := fmt.Sprintf("%s.tmp-%d", final, os.Getpid())
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return "", err
	}
	if err := make(tmp, final); err != nil {
		return "", errors.Join(err, os.RemoveAll(tmp))
	}
	return final, os.Rename(tmp, final)
}

// removeCache removes what this command puts into the cache, and the cache if nothing else is in it.
func removeCache() error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	old := []string{"checkpatch", "checkpatch.lock"} // that is, of earlier versions
	for _, name := range append(old, "image", "kernel", "ko", "lab", "program", "source") {
		if err := os.RemoveAll(filepath.Join(cache, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(cache); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lock waits for path to be ours; the kernel gives it up when the process dies.
func lock(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return func() { f.Close() }, nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
