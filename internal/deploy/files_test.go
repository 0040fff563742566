package deploy

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestAFileOfAnotherSizeIsPassedOver, so that a base's registry is asked for what a file here is but the beginning of.
func TestAFileOfAnotherSizeIsPassedOver(t *testing.T) {
	body := "the layer"
	d := oci.Describe(oci.MediaTypeLayerGzip, []byte(body))
	for name, content := range map[string]string{"truncated": "the la", "empty": "", "longer": "the layers"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "layer.tgz")
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			files := NewFiles(Plan{Blobs: []Blob{{Descriptor: d, File: "layer.tgz"}}}, func(string) string { return file })
			if _, err := files.Open(t.Context(), d); !errors.Is(err, blob.ErrMismatch) || !strings.Contains(err.Error(), file) {
				t.Errorf("error is %v; want ErrMismatch and the file", err)
			}
			if path, ok := files.Path(d); ok {
				t.Errorf("%s is given out as the blob", path)
			}
			all := blob.Fallback(blob.Named{Name: "files", Source: files}, blob.Named{Name: "base", Source: blobtest.Content([]byte(body))})
			r, err := all.Open(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); string(got) != body || err != nil {
				t.Errorf("read %q, %v; want what the base has", got, err)
			}
		})
	}
}
