package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bazel-contrib/rules_img/internal/layer"
)

// scanner goes through the members of an archive, and knows where it is.
type scanner struct {
	ctx   context.Context
	in    *input
	raw   *counter // of the tar's bytes
	tail  *tail
	tar   *tar.Reader
	at    int64  // where the member's headers begin
	after int64  // where the next member's should
	last  string // name of the member before
	plain bool
}

// scan starts to read. Each byte of the tar goes to the taps.
func (a *Archive) scan(ctx context.Context, in *input, taps ...io.Writer) *scanner {
	s := &scanner{ctx: ctx, in: in, tail: &tail{}, plain: a.format == layer.None}
	var r io.Reader = io.TeeReader(in, io.MultiWriter(append(taps, s.tail)...))
	s.raw = &counter{r: r}
	s.tar = tar.NewReader(struct{ io.Reader }{s.raw}) // not a Seeker: every byte passes the taps
	return s
}

// next returns the next member, or io.EOF when the archive was read to its last byte and ended as it should.
func (s *scanner) next() (*tar.Header, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	s.at = s.after
	h, err := s.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, s.end()
	case err != nil:
		return nil, s.wrong(s.at, err)
	}
	s.last = h.Name
	if s.after = s.raw.n.Load(); hasContent(h) && !isSparse(h) {
		s.after += (h.Size + 511) &^ 511
	}
	return h, nil
}

func hasContent(h *tar.Header) bool {
	k, ok := kinds[h.Typeflag]
	return !ok || k == layer.File
}

// end reads what comes after the last member: that the file is whole is known only at its end.
func (s *scanner) end() error {
	marked := s.tail.ended()
	if _, err := io.Copy(io.Discard, &cancelled{s.ctx, s.raw}); err != nil {
		return s.wrong(s.raw.n.Load(), err)
	}
	if s.plain && !marked {
		return fmt.Errorf("byte %d: the archive ends without the two empty blocks that mark its end: is it truncated?", s.raw.n.Load())
	}
	return io.EOF
}

// content copies what the member holds.
func (s *scanner) content(to io.Writer) error {
	_, err := io.Copy(to, &cancelled{s.ctx, s.tar})
	if err != nil {
		return s.wrong(s.raw.n.Load(), err)
	}
	return nil
}

// wrong locates an error of the archive.
func (s *scanner) wrong(at int64, err error) error {
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	what := err.Error()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		at = s.raw.n.Load()
		what = "the archive ends here: it is truncated, or a size in it is wrong"
	case errors.Is(err, tar.ErrHeader):
		what = "is no header of a tar archive"
	}
	if s.last != "" {
		what += fmt.Sprintf(" (after the header of %q)", s.last)
	}
	if !s.plain {
		return s.in.located(fmt.Errorf("byte %d of the tar: %s", at, what))
	}
	return fmt.Errorf("byte %d: %s", at, what)
}

// tail remembers the last two blocks that were read before the archive said that it is over.
type tail struct{ b [1024]byte }

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if n >= len(t.b) {
		copy(t.b[:], p[n-len(t.b):])
		return n, nil
	}
	copy(t.b[:], t.b[n:])
	copy(t.b[len(t.b)-n:], p)
	return n, nil
}

func (t *tail) ended() bool { return bytes.Equal(t.b[:], make([]byte, len(t.b))) }

// cancelled is a Reader that ends with its context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
