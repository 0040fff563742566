// Package layer makes layers: entries become a tar stream, the stream becomes frames, and the frames become a blob, with its
// digest and its diff ID, in one pass. Its entry points are [Collect], which turns what was asked for into entries, and [Write].
//
// The law: the bytes are a promise. They are a function of the entries and the level alone; the number of compressors, the order
// of the request, the machine and the day change nothing. docs/formats/layer.md states the format, and golden digests
// in the tests keep it. Memory grows with the number of entries, never with their bytes.
package layer

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Options say how to write a layer. The zero value is uncompressed.
type Options struct {
	Format Format
	// Level is the compressor's: for gzip -1 to 9, where -1 is the library's default; for zstd 1 to 4.
	Level int
	// Jobs is how many compressors run; 0 is one for each CPU. It changes no byte.
	Jobs int
}

// Result describes what was written.
type Result struct {
	MediaType string
	Digest    oci.Digest
	Size      int64
	DiffID    oci.Digest
}

// Write writes the layer of entries, which [Collect] made, to w.
func Write(ctx context.Context, w io.Writer, entries []Entry, o Options) (Result, error) {
	compress, err := o.compressor()
	if err != nil {
		return Result{}, err
	}
	p := newPipeline(w, compress, cmp.Or(o.Jobs, runtime.GOMAXPROCS(0)))
	if err := p.run(ctx, func(ctx context.Context, f *framer) error { return writeEntries(ctx, f, entries) }); err != nil {
		return Result{}, err
	}
	return p.result(o.Format), nil
}

// compressor checks the level and returns what makes a compressor of it, one for each worker.
func (o Options) compressor() (func() (compressor, error), error) {
	switch o.Format {
	case None:
		return func() (compressor, error) { return stored{}, nil }, nil
	case Gzip:
		if o.Level < -1 || o.Level > 9 {
			return nil, fmt.Errorf("gzip has no level %d: want -1 to 9", o.Level)
		}
		return func() (compressor, error) { return newDeflate(o.Level) }, nil
	case Zstd:
		if o.Level < 1 || o.Level > 4 {
			return nil, fmt.Errorf("zstd has no level %d: want 1 to 4", o.Level)
		}
		return func() (compressor, error) { return newZstd(o.Level) }, nil
	}
	return nil, fmt.Errorf("%q is not a format of layers", o.Format)
}
