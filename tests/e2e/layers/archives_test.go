package layers_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// layerMetadata is what a metadata file says.
type layerMetadata struct {
	Name        string            `json:"name"`
	MediaType   string            `json:"mediaType"`
	Digest      oci.Digest        `json:"digest"`
	Size        int64             `json:"size"`
	DiffID      oci.Digest        `json:"diff_id"`
	Annotations map[string]string `json:"annotations"`
}

// describe reads a blob as its metadata should say.
func describe(t *testing.T, name, mediaType, path string, annotations map[string]string) layerMetadata {
	t.Helper()
	b, err := os.ReadFile(path)
	bazeltest.Must(t, err)
	raw, err := io.ReadAll(decompressed(t, path))
	bazeltest.Must(t, err)
	return layerMetadata{"//:" + name, mediaType, oci.DigestOf(b), int64(len(b)), oci.DigestOf(raw), annotations}
}

func TestLayersFromArchives(t *testing.T) {
	w := newWorkspace(t)
	w.Bazel("build", "//:tar_metadata", "//:tar_as_it_is", "//:tar_optimized", "//:tar_recompressed", "//:tar_of_another_type")
	bin := strings.TrimSpace(w.Bazel("info", "bazel-bin"))
	for name, want := range map[string]layerMetadata{
		"tar_as_it_is":        describe(t, "tar_as_it_is", oci.MediaTypeLayerGzip, filepath.Join(bin, "rootfs.tar.gz"), map[string]string{"a": "b"}),
		"tar_recompressed":    describe(t, "tar_recompressed", oci.MediaTypeLayerZstd, filepath.Join(bin, "tar_recompressed.tar.zst"), nil),
		"tar_optimized":       describe(t, "tar_optimized", oci.MediaTypeLayerGzip, filepath.Join(bin, "tar_optimized.tgz"), nil),
		"tar_of_another_type": describe(t, "tar_of_another_type", "application/vnd.example.files.tar", filepath.Join(bin, "tar_of_another_type.tar"), nil),
	} {
		var got layerMetadata
		b, err := os.ReadFile(filepath.Join(bin, name+".metadata.json"))
		bazeltest.Must(t, err)
		bazeltest.Must(t, json.Unmarshal(b, &got))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-the blob +its metadata):\n%s", name, d)
		}
		if source := describe(t, "", "", filepath.Join(bin, "rootfs.tar.gz"), nil).DiffID; (got.DiffID == source) != (name != "tar_optimized") {
			t.Errorf("%s: diff ID %s, the source's is %s", name, got.DiffID, source)
		}
	}
}
