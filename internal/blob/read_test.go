package blob_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestReadAllReadsWhatTheDescriptorSays(t *testing.T) {
	body := []byte(`{"schemaVersion":2}`)
	d := blobtest.Describe(body)
	if got, err := blob.ReadAll(t.Context(), "cache", blobtest.Content(body), d); err != nil || string(got) != string(body) {
		t.Errorf("read %q, %v", got, err)
	}
	for _, wrong := range []string{"", `{"schemaVersion":`, `{"schemaVersion":3}`, `{"schemaVersion":2}.`} {
		if _, err := blob.ReadAll(t.Context(), "cache", blobtest.Content([]byte(wrong)), d); !errors.Is(err, blob.ErrMismatch) || !strings.HasPrefix(err.Error(), "cache: ") {
			t.Errorf("of %q: error is %v; want ErrMismatch and the side", wrong, err)
		}
	}
}

func TestReadAllTakesAManifestOfTheLargestSizeAndNoMore(t *testing.T) {
	body := make([]byte, oci.MaxManifestSize)
	if got, err := blob.ReadAll(t.Context(), "cache", blobtest.Content(body), blobtest.Describe(body)); err != nil || len(got) != len(body) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	unread := blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		return nil, errors.New("was opened")
	})
	_, err := blob.ReadAll(t.Context(), "cache", unread, blobtest.Describe(append(body, 0)))
	if err == nil || !strings.Contains(err.Error(), "more than the 16777216 that a manifest") {
		t.Errorf("error is %v; want one that says how large it may be", err)
	}
}
