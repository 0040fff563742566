//go:build unix

package layers_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// plainTars decompresses the layers of the workspace. Those with names that no file system can hold are apart.
func plainTars(t *testing.T) (tars map[string]string, long string) {
	t.Helper()
	tars = map[string]string{}
	for name, path := range build(t, newWorkspace(t)) {
		b, err := io.ReadAll(decompressed(t, path))
		bazeltest.Must(t, err)
		plain := filepath.Join(t.TempDir(), name+".tar")
		bazeltest.Must(t, os.WriteFile(plain, b, 0o600))
		tars[name] = plain
	}
	long = tars["long_names"]
	delete(tars, "long_names")
	return tars, long
}

// bsdtarFlags are for extraction: only root can give a file capabilities, which bsdtar fails for and others leave out.
func bsdtarFlags() string {
	if os.Getuid() == 0 {
		return "--xattrs"
	}
	return "--no-xattrs"
}

// archivers are programs that list and extract archives, as commands with FILE and, to extract, DIR.
var archivers = map[string]struct {
	always        bool // is on every machine
	list, extract []string
}{
	"GNU tar": {true, []string{"tar", "-tvf", "FILE"}, []string{"tar", "--numeric-owner", "-xpf", "FILE", "-C", "DIR"}},
	"bsdtar":  {false, []string{"bsdtar", "-tvf", "FILE"}, []string{"bsdtar", "--numeric-owner", "-xpf", "FILE", bsdtarFlags(), "-C", "DIR"}},
	"Python": {false, []string{"python3", "-W", "error", "-m", "tarfile", "-l", "FILE"}, []string{
		"python3", "-c", `import sys, tarfile; a = tarfile.open(sys.argv[1]); tarfile.TarFile.extraction_filter = staticmethod(lambda m, _: m); a.extractall(sys.argv[2], numeric_owner=True)`,
		"FILE", "DIR",
	}},
}

func TestOtherProgramsExtractLayers(t *testing.T) {
	tars, long := plainTars(t)
	for program, a := range archivers {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(a.list[0]); err != nil && !a.always {
				t.Skipf("there is no %s on this machine", a.list[0])
			}
			quietly(t, a.list, long, "")
			for name, path := range tars {
				quietly(t, a.list, path, "")
				dir := t.TempDir()
				quietly(t, a.extract, path, dir)
				checkTree(t, name, dir, read(t, path), false)
			}
		})
	}
}

// quietly runs a command that must succeed without a word on stderr.
func quietly(t *testing.T, command []string, file, dir string) {
	t.Helper()
	var args []string
	for _, a := range command {
		switch a {
		case "FILE":
			a = file
		case "DIR":
			a = dir
		}
		args = append(args, a)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %v\n%s", args, err, stderr.String())
	}
}

// checkTree compares a directory with the members that were unpacked into it. A container runtime obeys whiteouts.
func checkTree(t *testing.T, layer, dir string, members []member, whiteouts bool) {
	t.Helper()
	want := map[string]member{}
	for _, m := range members {
		name := strings.TrimSuffix(m.Name, "/")
		if whiteouts && strings.HasPrefix(filepath.Base(name), ".wh.") {
			continue
		}
		if m.Typeflag == tar.TypeLink {
			target := want[m.Linkname]
			checkSameFile(t, layer, filepath.Join(dir, name), filepath.Join(dir, m.Linkname))
			m = target
		}
		want[name] = m
	}
	bazeltest.Must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		m, ok := want[name]
		if !ok {
			if !d.IsDir() {
				t.Errorf("%s: %q is not in the layer", layer, name)
			}
			return nil
		}
		delete(want, name)
		if got, want := describeFile(t, path), describeMember(m); got != want {
			t.Errorf("%s: %q is %s: want %s", layer, name, got, want)
		}
		return nil
	}))
	for name := range want {
		t.Errorf("%s: %q was not unpacked", layer, name)
	}
}

func checkSameFile(t *testing.T, layer, a, b string) {
	t.Helper()
	x, err := os.Lstat(a)
	bazeltest.Must(t, err)
	y, err := os.Lstat(b)
	bazeltest.Must(t, err)
	if !os.SameFile(x, y) {
		t.Errorf("%s: %s is no hard link to %s", layer, a, b)
	}
}

func describeFile(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	bazeltest.Must(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	text := ""
	switch {
	case info.Mode().IsRegular():
		b, err := os.ReadFile(path)
		bazeltest.Must(t, err)
		text = string(b)
	case info.Mode()&fs.ModeSymlink != 0:
		text, err = os.Readlink(path)
		bazeltest.Must(t, err)
	}
	return describeAs(info, int(stat.Uid), int(stat.Gid), text)
}

func describeMember(m member) string {
	return describeAs(m.FileInfo(), m.Uid, m.Gid, m.content+m.Linkname)
}

// describeAs leaves out the mode of symlinks, which they do not have, and what only root can give for certain: owners, and with them the rights of
// owners to whoever runs a program.
func describeAs(info fs.FileInfo, uid, gid int, text string) string {
	mode := info.Mode()
	if mode&fs.ModeSymlink != 0 {
		mode = fs.ModeSymlink
	}
	if os.Getuid() != 0 {
		mode &^= fs.ModeSetuid | fs.ModeSetgid
	}
	s := fmt.Sprintf("%s %s", mode, shown(text))
	if os.Getuid() == 0 {
		s += fmt.Sprintf(" %d:%d", uid, gid)
	}
	if mode.IsRegular() {
		s += fmt.Sprintf(" at %d", info.ModTime().Unix())
	}
	return s
}

// TestTheOrderOfArchives looks at what image specifications ask of every layer that is made here.
func TestTheOrderOfArchives(t *testing.T) {
	tars, long := plainTars(t)
	tars["long_names"] = long
	for name, path := range tars {
		switch name {
		case "rootfs", "tar_recompressed", "tar_of_another_type":
			continue // are as somebody else made them
		}
		seen := map[string]bool{}
		for _, m := range read(t, path) {
			p := strings.TrimSuffix(m.Name, "/")
			if seen[p] {
				t.Errorf("%s: %q is there twice", name, m.Name)
			}
			if m.Typeflag == tar.TypeLink && !seen[m.Linkname] {
				t.Errorf("%s: %q links to %q, which does not come before it", name, m.Name, m.Linkname)
			}
			for other := range seen {
				if m.Typeflag == tar.TypeDir && strings.HasPrefix(other, p+"/") {
					t.Errorf("%s: the directory %q comes after %q", name, m.Name, other)
				}
			}
			seen[p] = true
		}
		b, err := os.ReadFile(path)
		bazeltest.Must(t, err)
		if len(b)%512 != 0 || !bytes.HasSuffix(b, make([]byte, 1024)) {
			t.Errorf("%s does not end in two blocks of zeros", name)
		}
	}
}
