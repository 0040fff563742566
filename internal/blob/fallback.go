package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Named is a source and what to call it in errors.
type Named struct {
	Name   string
	Source Source
}

// Fallback asks the sources in their order until one can open the blob. You want it where a blob may be in several
// places: here, in a cache, in the registry of a base. A source that fails otherwise than by not having the blob is passed over too,
// since the next may be well. When none can open it, the error says what each said, and wraps [ErrNotFound] only if all of them
// do: otherwise the blob may be there.
func Fallback(sources ...Named) Source { return fallback(sources) }

type fallback []Named

func (f fallback) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return f.first(ctx, d, func(s Source) (io.ReadCloser, error) { return s.Open(ctx, d) })
}

func (f fallback) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return f.first(ctx, d, func(s Source) (io.ReadCloser, error) { return openRange(ctx, s, d, offset) })
}

// Path looks for a file in all sources: one on this machine is better than any blob that must be opened.
func (f fallback) Path(d oci.Descriptor) (string, bool) {
	for _, s := range f {
		if p, ok := path(s.Source, d); ok {
			return p, true
		}
	}
	return "", false
}

func (f fallback) first(ctx context.Context, d oci.Descriptor, open func(Source) (io.ReadCloser, error)) (io.ReadCloser, error) {
	failed := &fallbackError{digest: d.Digest}
	for _, s := range f {
		r, err := open(s.Source)
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failed.names, failed.errs = append(failed.names, s.Name), append(failed.errs, err)
	}
	return nil, failed
}

type fallbackError struct {
	digest oci.Digest
	names  []string
	errs   []error
}

func (e *fallbackError) Error() string {
	s := fmt.Sprintf("blob %s: no source has it", e.digest)
	for i, name := range e.names {
		s += fmt.Sprintf("; source %s: %v", name, e.errs[i])
	}
	return s
}

// Is makes the error an ErrNotFound when every source's is, and an ErrUnsupported when any source's is; it is
// nothing else, since it may be several things at once.
func (e *fallbackError) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.count(ErrNotFound) == len(e.errs)
	case errors.ErrUnsupported:
		return e.count(errors.ErrUnsupported) > 0
	}
	return false
}

// Hint is what the errors of the sources advise.
func (e *fallbackError) Hint() string {
	var all []string
	for _, err := range e.errs {
		var h interface{ Hint() string }
		if errors.As(err, &h) && h.Hint() != "" && !slices.Contains(all, h.Hint()) {
			all = append(all, h.Hint())
		}
	}
	return strings.Join(all, "; ")
}

// Transient implements what [IsTransient] asks.
func (e *fallbackError) Transient() bool {
	for _, err := range e.errs {
		if IsTransient(err) {
			return true
		}
	}
	return false
}

func (e *fallbackError) count(target error) int {
	n := 0
	for _, err := range e.errs {
		if errors.Is(err, target) {
			n++
		}
	}
	return n
}
