package inspect_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made is a layer in the making.
type made struct {
	descriptor oci.Descriptor
	diffID     oci.Digest
}

// store has images, and counts what is read of them.
type store struct {
	mem.Store
	moved atomic.Int64
}

func (s *store) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.OpenRange(ctx, d, 0)
}

func (s *store) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	r, err := s.Store.OpenRange(ctx, d, offset)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		s.moved.Add(int64(n))
		return n, err
	}), r}, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// archive is a tar of members, as MODE UID PATH[=CONTENT|->TARGET|==HARD LINK|/].
func archive(t testing.TB, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h, content := header(t, m)
		must(t, w.WriteHeader(h))
		io.WriteString(w, content)
	}
	must(t, w.Close())
	return b.Bytes()
}

func header(t testing.TB, spec string) (*tar.Header, string) {
	t.Helper()
	var mode int64
	var uid int
	if _, err := fmt.Sscanf(spec, "%o %d", &mode, &uid); err != nil {
		t.Fatalf("%q: %v", spec, err)
	}
	what := strings.SplitN(spec, " ", 3)[2]
	h := &tar.Header{Mode: mode, Uid: uid, Gid: uid, Typeflag: tar.TypeReg}
	if name, target, ok := strings.Cut(what, "->"); ok {
		h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeSymlink
		return h, ""
	}
	if name, target, ok := strings.Cut(what, "=="); ok {
		h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeLink
		return h, ""
	}
	name, content, _ := strings.Cut(what, "=")
	if strings.HasSuffix(name, "/") {
		h.Typeflag = tar.TypeDir
	}
	h.Name, h.Size = name, int64(len(content))
	return h, content
}

// gzipLayer puts a tar into s as a layer.
func gzipLayer(s *store, plain []byte) made {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(plain)
	z.Close()
	return made{s.Add(oci.MediaTypeLayerGzip, b.Bytes()), oci.DigestOf(plain)}
}

// lazyLayer puts files into s as a layer that has an index.
func lazyLayer(t testing.TB, s *store, format layer.Format, files map[string]string) made {
	t.Helper()
	dir := t.TempDir()
	entries := []layer.Entry{{Path: "dir", Kind: layer.Directory, Metadata: &layer.Metadata{Mode: 0o755}}, {Path: "link", Kind: layer.Symlink, Target: "dir"}}
	for name, content := range files {
		from := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		must(t, os.WriteFile(from, []byte(content), 0o644))
		entries = append(entries, layer.Entry{Path: name, From: from, Size: int64(len(content)), Metadata: &layer.Metadata{Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}}})
	}
	entries, err := layer.Arrange(t.Context(), entries)
	must(t, err)
	var b bytes.Buffer
	r, err := layer.Write(t.Context(), &b, entries, layer.Options{Format: format, Level: 1, Estargz: true})
	must(t, err)
	d := s.Add(r.MediaType, b.Bytes())
	d.Annotations = r.Annotations
	return made{d, r.DiffID}
}

// image puts an image of layers into s. edit may change the config and the manifest.
func image(t testing.TB, s *store, edit func(config map[string]any, m *oci.Manifest), layers ...made) oci.Descriptor {
	t.Helper()
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest, Layers: []oci.Descriptor{}}
	ids := []oci.Digest{}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.descriptor)
		ids = append(ids, l.diffID)
	}
	config := map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": ids},
		"config": map[string]any{"Env": []string{"PATH=/bin"}, "Entrypoint": []string{"/app"}},
	}
	if edit != nil {
		edit(config, &m)
	}
	if m.Config.Digest == "" {
		m.Config = s.Add(oci.MediaTypeConfig, encode(t, config))
	}
	return s.Add(m.MediaType, encode(t, m))
}

func index(t testing.TB, s *store, platforms map[string]oci.Descriptor) oci.Descriptor {
	t.Helper()
	i := oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{}}
	for _, name := range []string{"linux/amd64", "linux/arm64"} {
		if d, ok := platforms[name]; ok {
			p, err := oci.ParsePlatform(name)
			must(t, err)
			d.Platform = &p
			i.Manifests = append(i.Manifests, d)
		}
	}
	return s.Add(i.MediaType, encode(t, i))
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

var _ blob.RangeOpener = (*store)(nil)
