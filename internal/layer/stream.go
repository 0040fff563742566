package layer

import (
	"context"
	"io"
)

// Stream takes a tar archive that exists, byte for byte.
type Stream struct{ f *framer }

// WriteStream writes the archive that fill gives to the stream as a layer.
func WriteStream(ctx context.Context, w io.Writer, o Options, fill func(context.Context, *Stream) error) (Result, error) {
	e, err := o.encoding()
	if err != nil {
		return Result{}, err
	}
	p := newPipeline(w, e, o)
	if err := p.run(ctx, func(ctx context.Context, f *framer) error { return fill(ctx, &Stream{f}) }); err != nil {
		return Result{}, err
	}
	return p.result(o.Format.MediaType()), nil
}

// Begin is called before the header of a member, End after its content and padding. They only help to cut frames well.
func (s *Stream) Begin(name string, size int64) error { return s.f.boundary(name, block, size) }

// End is called after a member's content and padding.
func (s *Stream) End(size int64) error { return s.f.end() }

// Write adds bytes of the archive.
func (s *Stream) Write(b []byte) (int, error) { return s.f.Write(b) }
