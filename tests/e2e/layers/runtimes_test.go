//go:build linux

package layers_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// suite is the Debian release whose containerd and umoci unpack the layers. See tools/daemons.
const suite = "trixie"

// layoutOf writes an image for each layer into an OCI layout, and returns their names.
func layoutOf(t *testing.T, dir string, blobs map[string]string) []string {
	t.Helper()
	bazeltest.Must(t, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755))
	put := func(mediaType string, b []byte) v1.Descriptor {
		d := oci.Describe(mediaType, b)
		bazeltest.Must(t, os.WriteFile(filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded()), b, 0o644))
		return d
	}
	encode := func(v any) []byte {
		b, err := json.Marshal(v)
		bazeltest.Must(t, err)
		return b
	}
	index := v1.Index{MediaType: v1.MediaTypeImageIndex}
	index.SchemaVersion = 2
	var names []string
	for name, path := range blobs {
		b, err := os.ReadFile(path)
		bazeltest.Must(t, err)
		raw, err := io.ReadAll(decompressed(t, path))
		bazeltest.Must(t, err)
		config := v1.Image{Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, RootFS: v1.RootFS{Type: "layers", DiffIDs: []oci.Digest{oci.DigestOf(raw)}}}
		m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: put(v1.MediaTypeImageConfig, encode(config)), Layers: []v1.Descriptor{put(mediaTypeOf(path), b)}}
		m.SchemaVersion = 2
		d := put(v1.MediaTypeImageManifest, encode(m))
		d.Annotations = map[string]string{v1.AnnotationRefName: name}
		index.Manifests = append(index.Manifests, d)
		names = append(names, name)
	}
	bazeltest.Must(t, os.WriteFile(filepath.Join(dir, "index.json"), encode(index), 0o644))
	bazeltest.Must(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	return names
}

func mediaTypeOf(path string) string {
	switch {
	case strings.HasSuffix(path, ".zst"):
		return v1.MediaTypeImageLayerZstd
	case strings.HasSuffix(path, "gz"):
		return v1.MediaTypeImageLayerGzip
	}
	return v1.MediaTypeImageLayer
}

// unpackable are the layers whose names a file system can hold.
func unpackable(t *testing.T) map[string]string {
	t.Helper()
	blobs := build(t, newWorkspace(t))
	delete(blobs, "long_names")
	return blobs
}

func TestUmociUnpacksLayers(t *testing.T) {
	debian := bazeltest.NewDebian(t, suite)
	dir := debian.Dir
	blobs := unpackable(t)
	for name, path := range blobs {
		if strings.HasSuffix(path, ".zst") {
			delete(blobs, name) // umoci of this version does not know zstd
		}
	}
	for _, name := range layoutOf(t, filepath.Join(dir, "layout"), blobs) {
		bundle := filepath.Join(dir, "bundle-"+name)
		debian.Run(t, "umoci", "unpack", "--image", filepath.Join(dir, "layout")+":"+name, bundle)
		checkTree(t, name, filepath.Join(bundle, "rootfs"), read(t, blobs[name]), true)
	}
}

func TestContainerdUnpacksLayers(t *testing.T) {
	containerd := bazeltest.StartDaemon(t, "containerd", suite)
	dir := containerd.Dir
	blobs := unpackable(t)
	names := layoutOf(t, filepath.Join(dir, "layout"), blobs)
	ctr := []string{"ctr", "-a", containerd.Socket, "images"}
	out, err := exec.Command("tar", "-C", filepath.Join(dir, "layout"), "-cf", filepath.Join(dir, "layout.tar"), ".").CombinedOutput()
	if err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	containerd.Run(t, append(ctr, "import", "--base-name", "test/layers", "--all-platforms", "--snapshotter", "native", filepath.Join(dir, "layout.tar"))...)
	for _, name := range names {
		out := filepath.Join(dir, "out-"+name)
		bazeltest.Must(t, os.MkdirAll(out, 0o755))
		mount := strings.Join(append(ctr, "mount", "--platform", "linux/amd64", "--snapshotter", "native", "test/layers:"+name, out+".mount"), " ")
		containerd.Run(t, "bash", "-c", "mkdir "+out+".mount && "+mount+" && cp -a "+out+".mount/. "+out)
		members := read(t, blobs[name])
		checkTree(t, name, out, members, true)
		checkAttributes(t, name, out, members)
	}
}

// checkAttributes looks for the extended attributes that PAX records ask for.
func checkAttributes(t *testing.T, layer, dir string, members []member) {
	t.Helper()
	for _, m := range members {
		for k, want := range m.PAXRecords {
			name, ok := strings.CutPrefix(k, "SCHILY.xattr.")
			if !ok {
				continue
			}
			b := make([]byte, 1000)
			n, err := syscall.Getxattr(filepath.Join(dir, m.Name), name, b)
			if err != nil || string(b[:n]) != want {
				t.Errorf("%s: %q has the attribute %s %q: %v: want %q", layer, m.Name, name, b[:max(n, 0)], err, want)
			}
		}
	}
}
