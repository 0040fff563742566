package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tarOf writes members: a header, whose content is the text that follows it.
func tarOf(t testing.TB, members ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(members); i++ {
		h := members[i].(tar.Header)
		content := ""
		if i+1 < len(members) {
			if s, ok := members[i+1].(string); ok {
				content, i = s, i+1
			}
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		h.Size = int64(len(content))
		must(t, w.WriteHeader(&h))
		_, err := io.WriteString(w, content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// someTar has a bit of everything that layers have.
func someTar(t testing.TB) []byte {
	long := strings.Repeat("long-name/", 40) + "end"
	at := time.Unix(1700000000, 250000000)
	return tarOf(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "made by hand", "uname": "global", "mtime": "1600000000.5"}},
		tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeDir, Name: "./etc/", Mode: 0o755, Uname: "root", ModTime: at, Format: tar.FormatPAX},
		tar.Header{Name: "./etc/b", Mode: 0o4755, Uid: 1, Gid: 2}, "bee",
		tar.Header{Name: "/etc/a", Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y", "LIBARCHIVE.creationtime": "1"}}, "first",
		tar.Header{Typeflag: tar.TypeLink, Name: "etc/0-linked", Linkname: "./etc/b"},
		tar.Header{Typeflag: tar.TypeLink, Name: "etc/below", Linkname: "usr/lower/layer"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "etc/link", Linkname: "../etc/a", Mode: 0o777},
		tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3},
		tar.Header{Typeflag: tar.TypeBlock, Name: "dev/sda", Mode: 0o660, Devmajor: 8},
		tar.Header{Typeflag: tar.TypeFifo, Name: "run/pipe", Mode: 0o600},
		tar.Header{Name: "var/.wh.gone"},
		tar.Header{Name: "var/+", Mode: 0o600}, "plus",
		tar.Header{Name: "var/.wh..wh..opq"},
		tar.Header{Name: "etc/a", Mode: 0o600}, "last wins",
		tar.Header{Name: long, Mode: 0o600}, "bee",
		tar.Header{Name: "stargz.index.json"}, "the index of what this was made of",
	)
}

const someListing = `./ d755 0:0 global at 1600000000.5
dev/null c666 0:0 1,3 global at 1600000000.5
dev/sda b660 0:0 8,0 global at 1600000000.5
etc/ d755 0:0 global at 1700000000.2
etc/0-linked -4755 1:2 "bee" global at 1600000000.5
etc/a -600 0:0 "last wins" global at 1600000000.5
etc/b = etc/0-linked
etc/below = usr/lower/layer
etc/link l777 0:0 -> ../etc/a global at 1600000000.5
LONG/end -600 0:0 "bee" global at 1600000000.5
run/pipe p600 0:0 global at 1600000000.5
var/.wh..wh..opq -0 0:0 "" global at 1600000000.5
var/.wh.gone -0 0:0 "" global at 1600000000.5
var/+ -600 0:0 "plus" global at 1600000000.5
`

func file(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layer.tar")
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	// Two members, the first with all that a header may have.
	for i, part := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		w := gzip.NewWriter(&out)
		if i == 0 {
			w.Name, w.Comment, w.Extra, w.ModTime = "layer.tar", "by hand", []byte("XX\x02\x00yz"), time.Unix(1, 0)
		}
		w.Write(part)
		must(t, w.Close())
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	must(t, err)
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}
	out := e.EncodeAll(b[:len(b)/2], skippable)
	out = append(out, skippable...)
	return append(e.EncodeAll(b[len(b)/2:], out), skippable...)
}

func everyForm(t testing.TB, b []byte) map[layer.Format][]byte {
	return map[layer.Format][]byte{layer.None: b, layer.Gzip: gzipped(t, b), layer.Zstd: zstandard(t, b)}
}

func open(t testing.TB, b []byte) *Archive {
	t.Helper()
	a, err := Open(file(t, b))
	must(t, err)
	return a
}

func TestAnArchiveIsDescribedAsItIs(t *testing.T) {
	plain := someTar(t)
	for format, b := range everyForm(t, plain) {
		got, err := open(t, b).Inspect(context.Background())
		must(t, err)
		want := layer.Result{MediaType: format.MediaType(), Digest: oci.DigestOf(b), Size: int64(len(b)), DiffID: oci.DigestOf(plain)}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", format, d)
		}
	}
}

func TestRecompressionKeepsTheTar(t *testing.T) {
	noise := make([]byte, 5<<20)
	rand.Read(noise)
	plain := tarOf(t, tar.Header{Name: "a"}, "small", tar.Header{Name: "big"}, string(noise), tar.Header{Name: strings.Repeat("n", 400)}, "after")
	plain = append(plain, make([]byte, 7*512)...) // as GNU tar fills its record
	for from, b := range everyForm(t, plain) {
		for _, to := range []layer.Options{{Format: layer.None}, {Format: layer.Gzip, Level: 1}, {Format: layer.Zstd, Level: 1}} {
			var out bytes.Buffer
			result, err := open(t, b).Recompress(context.Background(), &out, to)
			must(t, err)
			if result.DiffID != oci.DigestOf(plain) || result.Digest != oci.DigestOf(out.Bytes()) {
				t.Errorf("%s to %s: result is %+v", from, to.Format, result)
			}
			again, err := open(t, out.Bytes()).Inspect(context.Background())
			must(t, err)
			if d := cmp.Diff(result, again); d != "" {
				t.Errorf("%s to %s (-result +what is there):\n%s", from, to.Format, d)
			}
		}
	}
}

// rewritten is the plain tar that an archive becomes when it is taken apart and written.
func rewritten(t testing.TB, b []byte) []byte {
	t.Helper()
	out, err := rewrite(t, b)
	must(t, err)
	return out
}

func rewrite(t testing.TB, b []byte) ([]byte, error) {
	t.Helper()
	spool, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	defer spool.Close()
	a, err := Open(file(t, b))
	if err != nil {
		return nil, err
	}
	entries, err := a.entries(context.Background(), spool, 64<<20)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = layer.Write(context.Background(), &out, entries, layer.Options{Format: layer.None})
	return out.Bytes(), err
}

func listing(t testing.TB, b []byte) string {
	t.Helper()
	var s strings.Builder
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return s.String()
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		fmt.Fprintln(&s, line(h, content))
	}
}

func line(h *tar.Header, content []byte) string {
	name := strings.ReplaceAll(h.Name, strings.Repeat("long-name/", 40), "LONG/")
	if h.Typeflag == tar.TypeLink {
		return name + " = " + h.Linkname
	}
	kind := map[byte]string{tar.TypeReg: "-", tar.TypeDir: "d", tar.TypeSymlink: "l", tar.TypeChar: "c", tar.TypeBlock: "b", tar.TypeFifo: "p"}[h.Typeflag]
	s := fmt.Sprintf("%s %s%o %d:%d", name, kind, h.Mode, h.Uid, h.Gid)
	switch kind {
	case "-":
		s += fmt.Sprintf(" %q", content)
	case "l":
		s += " -> " + h.Linkname
	case "c", "b":
		s += fmt.Sprintf(" %d,%d", h.Devmajor, h.Devminor)
	}
	for k, v := range h.PAXRecords {
		if strings.Contains(k, ".") {
			s += " " + k + "=" + v
		}
	}
	return s + fmt.Sprintf(" %s at %.1f", h.Uname, float64(h.ModTime.UnixMilli())/1000)
}

func TestAnArchiveIsTakenApart(t *testing.T) {
	plain := someTar(t)
	var first []byte
	for format, b := range everyForm(t, plain) {
		got := rewritten(t, b)
		if d := cmp.Diff(someListing, listing(t, got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", format, d)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(got, first) {
			t.Errorf("%s becomes other bytes than another compression of the same", format)
		}
	}
}

func TestGNUArchivesAreTakenApart(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "d", strings.Repeat("n", 200)), 0o755))
	deep := filepath.Join("d", strings.Repeat("n", 200), strings.Repeat("m", 200))
	must(t, os.WriteFile(filepath.Join(dir, deep), []byte("deep"), 0o644))
	must(t, os.Symlink(deep, filepath.Join(dir, "link")))
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	must(t, err)
	must(t, sparse.Truncate(3<<20))
	_, err = sparse.WriteAt([]byte("middle"), 2<<20)
	must(t, err)
	must(t, sparse.Close())

	for _, format := range [][]string{
		{"--format=gnu"}, {"--format=gnu", "--sparse"}, {"--format=oldgnu", "--sparse"}, {"--format=pax"},
		{"--format=pax", "--sparse", "--sparse-version=0.0"}, {"--format=pax", "--sparse", "--sparse-version=0.1"}, {"--format=pax", "--sparse", "--sparse-version=1.0"},
	} {
		path := filepath.Join(t.TempDir(), "gnu.tar")
		cmd := exec.Command("tar", append(format, "--sort=name", "-C", dir, "-cf", path, ".")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
		b, err := os.ReadFile(path)
		must(t, err)
		got := rewritten(t, b)
		var names []string
		for r := tar.NewReader(bytes.NewReader(got)); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			must(t, err)
			names = append(names, h.Name)
			if h.Name == "sparse" {
				content, err := io.ReadAll(r)
				must(t, err)
				if len(content) != 3<<20 || string(content[2<<20:2<<20+6]) != "middle" {
					t.Errorf("%v: the sparse file has not its content", format)
				}
			}
		}
		want := []string{"./", "d/", filepath.Dir(deep) + "/", deep, "link", "sparse"}
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("%v (-want +got):\n%s", format, d)
		}
		_, err = open(t, b).Inspect(context.Background())
		if old := slices.Contains(format, "--sparse") && !slices.Contains(format, "--format=pax"); old != (err != nil && strings.Contains(err.Error(), "set optimize = True")) {
			t.Errorf("%v: as it is, the error is %v", format, err)
		}
	}
}

// TestADebIsALayer takes the data.tar of a Debian package, as dpkg-deb makes it.
func TestADebIsALayer(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "p", "DEBIAN"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "p", "DEBIAN", "control"), []byte("Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n"), 0o644))
	must(t, os.MkdirAll(filepath.Join(dir, "p", "usr", "bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "p", "usr", "bin", "p"), []byte("#!/bin/sh\n"), 0o755))
	for _, z := range []string{"gzip", "none"} {
		deb := filepath.Join(dir, z+".deb")
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Z"+z, "-b", filepath.Join(dir, "p"), deb).CombinedOutput(); err != nil {
			t.Fatalf("dpkg-deb: %v\n%s", err, out)
		}
		b, err := os.ReadFile(deb)
		must(t, err)
		data := arMember(t, b, "data.tar")
		if _, err := open(t, data).Inspect(context.Background()); err != nil {
			t.Errorf("%s: %v", z, err)
		}
		var names []string
		for _, line := range strings.Split(strings.TrimSpace(listing(t, rewritten(t, data))), "\n") {
			name, _, _ := strings.Cut(line, " ")
			names = append(names, name)
		}
		if d := cmp.Diff([]string{"./", "usr/", "usr/bin/", "usr/bin/p"}, names); d != "" {
			t.Errorf("%s (-want +got):\n%s", z, d)
		}
	}
}

// arMember finds a member of an ar archive by how its name begins.
func arMember(t testing.TB, b []byte, prefix string) []byte {
	t.Helper()
	for b = b[8:]; len(b) >= 60; {
		var size int
		fmt.Sscan(string(b[48:58]), &size)
		if strings.HasPrefix(string(b[:16]), prefix) {
			return b[60 : 60+size]
		}
		b = b[60+size+size%2:]
	}
	t.Fatalf("there is no %s", prefix)
	return nil
}
