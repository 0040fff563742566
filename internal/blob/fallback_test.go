package blob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestFallbackIsASource(t *testing.T) {
	blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
		return blob.Fallback(blob.Named{Name: "empty", Source: &mem.Store{}}, blob.Named{Name: "directory", Source: directory(t, bodies)})
	})
}

func TestFallbackTakesTheFirstThatHasIt(t *testing.T) {
	first, second := blobtest.Content([]byte("first")), blobtest.Content([]byte("second"))
	s := blob.Fallback(blob.Named{Name: "down", Source: failing{busy{}}}, blob.Named{Name: "a", Source: first}, blob.Named{Name: "b", Source: second})
	if got, err := readFrom(t, s)(oci.Descriptor{}); string(got) != "first" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestFallbackErrorSaysWhatEachSaid(t *testing.T) {
	s := blob.Fallback(blob.Named{Name: "cas", Source: &mem.Store{}}, blob.Named{Name: "ghcr.io/x", Source: failing{errors.New("unauthorized")}})
	_, err := s.Open(t.Context(), blobtest.Describe(nil))
	for _, want := range []string{string(blobtest.Describe(nil).Digest), "source cas: memory: blob", "source ghcr.io/x: unauthorized"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v; want it to have %q", err, want)
		}
	}
	if errors.Is(err, blob.ErrNotFound) {
		t.Error("is ErrNotFound though one source could not say")
	}
}

func TestFallbackIsNotFoundWhenEverySourceSaysSo(t *testing.T) {
	s := blob.Fallback(blob.Named{Name: "a", Source: &mem.Store{}}, blob.Named{Name: "b", Source: &mem.Store{}})
	if _, err := s.Open(t.Context(), oci.Descriptor{}); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v; want ErrNotFound", err)
	}
}

func TestFallbackMayBeTriedAgainWhenOneSourceMay(t *testing.T) {
	s := blob.Fallback(blob.Named{Name: "a", Source: &mem.Store{}}, blob.Named{Name: "b", Source: failing{busy{}}})
	if _, err := s.Open(t.Context(), oci.Descriptor{}); !blob.IsTransient(err) {
		t.Errorf("error is %v; want a transient one", err)
	}
}

func TestFallbackStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := blob.Fallback(blob.Named{Name: "a", Source: failing{busy{}}}, blob.Named{Name: "b", Source: failing{errors.New("asked in vain")}})
	if _, err := s.Open(ctx, oci.Descriptor{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

type hinted string

func (h hinted) Error() string { return "no" }
func (h hinted) Hint() string  { return string(h) }

func TestFallbackPassesHintsOn(t *testing.T) {
	fails := func(err error) blob.Source {
		return blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) { return nil, err })
	}
	_, err := blob.Fallback(
		blob.Named{Name: "files", Source: fails(blob.ErrNotFound)},
		blob.Named{Name: "one", Source: fails(fmt.Errorf("x: %w", hinted("log in")))},
		blob.Named{Name: "two", Source: fails(hinted("log in"))},
		blob.Named{Name: "three", Source: fails(hinted("pay"))},
	).Open(t.Context(), oci.Descriptor{})
	var h interface{ Hint() string }
	if !errors.As(err, &h) || h.Hint() != "log in; pay" {
		t.Errorf("hint of %v is not passed on", err)
	}
}
