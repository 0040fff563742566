//go:build linux

package daemons_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// program is a static program that prints the file /message.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "program-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "main.go")
	code := "package main\nimport \"os\"\nfunc main() { b, _ := os.ReadFile(\"/message\"); os.Stdout.Write(b) }\n"
	if err := os.WriteFile(source, []byte(code), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "program"), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GO111MODULE=off")
	if _, err := cmd.Output(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "program"))
})

// layer is a layer, and what it is when it is not compressed.
type layer struct {
	mediaType string
	body      []byte
	diffID    oci.Digest
}

type file struct {
	name string
	mode int64
	body []byte
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, files ...file) layer {
	t.Helper()
	raw := tarOf(t, files...)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(raw)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return layer{mediaType: oci.MediaTypeLayerGzip, body: b.Bytes(), diffID: oci.DigestOf(raw)}
}

func zstandard(t testing.TB, files ...file) layer {
	t.Helper()
	raw := tarOf(t, files...)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return layer{mediaType: oci.MediaTypeLayerZstd, body: w.EncodeAll(raw, nil), diffID: oci.DigestOf(raw)}
}

func stored(t testing.TB, files ...file) layer {
	t.Helper()
	raw := tarOf(t, files...)
	return layer{mediaType: oci.MediaTypeLayer, body: raw, diffID: oci.DigestOf(raw)}
}

// image adds an image of layers, which runs /program, to s.
func image(t testing.TB, s *mem.Store, p oci.Platform, layers ...layer) oci.Descriptor {
	t.Helper()
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest}
	var diffIDs []oci.Digest
	for _, l := range layers {
		m.Layers = append(m.Layers, s.Add(l.mediaType, l.body))
		diffIDs = append(diffIDs, l.diffID)
	}
	config := map[string]any{"os": p.OS, "architecture": p.Architecture, "config": map[string]any{"Entrypoint": []string{"/program"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}}
	if p.Variant != "" {
		config["variant"] = p.Variant
	}
	m.Config = s.Add(oci.MediaTypeConfig, encode(t, config))
	d := s.Add(oci.MediaTypeManifest, encode(t, m))
	d.Platform = &p
	return d
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var own = oci.NormalizePlatform(oci.Platform{OS: "linux", Architecture: runtime.GOARCH})

// other is a platform that this machine does not run.
var other = oci.Platform{OS: "linux", Architecture: "s390x"}

const large = 3 << 20

// app is an image of three layers: a large one, the program and a message. It is the tests' image, in as many versions
// as there are messages; seed makes its layers others than other tests'.
func app(t testing.TB, s *mem.Store, seed, message string) oci.Descriptor {
	t.Helper()
	return image(t, s, own, append(below(t, seed), gzipped(t, file{"message", 0o644, []byte(message)}, file{"of", 0o644, []byte(seed)}))...)
}

func below(t testing.TB, seed string) []layer {
	t.Helper()
	p, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return []layer{
		gzipped(t, file{"large", 0o644, blobtest.Bytes(seed, large)}),
		stored(t, file{"program", 0o755, p}, file{"seed", 0o644, []byte(seed)}),
	}
}
