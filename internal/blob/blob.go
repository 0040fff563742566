// Package blob moves blobs. Everything this program does after a build (push, load, pull, layouts, serving) is a
// [Copy] of a graph of descriptors from a [Source] to a [Sink].
//
// Adapters in the packages below implement the two ports over a directory, memory, a registry and so on;
// decorators here (one file each) add verification, retry, fallback and counting to any of them. The law of
// Copy: children before parents, each digest once, verified where it enters; a sink that reports a manifest
// present holds everything below it.
package blob

import (
	"context"
	"errors"
	"io"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// ErrNotFound is wrapped by the errors of a Source, a Resolver and a Deleter for what is not there.
var ErrNotFound = errors.New("not found")

// ErrLacking is wrapped by the errors of a Sink for a manifest whose blobs it has not.
var ErrLacking = errors.New("manifest names what is not there")

// Source opens blobs by descriptor. Open's error wraps [ErrNotFound] when the blob is not there. The reader
// starts at the first byte and delivers what the store holds, unverified: wrap a Source in [Verify] where
// its bytes enter. The caller closes the reader. Open may be called concurrently, and many times for one blob.
type Source interface {
	Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error)
}

// Sink takes blobs. Both methods may be called concurrently.
type Sink interface {
	// Missing returns those of ds that the sink lacks, in their order. A manifest that is not missing has
	// everything below it. A sink for which asking costs more than sending may call all of them missing.
	Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error)
	// Put stores the blob d. It pulls the bytes from src: never (it mounts or links), once, or again after
	// a failure, and closes what it opened. When Put returns nil the blob is whole, has the digest and size of d, and is
	// visible; otherwise nothing of it is visible. Bytes that are not d's are an error, found by the sink or by the store
	// behind it. Putting what is there already is not an error.
	Put(ctx context.Context, d oci.Descriptor, src Source) error
}

// Resolver is a Source whose manifests have names. Resolve returns the descriptor of the manifest with a
// tag or digest; its error wraps [ErrNotFound] when there is none.
type Resolver interface {
	Resolve(ctx context.Context, reference string) (oci.Descriptor, error)
}

// Tagger is a Sink whose manifests can be named. The manifest must have been put before; a tag that exists
// is moved.
type Tagger interface {
	Tag(ctx context.Context, d oci.Descriptor, tag string) error
}

// Pather is a Source that has blobs as files on this machine, which a Sink may link instead of copying. Path
// reports false when d is not there as a file. The file must not be changed.
type Pather interface {
	Path(d oci.Descriptor) (string, bool)
}

// RangeOpener is a Source that can start in the middle of a blob, as a resumed transfer needs.
type RangeOpener interface {
	OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error)
}

// SourceFunc makes a function a Source.
type SourceFunc func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error)

// Open calls f.
func (f SourceFunc) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return f(ctx, d)
}
