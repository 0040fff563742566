// Package mem keeps blobs in memory. It is for tests, and for the small things (manifests, configs) that a program
// makes itself and wants to be a source for a moment: it is the one store that holds whole blobs as bytes.
//
// The entry point is [Store], whose zero value is empty and ready.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Store is a [blob.Source], [blob.Sink], [blob.Resolver], [blob.Tagger] and [blob.RangeOpener].
type Store struct {
	mu    sync.RWMutex
	blobs map[oci.Digest]entry
	tags  map[string]oci.Descriptor
}

type entry struct {
	mediaType string
	body      []byte
}

// Add stores body and returns its descriptor. The caller must not change body afterwards.
func (s *Store) Add(mediaType string, body []byte) oci.Descriptor {
	d := oci.Describe(mediaType, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[oci.Digest]entry{}
	}
	s.blobs[d.Digest] = entry{mediaType, body}
	return d
}

// Open implements [blob.Source].
func (s *Store) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (s *Store) OpenRange(_ context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	e, ok := s.get(d.Digest)
	if !ok {
		return nil, fmt.Errorf("memory: blob %s: %w", d.Digest, blob.ErrNotFound)
	}
	if offset < 0 || offset > int64(len(e.body)) {
		return nil, fmt.Errorf("memory: blob %s: offset %d is outside its %d bytes", d.Digest, offset, len(e.body))
	}
	return io.NopCloser(bytes.NewReader(e.body[offset:])), nil
}

// Missing implements [blob.Sink].
func (s *Store) Missing(_ context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	var missing []oci.Descriptor
	for _, d := range ds {
		if _, ok := s.get(d.Digest); !ok {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// Put implements [blob.Sink].
func (s *Store) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	r, err := blob.Verify("source", src).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("memory: put %s: %w", d.Digest, err)
	}
	s.Add(d.MediaType, body)
	return nil
}

// Tag implements [blob.Tagger].
func (s *Store) Tag(_ context.Context, d oci.Descriptor, tag string) error {
	if err := oci.CheckTag(tag); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	if _, ok := s.get(d.Digest); !ok {
		return fmt.Errorf("memory: tag %s: manifest %s: %w", tag, d.Digest, blob.ErrNotFound)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tags == nil {
		s.tags = map[string]oci.Descriptor{}
	}
	s.tags[tag] = d
	return nil
}

// Resolve implements [blob.Resolver].
func (s *Store) Resolve(_ context.Context, reference string) (oci.Descriptor, error) {
	if digest, err := oci.ParseDigest(reference); err == nil {
		return s.describe(digest)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.tags[reference]
	if !ok {
		return oci.Descriptor{}, fmt.Errorf("memory: tag %s: %w", reference, blob.ErrNotFound)
	}
	return d, nil
}

func (s *Store) describe(digest oci.Digest) (oci.Descriptor, error) {
	e, ok := s.get(digest)
	if !ok {
		return oci.Descriptor{}, fmt.Errorf("memory: manifest %s: %w", digest, blob.ErrNotFound)
	}
	return oci.Descriptor{MediaType: e.mediaType, Digest: digest, Size: int64(len(e.body))}, nil
}

func (s *Store) get(digest oci.Digest) (entry, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.blobs[digest]
	return e, ok
}
