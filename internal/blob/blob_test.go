package blob_test

import (
	"context"
	"io"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// directory is a store with the given blobs that offers paths and ranges.
func directory(t *testing.T, bodies [][]byte) dir.Store {
	t.Helper()
	s := dir.Store{Root: t.TempDir(), Volatile: true}
	for _, b := range bodies {
		if err := s.Put(t.Context(), blobtest.Describe(b), blobtest.Content(b)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// failing is a source that always fails.
type failing struct{ err error }

func (f failing) Open(context.Context, oci.Descriptor) (io.ReadCloser, error) { return nil, f.err }

func readFrom(t *testing.T, s blob.Source) func(oci.Descriptor) ([]byte, error) {
	return func(d oci.Descriptor) ([]byte, error) {
		t.Helper()
		r, err := s.Open(t.Context(), d)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
}
