package deploy

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestOutputsAreTakenOnlyWhenTheyAreTheBlob(t *testing.T) {
	body := "the layer"
	d := oci.Describe(oci.MediaTypeLayerGzip, []byte(body))
	plan := Plan{Blobs: []Blob{{Descriptor: d, Output: "bazel-out/bin/l.tgz"}}}
	for name, row := range map[string]struct{ content, says string }{
		"the same bytes":     {content: body},
		"other bytes":        {content: "the loyer", says: "is of another build"},
		"more bytes":         {content: body + ".", says: "is of another build"},
		"nothing (and root)": {says: "no file"},
	} {
		t.Run(name, func(t *testing.T) {
			empty, root := t.TempDir(), t.TempDir()
			file := filepath.Join(root, "bazel-out", "bin", "l.tgz")
			if row.content != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(row.content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r, err := NewOutputs(plan, empty, root).Open(t.Context(), d)
			if row.says != "" {
				if !errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), file+" "+row.says) && !strings.Contains(err.Error(), row.says+" "+file) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); string(got) != body || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// TestCancellingEndsTheLookAtAnOutput, which may have many bytes to be read.
func TestCancellingEndsTheLookAtAnOutput(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "x"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := oci.Describe(oci.MediaTypeLayerGzip, []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewOutputs(Plan{Blobs: []Blob{{Descriptor: d, Output: "x"}}}, root).Open(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestOutputsWithoutARootSaySo(t *testing.T) {
	d := oci.Describe(oci.MediaTypeLayerGzip, []byte("x"))
	plan := Plan{Blobs: []Blob{{Descriptor: d, Output: "bazel-out/x"}}}
	if _, err := NewOutputs(plan).Open(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
	if _, err := NewOutputs(Plan{}, t.TempDir()).Open(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func TestMergedPlansKnowEveryCacheOnce(t *testing.T) {
	a, b := Cache{Remote: "grpc://a"}, Cache{Disk: "~/b"}
	merged := Merge("all", Plan{}.WithCaches(a), Plan{}.WithCaches(Cache{}, b, a)).WithCaches(b)
	if len(merged.Caches) != 2 || merged.Caches[0] != a || merged.Caches[1] != b {
		t.Errorf("caches are %v", merged.Caches)
	}
}

func TestABlobOfTheBuildIsNotHintedAtInTheBase(t *testing.T) {
	d := oci.Describe(oci.MediaTypeLayerGzip, []byte("x"))
	for _, row := range []struct {
		blob Blob
		want int
	}{{Blob{Descriptor: d}, 1}, {Blob{Descriptor: d, File: "f"}, 0}, {Blob{Descriptor: d, Output: "o"}, 0}} {
		if got := (Plan{Blobs: []Blob{row.blob}}).Elsewhere(); len(got) != row.want {
			t.Errorf("%+v: elsewhere are %v", row.blob, got)
		}
	}
}
