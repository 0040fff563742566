package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/manifest"
)

// makePackage builds a package of files, path → content, and returns the folder it is in.
func makePackage(t *testing.T, name, architecture string, files map[string]string) string {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb on this machine")
	}
	root, debs := t.TempDir(), t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	control := fmt.Sprintf("Package: %s\nVersion: 1:2-3\nArchitecture: %s\nMaintainer: nobody <nobody@invalid>\nDescription: a test\n", name, architecture)
	for path, content := range files {
		write(t, filepath.Join(root, path), content)
	}
	write(t, filepath.Join(root, "DEBIAN/control"), control)
	build := exec.Command("dpkg-deb", "--root-owner-group", "--build", root, filepath.Join(debs, name+"_1%3a2-3_"+architecture+".deb"))
	build.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	return debs
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestUnpackDoesWhatScriptsWouldDo(t *testing.T) {
	debs := makePackage(t, "all-in-one", "amd64", map[string]string{
		"bin/sh":                               "shell",
		"lib/libc.so":                          "libc",
		"usr/sbin/update-passwd":               "program",
		"usr/lib/x86_64/gconv/CP850.so":        "left out",
		"usr/share/base-passwd/passwd.master":  "root:*:0:0\n",
		"usr/share/ca-certificates/a/one.crt":  "one\n",
		"usr/share/ca-certificates/a/two.crt":  "two",
		"usr/share/doc/all-in-one/copyright":   "a licence",
		"usr/share/doc/all-in-one/changelog":   "left out",
		"usr/share/doc/all-in-one/copyright.x": "left out",
		"usr/share/man/man1/sh.1":              "left out",
	})
	tree := tree{scratch: t.TempDir(), seen: map[string]bool{}}
	deb, err := find(debs, "all-in-one", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.unpack(t.Context(), "all-in-one", deb); err != nil {
		t.Fatal(err)
	}
	if err := tree.finish(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"bin -> usr/bin",
		"etc/passwd: root:*:0:0\n",
		"etc/ssl/certs/ca-certificates.crt: one\ntwo\n",
		"lib -> usr/lib",
		"sbin -> usr/sbin",
		"usr/bin/sh: shell",
		"usr/lib/libc.so: libc",
		"usr/sbin/update-passwd: program",
		"usr/share/base-passwd/passwd.master: root:*:0:0\n",
		"usr/share/ca-certificates/a/one.crt: one\n",
		"usr/share/ca-certificates/a/two.crt: two",
		"usr/share/doc/all-in-one/copyright: a licence",
	}
	if d := cmp.Diff(want, show(t, tree.entries)); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
}

// show lists files and links. What dpkg would know is left out: its form is dpkg-deb's.
func show(t *testing.T, entries []layer.Entry) []string {
	t.Helper()
	var out []string
	for _, e := range entries {
		switch {
		case e.Kind == layer.Symlink:
			out = append(out, e.Path+" -> "+e.Target)
		case e.Kind == layer.File && !strings.HasPrefix(e.Path, "var/lib/dpkg/"):
			b, err := os.ReadFile(e.From)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, e.Path+": "+string(b))
		}
	}
	slices.Sort(out)
	return out
}

func TestLayerIsSameBytesEachTime(t *testing.T) {
	debs := makePackage(t, "some", "all", map[string]string{"usr/share/some/file": "content", "etc/some.conf": "on"})
	made := func() manifest.Layer {
		b := builder{debs: debs, scratch: t.TempDir(), store: dir.Store{Root: t.TempDir(), Volatile: true}, shared: map[string]manifest.Layer{}}
		l, err := b.layer(t.Context(), group{name: "some", packages: []string{"some"}, all: true}, "arm64")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := made()
	if want := "Debian bookworm: some 1:2-3"; first.Name != want {
		t.Errorf("the layer's name is %q: want %q", first.Name, want)
	}
	if d := cmp.Diff(first, made()); d != "" {
		t.Errorf("the second build differs (-first +second):\n%s", d)
	}
}

func TestMissingPackageIsAnErrorThatNamesIt(t *testing.T) {
	_, err := find(t.TempDir(), "libc6", "arm64")
	if err == nil || !strings.Contains(err.Error(), "package libc6 for arm64: is not there") {
		t.Errorf("error is %v", err)
	}
}
