package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/bazel-contrib/rules_img/internal/layer"
)

// Recompress writes the archive with another compression. The tar itself stays as it is, byte for byte, and so does the diff ID.
func (a *Archive) Recompress(ctx context.Context, w io.Writer, o layer.Options) (layer.Result, error) {
	in, err := a.open(nil)
	if err != nil {
		return layer.Result{}, a.named(err)
	}
	defer in.Close()
	result, err := layer.WriteStream(ctx, w, o, func(ctx context.Context, to *layer.Stream) error {
		return a.copyTo(ctx, in, to)
	})
	if err != nil {
		return layer.Result{}, a.named(err)
	}
	return result, nil
}

// copyTo copies the tar and tells the stream where its members begin and end. A header is known only when it was read, so what is read
// between two contents is held back until then.
func (a *Archive) copyTo(ctx context.Context, in *input, to *layer.Stream) error {
	p := &parts{to: to, hold: true}
	s := a.scan(ctx, in, p)
	for {
		h, err := s.next()
		if errors.Is(err, io.EOF) {
			return p.flush()
		}
		if err == nil {
			err = keepable(h, s.at)
		}
		if err == nil {
			err = p.header(h)
		}
		if err == nil && !isSparse(h) {
			err = s.content(io.Discard)
			p.hold = true
		}
		if err != nil {
			return err
		}
	}
}

// parts takes the bytes of a tar as they are read.
type parts struct {
	to      *layer.Stream
	hold    bool
	held    bytes.Buffer
	padding int // bytes after the last content that fill its block
	size    int64
}

func (p *parts) Write(b []byte) (int, error) {
	if p.hold && p.held.Len() < 4<<20 {
		return p.held.Write(b)
	}
	if err := p.flush(); err != nil {
		return 0, err
	}
	return p.to.Write(b)
}

// header is called when what is held ends in the header h.
func (p *parts) header(h *tar.Header) error {
	if p.padding <= p.held.Len() {
		if _, err := p.to.Write(p.held.Next(p.padding)); err != nil {
			return err
		}
		if err := p.to.End(p.size); err != nil {
			return err
		}
	}
	if err := p.to.Begin(h.Name, h.Size); err != nil {
		return err
	}
	p.hold, p.size, p.padding = false, h.Size, int(-h.Size&511)
	if isSparse(h) { // has another size in the archive, which nobody tells
		p.size, p.padding = 0, 0
	}
	return p.flush()
}

func (p *parts) flush() error {
	_, err := p.held.WriteTo(p.to)
	return err
}
