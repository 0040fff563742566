package layout_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// saved is a file of a docker archive; one with a target is a symlink.
type saved struct{ name, body, target string }

func dockerArchive(t testing.TB, files ...saved) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.body))}
		if f.target != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.target
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(f.body))
	}
	w.Close()
	path := filepath.Join(t.TempDir(), "saved.tar")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func configOf(t testing.TB, layers ...string) string {
	t.Helper()
	ids := []oci.Digest{}
	for _, l := range layers {
		ids = append(ids, oci.DigestOf([]byte(l)))
	}
	b, err := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func gzipText(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

// oldSave is what docker save wrote before it wrote layouts: one layer a symlink to another image's, and here one compressed.
func oldSave(t testing.TB) string {
	return dockerArchive(t,
		saved{name: "aaa/layer.tar", body: "first"},
		saved{name: "bbb/layer.tar", target: "../aaa/layer.tar"},
		saved{name: "ccc/layer.tar", body: gzipText("second")},
		saved{name: "abc.json", body: configOf(t, "first", "second")},
		saved{name: "manifest.json", body: `[{"Config":"abc.json","RepoTags":["app:v1"],"Layers":["bbb/layer.tar","ccc/layer.tar"]}]`})
}

func TestADockerArchiveIsOpenedAsALayout(t *testing.T) {
	l, err := layout.OpenAny(oldSave(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	root, err := l.Root()
	if err != nil {
		t.Fatal(err)
	}
	got := &mem.Store{}
	if _, err := blob.Copy(t.Context(), got, blob.Verify("archive", l), blob.CopyOptions{}, root); err != nil {
		t.Fatal(err)
	}
	body, err := blob.ReadAll(t.Context(), "copy", got, root)
	if err != nil {
		t.Fatal(err)
	}
	var m oci.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Layers) != 2 || m.Layers[0].MediaType != oci.MediaTypeLayer || m.Layers[1].MediaType != oci.MediaTypeLayerGzip {
		t.Errorf("layers are %v", m.Layers)
	}
	if all, err := l.Manifests(t.Context()); err != nil || len(all) != 1 || all[0].Platform.Architecture != "amd64" {
		t.Errorf("manifests are %v, %v", all, err)
	}
}

func TestOpenAnyOpensLayoutsToo(t *testing.T) {
	source := &mem.Store{}
	folder := t.TempDir()
	if _, err := layout.WriteDirectory(t.Context(), folder+"/l", source, layout.Directory{Volatile: true}, layout.Image{Root: index(t, source)}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := layout.WriteArchive(t.Context(), &b, source, nil, layout.Image{Root: index(t, source)}); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(folder+"/l.tar", b.Bytes(), 0o644)
	for _, path := range []string{folder + "/l", folder + "/l.tar"} {
		l, err := layout.OpenAny(path)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := l.Check(t.Context()); wrong != nil {
			t.Errorf("%s: %v", path, wrong)
		}
		l.Close()
	}
}

func TestOpenAnySaysWhatIsWrong(t *testing.T) {
	config := configOf(t, "first")
	for want, files := range map[string][]saved{
		"neither an OCI image layout nor a docker archive": {{name: "x", body: "y"}},
		"manifest.json: json":                              {{name: "manifest.json", body: "{}"}},
		"abc.json: file does not":                          {{name: "manifest.json", body: `[{"Config":"abc.json"}]`}},
		"has 0 layers, and its config 1 diff IDs": {
			{name: "abc.json", body: config}, {name: "manifest.json", body: `[{"Config":"abc.json"}]`}},
		`the layer "l.tar", which the archive has not`: {
			{name: "abc.json", body: config}, {name: "manifest.json", body: `[{"Config":"abc.json","Layers":["l.tar"]}]`}},
		`digest "sha256:../x"`: {
			{name: "abc.json", body: `{"rootfs":{"diff_ids":["sha256:../x"]}}`}, {name: "l.tar", body: "x"},
			{name: "manifest.json", body: `[{"Config":"abc.json","Layers":["l.tar"]}]`}},
		"which the archive has not": {
			{name: "abc.json", body: config}, {name: "l.tar", target: "l.tar"}, {name: "manifest.json", body: `[{"Config":"abc.json","Layers":["l.tar"]}]`}},
	} {
		l, err := layout.OpenAny(dockerArchive(t, files...))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v; want %q", err, want)
		}
		if err == nil {
			l.Close()
		}
	}
}

func TestCheckSaysWhatIsWrongWithALayout(t *testing.T) {
	folder := t.TempDir()
	missing := oci.DigestOf([]byte("missing"))
	os.WriteFile(filepath.Join(folder, "oci-layout"), []byte(`{"imageLayoutVersion":"0.1"}`), 0o644)
	os.WriteFile(filepath.Join(folder, "index.json"), []byte(`{"mediaType":"text/plain","manifests":[{"digest":"`+missing+`"}]}`), 0o644)
	l := openLayout(t, folder)
	var got []string
	for _, err := range l.Check(t.Context()) {
		got = append(got, err.Error())
	}
	for i, want := range []string{`version "0.1"`, "schemaVersion is 0", `mediaType is "text/plain"`, "not found"} {
		if i >= len(got) || !strings.Contains(got[i], want) {
			t.Errorf("finding %d of %q is not %q", i, got, want)
		}
	}
}

func FuzzOpenAny(f *testing.F) {
	b, err := os.ReadFile(oldSave(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, body []byte) {
		path := filepath.Join(t.TempDir(), "archive.tar")
		os.WriteFile(path, body, 0o644)
		l, err := layout.OpenAny(path)
		if err != nil {
			return
		}
		defer l.Close()
		l.Check(t.Context())
		l.Manifests(t.Context())
		if root, err := l.Root(); err == nil {
			blob.Copy(t.Context(), &mem.Store{}, l, blob.CopyOptions{}, root)
		}
	})
}
