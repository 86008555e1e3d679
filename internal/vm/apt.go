// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// An aptDir is a private apt: its own list of sources, its own state, nothing of the system's
// but the mirror's address, the trusted keys and the proxy settings. The system's lists and
// packages are neither read nor changed.
type aptDir struct {
	dir   string
	suite string
}

// openApt prepares a private apt for one suite of Debian and reads the suite's index, where the
// machine has an address for it, with the suite's security updates.
func openApt(dir, suite string) (*aptDir, error) {
	archive, security, err := mirrors()
	if err != nil {
		return nil, err
	}
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	options := ""
	if _, err := os.Stat(keyring); err == nil {
		options = "[signed-by=" + keyring + "] "
	}
	sources := fmt.Sprintf("deb %s%s %s main\n", options, archive, suite)
	if security != "" && hasSecurity(suite) {
		sources += fmt.Sprintf("deb %s%s %s-security main\n", options, security, suite)
	}
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(sources), 0o644); err != nil {
		return nil, err
	}
	a := &aptDir{dir, suite}
	if _, err := a.run("apt-get", "update", "--error-on=any"); err != nil {
		return nil, orMissing("Debian "+suite, fmt.Errorf("cannot read the package index of Debian %s: %w\n"+
			"does `apt-get update` work on this machine, and does its mirror carry %s?", suite, err, suite))
	}
	return a, nil
}

// A missingError says that a mirror was reached and does not have, or no longer has, what it was asked
// for. Trying again does not help, and the project is not at fault.
type missingError struct{ error }

// notThere is how apt says so, of a suite, of a file that the index names, and of a package.
var notThere = regexp.MustCompile(`(?m)^.*(\b404\b|(not|no longer) have a Release file|` +
	`No packages found|Unable to locate package|no installation candidate|Can't select).*$`)

// orMissing makes a missingError of an error in which apt says that a thing is not there.
func orMissing(thing string, err error) error {
	if said := notThere.FindString(err.Error()); said != "" {
		return missingError{fmt.Errorf("the mirror does not have %s: %s", thing, strings.TrimSpace(said))}
	}
	return err
}

// Backports and unstable have no security archive of their own.
func hasSecurity(suite string) bool {
	return suite != "sid" && !strings.Contains(suite, "-")
}

func (a *aptDir) run(tool string, args ...string) (string, error) {
	return a.runIn(a.dir, tool, args...)
}

// runIn is run in a directory: apt-get download writes to the one that it stands in.
func (a *aptDir) runIn(dir, tool string, args ...string) (string, error) {
	options := []string{
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"),
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::Etc::preferences=/dev/null",
		"-o", "Dir::Etc::preferencesparts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Join(a.dir, "lists"),
		"-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache=" + a.dir,
		"-o", "Dir::Cache::archives=" + filepath.Join(a.dir, "archives"),
		"-o", "APT::Architecture=amd64",
		"-o", "APT::Sandbox::User=root", // the directory may be closed to other users
		"-o", "Acquire::Retries=3",
		"-o", "Acquire::Languages=none",
		"-q",
	}
	return output(dir, tool, append(options, args...)...)
}

// depends returns the names that the newest version of a package depends on and that match
// pattern.
func (a *aptDir) depends(pkg string, pattern *regexp.Regexp) ([]string, error) {
	out, err := a.run("apt-cache", "show", "--no-all-versions", pkg)
	if err != nil {
		return nil, orMissing(pkg, fmt.Errorf("no package %s in Debian %s: %w", pkg, a.suite, err))
	}
	var names []string
	for line := range strings.Lines(out) {
		deps, ok := strings.CutPrefix(line, "Depends: ")
		if !ok {
			continue
		}
		for dep := range strings.SplitSeq(deps, ",") {
			if name := strings.Fields(dep)[0]; pattern.MatchString(name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// download fetches packages and returns the paths of their files; apt checks their hashes.
func (a *aptDir) download(pkgs ...string) ([]string, error) {
	dir := filepath.Join(a.dir, "debs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var debs []string
	for _, pkg := range pkgs {
		step("downloading %s from Debian %s", pkg, a.suite)
		if _, err := a.runIn(dir, "apt-get", "download", pkg); err != nil {
			return nil, orMissing(pkg, fmt.Errorf("cannot download %s from Debian %s: %w\n"+
				"try again; if the package has left the mirror, its index is older than its files", pkg, a.suite, err))
		}
		found, err := filepath.Glob(filepath.Join(dir, pkg+"_*.deb"))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("download of %s from Debian %s left %d files: %v", pkg, a.suite, len(found), found)
		}
		debs = append(debs, found[0])
	}
	return debs, nil
}

// mirrors asks apt itself, which knows every format that its configuration may have, where this
// machine gets Debian from: the archive, and the security archive if it uses one. Sources that were
// never updated are told only without what their release files say, so apt is asked both ways.
func mirrors() (archive, security string, err error) {
	const format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"
	var targets string
	for _, options := range [][]string{nil, {"--no-release-info"}} {
		args := slices.Concat([]string{"indextargets", "--format", format}, options, []string{"Created-By: Packages"})
		out, err := output("", "apt-get", args...)
		if err != nil {
			return "", "", fmt.Errorf("cannot read this machine's apt configuration: %w", err)
		}
		targets += out
	}
	archive, security = parseMirrors(targets)
	if archive == "" {
		return "", "", fmt.Errorf("no Debian archive among this machine's apt sources: add one that has the component main")
	}
	return archive, security, nil
}

var debianSuite = regexp.MustCompile(`^(bullseye|bookworm|trixie|forky|sid|(?:old|oldold)?stable|testing|unstable)(-security)?$`)

// parseMirrors takes the first archive of each kind. Vendors name their suites after Debian's; where
// the origin is known, it tells them apart.
func parseMirrors(targets string) (archive, security string) {
	foreign := map[string]bool{}
	for line := range strings.Lines(targets) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 4 || f[2] != "main" {
			continue
		}
		known := f[3] != "" && f[3] != "$(ORIGIN)"
		foreign[f[0]] = foreign[f[0]] || known && f[3] != "Debian"
		m := debianSuite.FindStringSubmatch(f[1])
		switch {
		case m == nil || foreign[f[0]]:
		case m[2] == "" && archive == "":
			archive = f[0]
		case m[2] != "" && security == "":
			security = f[0]
		}
	}
	return archive, security
}
