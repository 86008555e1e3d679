// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// guestModules are the kernel's own modules that the guest can load, each with those that it needs.
// One that a kernel does not have, or has built in, is left out.
var guestModules = []string{
	"virtio_pci", "virtio_blk", // the way out for files
	"tun", "veth", "dummy", "8021q", "bridge", "bonding", "macvlan", "vrf", "ifb", "vxlan", "wireguard", "vhost_net",
	"sch_netem", "sch_fq", "sch_fq_codel", "sch_ingress", "sch_tbf", "sch_multiq", "sch_prio",
	"cls_u32", "cls_bpf", "cls_matchall", "cls_flower", "act_mirred", "act_gact",
	"nf_tables", "nft_ct", "nft_nat", "nft_masq", "nft_chain_nat", "nft_counter", "nft_objref", "nft_fib_inet", "nf_conntrack",
	"nft_compat", "xt_addrtype",
	"pktgen", "netconsole", "af_packet_diag", "inet_diag", "tcp_diag", "udp_diag", "unix_diag", "netlink_diag",
	"tcp_bbr", "sctp", "overlay", "xfrm_user", "gre", "ip_gre", "ip6_gre", "ipip", "ip6_tunnel", "sit",
}

// guestDir is the part of the source tree that every guest has at /guest.
const guestDir = "internal/guest"

// A guestFile is a file or directory of this machine that a run puts into the guest.
type guestFile struct{ Src, Dst string }

// baseImage returns the archive of what all runs on a kernel share: tools, their libraries and
// the kernel's modules.
func baseImage(k *kernel) (string, error) {
	if err := installMissing(guestTools); err != nil {
		return "", err
	}
	files, err := toolFiles()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, imageLayout, k.Release, k.Root, guestModules)
	for _, f := range files {
		st, err := os.Stat(f.Src)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, f, st.Size(), st.ModTime().UnixNano())
	}
	dir, err := cached("image/"+hex.EncodeToString(h.Sum(nil)[:12]), func(tmp, _ string) error {
		step("packing the base image for %s", k.Release)
		return packBase(k, files, tmp)
	})
	return filepath.Join(dir, "base.cpio"), err
}

// imageLayout changes when packBase does, so that no old image is used.
const imageLayout = 2

func packBase(k *kernel, files []guestFile, dir string) error {
	modules := filepath.Join(dir, "modules")
	if err := stageModules(k, modules); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(dir, "base.cpio"))
	if err != nil {
		return err
	}
	defer out.Close()
	buf := bufio.NewWriterSize(out, 1<<20)
	c := newCpioWriter(buf)
	for _, d := range []string{"bin", "lib", "lib64", "sbin"} {
		c.Dir("/usr/"+d, 0o755)
		c.Symlink("usr/"+d, "/"+d)
	}
	for _, d := range []string{"/dev", "/etc", "/mnt", "/out", "/proc", "/root", "/run", "/sys", "/var/log"} {
		c.Dir(d, 0o755)
	}
	c.Symlink("/run", "/var/run")
	c.Dir("/tmp", 0o1777)
	c.Char("/dev/console", 0o600, 5, 1) // the kernel opens it before the guest mounts its own /dev
	c.Bytes("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000:user:/tmp:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/bash\n")
	c.Bytes("/etc/group", 0o644, "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n")
	c.Bytes("/root/.bashrc", 0o644, "PS1='guest:\\w# '\n")
	c.Bytes("/etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n")
	c.Bytes("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files\n")
	c.Bytes("/etc/protocols", 0o644, "icmp 1\ntcp 6\nudp 17\nipv6-icmp 58\n")
	taken := map[string]bool{}
	for _, f := range files {
		taken[path.Base(f.Dst)] = true
		c.File(f.Dst, f.Src)
	}
	for _, name := range []string{"modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod"} {
		taken[name] = true
		c.Symlink("../bin/kmod", "/usr/sbin/"+name)
	}
	applets, err := output("", "/bin/busybox", "--list")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(applets) {
		if !taken[name] {
			c.Symlink("busybox", "/usr/bin/"+name)
		}
	}
	c.Tree("/usr/lib/modules", filepath.Join(modules, "lib/modules"))
	if err := errors.Join(c.Close(), buf.Flush(), out.Close()); err != nil {
		return err
	}
	return os.RemoveAll(modules)
}

// expand replaces the directories among files by the files in them.
func expand(files []guestFile) ([]guestFile, error) {
	var all []guestFile
	for _, f := range files {
		err := filepath.WalkDir(f.Src, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(f.Src, p)
			all = append(all, guestFile{p, path.Join(f.Dst, rel)})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// toolFiles lists the guest's tools and the libraries that they need.
func toolFiles() ([]guestFile, error) {
	var files []guestFile
	for _, t := range guestTools {
		files = append(files, guestFile{t.path, guestPath(t.path)})
	}
	return withLibraries(files)
}

// guestPath is a path as the guest has it, where /bin, /lib and so on are links into /usr.
func guestPath(p string) string {
	for _, d := range []string{"/bin/", "/lib/", "/lib64/", "/sbin/"} {
		if strings.HasPrefix(p, d) {
			return "/usr" + p
		}
	}
	return p
}

// withLibraries adds to files the shared libraries that the dynamic executables among them need.
func withLibraries(files []guestFile) ([]guestFile, error) {
	all := slices.Clone(files)
	seen := map[string]bool{}
	for _, f := range files {
		if !isDynamic(f.Src) {
			continue
		}
		out, err := output("", "ldd", f.Src)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			// "libc.so.6 => /lib/.../libc.so.6 (0x...)" or "/lib64/ld-linux-x86-64.so.2 (0x...)"
			fields := strings.Fields(line)
			i := slices.IndexFunc(fields, func(s string) bool { return strings.HasPrefix(s, "/") })
			if strings.Contains(line, "not found") {
				return nil, fmt.Errorf("%s: %s", f.Src, strings.TrimSpace(line))
			}
			if i < 0 || seen[fields[i]] {
				continue
			}
			seen[fields[i]] = true
			all = append(all, guestFile{fields[i], guestPath(fields[i])})
		}
	}
	return all, nil
}

func isDynamic(file string) bool {
	f, err := elf.Open(file)
	if err != nil {
		return false // a script, or data
	}
	defer f.Close()
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// stageModules copies guestModules and all that they need to dst, with indexes of their own.
func stageModules(k *kernel, dst string) error {
	deps, err := readModulesDep(filepath.Join(k.Modules, "modules.dep"))
	if err != nil {
		return err
	}
	target := filepath.Join(dst, "lib/modules", k.Release)
	for _, name := range guestModules {
		for _, file := range deps[name] {
			if err := copyFile(filepath.Join(k.Modules, file), filepath.Join(target, file)); err != nil {
				return err
			}
		}
	}
	for _, index := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		if err := copyFile(filepath.Join(k.Modules, index), filepath.Join(target, index)); err != nil {
			return err
		}
	}
	return command("", "/sbin/depmod", "-b", dst, k.Release)
}

// readModulesDep returns, for each module's name, its file and those of the modules it needs.
func readModulesDep(file string) (map[string][]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	deps := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, _, _ := strings.Cut(path.Base(file), ".ko")
		deps[strings.ReplaceAll(name, "-", "_")] = append(strings.Fields(needs), file)
	}
	return deps, nil
}

// runImage writes the whole image of one run to dst: the base and behind it this run's files and
// the script of its command.
func runImage(m *machine, dst string) error {
	base, err := baseImage(m.Kernel)
	if err != nil {
		return err
	}
	if err := copyFile(base, dst); err != nil {
		return err
	}
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pad(out); err != nil {
		return err
	}
	buf := bufio.NewWriterSize(out, 1<<20)
	c := newCpioWriter(buf)
	c.Tree("/guest", guestDir)
	c.File("/init", filepath.Join(guestDir, "init"))
	c.Bytes("/guest/command", 0o755, commandScript(m))
	files, err := expand(m.Files)
	if err != nil {
		return err
	}
	if files, err = withLibraries(files); err != nil {
		return err
	}
	for _, f := range files {
		c.File(guestPath(f.Dst), f.Src)
	}
	return errors.Join(c.Close(), buf.Flush(), out.Close())
}

// pad fills a file up to a multiple of four bytes, where the next archive may begin.
func pad(f *os.File) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, -end&3))
	return err
}

func commandScript(m *machine) string {
	quoted := make([]string, len(m.Command))
	for i, arg := range m.Command {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return "#!/bin/bash\nexec " + strings.Join(quoted, " ") + "\n"
}
