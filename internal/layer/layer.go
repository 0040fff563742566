// Package layer makes layers: entries become a tar stream, the stream becomes frames, and the frames become a blob, with its
// digest and its diff ID, in one pass. Its entry points are [Contents], which turns what was asked for into entries, and [Write].
//
// The law: the bytes are a promise. They are a function of the entries and the level alone; the number of compressors, the order
// of the request, the machine and the day change nothing. docs/formats/layer.md states the format, and golden digests
// in the tests keep it. Memory grows with the number of entries, never with their bytes.
package layer

import (
	"context"
	"fmt"
	"io"

	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Options say how to write a layer. The zero value is uncompressed.
type Options struct {
	Format Format
	// Level is the compressor's: for gzip -1 to 9, where -1 is the library's default; for zstd 1 to 4.
	Level int
	// Estargz makes a layer that can be mounted lazily: eStargz with gzip, zstd:chunked with zstd.
	Estargz bool
	// Jobs is how many compressors run; 0 is one for each CPU. It changes no byte.
	Jobs int
	// Cache keeps compressed frames from one layer to the next; nil is none. It changes no byte.
	Cache *framecache.Cache
}

// Result describes what was written.
type Result struct {
	MediaType string
	Digest    oci.Digest
	Size      int64
	DiffID    oci.Digest
	// Annotations are for the descriptor.
	Annotations map[string]string
}

// Write writes the layer of entries, which [Contents] or [Arrange] made, to w.
func Write(ctx context.Context, w io.Writer, entries []Entry, o Options) (Result, error) {
	e, err := o.encoding()
	if err != nil {
		return Result{}, err
	}
	p := newPipeline(w, e, o)
	err = p.run(ctx, func(ctx context.Context, f *framer) (err error) {
		p.layout.Members, err = writeEntries(ctx, f, entries, e.index)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	result := p.result(o.Format.MediaType())
	if e.index != nil {
		result.Annotations = e.index.annotations()
	}
	return result, nil
}

// encoding is what a format and a level stand for.
type encoding struct {
	compressor func() (compressor, error) // makes one for each worker
	index      indexer                    // nil when the layer has none
	plain      bool                       // the blob is the tar stream
	profile    string                     // for the cache: names how frames are compressed; empty when they are not to be kept
}

// encoding checks the level.
func (o Options) encoding() (encoding, error) {
	switch o.Format {
	case None, "":
		if o.Estargz {
			return encoding{}, fmt.Errorf("an uncompressed layer cannot be mounted lazily: choose gzip or zstd, or no estargz")
		}
		return encoding{compressor: func() (compressor, error) { return stored{}, nil }, plain: true}, nil
	case Gzip:
		if o.Level < -1 || o.Level > 9 {
			return encoding{}, fmt.Errorf("gzip has no level %d: want -1 to 9", o.Level)
		}
		if o.Estargz {
			return encoding{compressor: func() (compressor, error) { return gzipMembers{newDeflate(o.Level)}, nil }, index: &lazy{}, profile: o.profile() + ", members"}, nil
		}
		return encoding{compressor: func() (compressor, error) { return newDeflate(o.Level), nil }, profile: o.profile()}, nil
	case Zstd:
		if o.Level < 1 || o.Level > 4 {
			return encoding{}, fmt.Errorf("zstd has no level %d: want 1 to 4", o.Level)
		}
		e := encoding{compressor: func() (compressor, error) { return newZstd(o.Level) }, profile: o.profile()}
		if o.Estargz {
			e.index = &lazy{chunked: true}
		}
		return e, nil
	}
	return encoding{}, fmt.Errorf("%q is not a format of layers", o.Format)
}

// profile changes with the bytes of compressed frames: with the version of the compressors too.
func (o Options) profile() string {
	return fmt.Sprintf("%s %d, profile %d", o.Format, o.Level, profileVersion)
}
