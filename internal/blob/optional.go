package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// A decorator offers every optional ability, since it can't know at compile time what it decorates. What the decorated
// store lacks, it reports: no path, or an error that wraps [errors.ErrUnsupported].

func path(s Source, d oci.Descriptor) (string, bool) {
	if p, ok := s.(Pather); ok {
		return p.Path(d)
	}
	return "", false
}

func openRange(ctx context.Context, s Source, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if r, ok := s.(RangeOpener); ok {
		return r.OpenRange(ctx, d, offset)
	}
	if offset == 0 {
		return s.Open(ctx, d)
	}
	return nil, fmt.Errorf("blob %s from the middle: %w", d.Digest, errors.ErrUnsupported)
}

func resolve(ctx context.Context, s Source, reference string) (oci.Descriptor, error) {
	if r, ok := s.(Resolver); ok {
		return r.Resolve(ctx, reference)
	}
	return oci.Descriptor{}, fmt.Errorf("resolve %s: %w", reference, errors.ErrUnsupported)
}

func tag(ctx context.Context, s Sink, d oci.Descriptor, name string) error {
	if t, ok := s.(Tagger); ok {
		return t.Tag(ctx, d, name)
	}
	return fmt.Errorf("tag %s: %w", name, errors.ErrUnsupported)
}
