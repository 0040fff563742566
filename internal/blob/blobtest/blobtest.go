// Package blobtest is the conformance suite of the blob ports. Every adapter's test calls [Test] with a function that
// makes an empty store; an adapter that can only be read calls [TestSource]. What the store offers beyond the two ports
// (ranges, paths, tags) is found by assertion, as the program finds it, and tested too.
//
// It also makes the content that tests of other packages want: [Bytes], [Image], [Index].
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Store is what the whole suite needs.
type Store interface {
	blob.Source
	blob.Sink
}

// Test runs the suite. open returns a new, empty store, and cleans up with t.
func Test(t *testing.T, open func(t *testing.T) Store) {
	TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
		s := open(t)
		for _, b := range bodies {
			put(t, s, b)
		}
		return s
	})
	t.Run("Sink", func(t *testing.T) { testSink(t, open) })
	t.Run("SinkRefuses", func(t *testing.T) { testRefusals(t, open) })
	t.Run("Tags", func(t *testing.T) { testTags(t, open) })
}

// TestSource runs the part of the suite that reads. fill returns a new source that holds just the blobs with the given
// bodies.
func TestSource(t *testing.T, fill func(t *testing.T, bodies ...[]byte) blob.Source) {
	t.Run("Source", func(t *testing.T) { testOpen(t, fill) })
	t.Run("Range", func(t *testing.T) { testRange(t, fill) })
	t.Run("Path", func(t *testing.T) { testPath(t, fill) })
}

// put stores body as a layer in s and returns its descriptor.
func put(t *testing.T, s blob.Sink, body []byte) oci.Descriptor {
	t.Helper()
	d := Describe(body)
	if err := s.Put(t.Context(), d, Content(body)); err != nil {
		t.Fatalf("put %s: %v", d.Digest, err)
	}
	return d
}

// wantBody fails t unless s holds body under d.
func wantBody(t *testing.T, s blob.Source, d oci.Descriptor, body []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Errorf("open %s: %v", d.Digest, err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("read %s: %v", d.Digest, err)
	}
	if !bytes.Equal(got, body) {
		t.Errorf("blob %s has %d bytes that are not the %d that were put", d.Digest, len(got), len(body))
	}
}

// wantInvisible fails t when anything of d can be seen in s.
func wantInvisible(t *testing.T, s Store, d oci.Descriptor) {
	t.Helper()
	if r, err := s.Open(context.WithoutCancel(t.Context()), d); err == nil {
		r.Close()
		t.Errorf("blob %s can be opened", d.Digest)
	} else if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("open %s: %v; want it to wrap ErrNotFound", d.Digest, err)
	}
	if p, ok := s.(blob.Pather); ok {
		if path, ok := p.Path(d); ok {
			t.Errorf("blob %s has the path %s", d.Digest, path)
		}
	}
}
