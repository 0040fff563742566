package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// requestOf writes a request into a new working directory and returns the argument that names it.
func requestOf(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return "@" + path
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v; want %q", err, want)
	}
}

// layoutRequest is one for an index of two images that share a layer, whose blob only the second has.
func layoutRequest(t *testing.T, out string, second bool) string {
	t.Helper()
	source, files := &mem.Store{}, t.TempDir()
	shared := []byte("the shared layer")
	images := []oci.Descriptor{
		blobtest.Image(t, source, oci.Platform{OS: "linux", Architecture: "amd64"}, shared),
		blobtest.Image(t, source, oci.Platform{OS: "linux", Architecture: "arm64"}, shared),
	}
	root := blobtest.Index(t, source, images...)
	from := dir.Store{Root: files, Volatile: true}
	if _, err := blob.Copy(t.Context(), from, source, blob.CopyOptions{}, root); err != nil {
		t.Fatal(err)
	}
	path := func(d oci.Descriptor) string { p, _ := from.Path(d); return p }
	lines := []string{
		`{"kind":"layout","version":1,"name":"//:a","format":"directory"}`,
		fmt.Sprintf(`{"type":"root","from":%q}`, path(root)), fmt.Sprintf(`{"type":"out","from":%q}`, out), fmt.Sprintf(`{"type":"blob","from":%q}`, path(root)),
	}
	var layer oci.Descriptor
	for _, image := range images {
		body, err := os.ReadFile(path(image))
		if err != nil {
			t.Fatal(err)
		}
		var m oci.Manifest
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		layer = m.Layers[0]
		lines = append(lines, fmt.Sprintf(`{"type":"blob","from":%q}`, path(image)), fmt.Sprintf(`{"type":"blob","from":%q}`, path(m.Config)))
	}
	metadata, err := json.Marshal(manifest.Layer{Name: "base", MediaType: layer.MediaType, Digest: layer.Digest, Size: layer.Size, DiffID: layer.Digest})
	if err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(files, "layer.json")
	if err := os.WriteFile(known, metadata, 0o644); err != nil {
		t.Fatal(err)
	}
	lines = append(lines, fmt.Sprintf(`{"type":"layer","from":%q}`, known))
	if second {
		lines = append(lines, fmt.Sprintf(`{"type":"layer","from":%q,"blob":%q}`, known, path(layer)))
	}
	return requestOf(t, lines...)
}

func TestALayerIsNotMissingThatAnotherImageHas(t *testing.T) {
	out := filepath.Join(t.TempDir(), "layout")
	if err := run(t.Context(), testProcess(nil, nil, "layout", layoutRequest(t, out, true))); err != nil {
		t.Fatal(err)
	}
	l, err := layout.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	root, err := l.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Copy(t.Context(), &mem.Store{}, blob.Verify("layout", l), blob.CopyOptions{}, root); err != nil {
		t.Errorf("the layout is not whole: %v", err)
	}
}

func TestALayerThatNoImageHasIsMissing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "layout")
	err := run(t.Context(), testProcess(nil, nil, "layout", layoutRequest(t, out, false)))
	wantError(t, err, `(one of 1 that are missing) is not here, because the base was pulled with layer_handling = "shallow"`)
}
