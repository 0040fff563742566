package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Dir is the name of the place that is the store's own directory.
const Dir = "dir"

// What a place may need besides the digest and the size of a blob is among the annotations of its descriptor.
const (
	// BLAKE3 is the blob's other digest, in hexadecimal.
	BLAKE3 = "blake3"
	// Origins are the repositories that may have it, as REGISTRY/REPOSITORY, with spaces between them.
	Origins = "origins"
)

// Place is where blobs may be, besides the directory or in its stead: a remote cache, a bucket, other registries. Its methods may be called
// concurrently.
type Place interface {
	blob.Source
	blob.RangeOpener
	// Missing returns those of ds that are not there, in their order.
	Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error)
}

// Keeper is a Place that takes blobs. One that can also delete them, as [blob.Sink]s of this store do, is asked to when nothing refers to what
// was put there any more.
type Keeper interface {
	Place
	blob.Sink
}

type deleter interface {
	Delete(ctx context.Context, digest oci.Digest) error
}

// Named is a place and what to call it in a log. One with the name [Dir] needs no Place.
type Named struct {
	Name  string
	Place Place
}

// setPlaces takes the places in their order. None are the directory alone. A directory that is not among them takes no uploads, but is asked
// last: what is in it from another time counts as there.
func (s *Store) setPlaces(places []Named) {
	if len(places) == 0 {
		places = []Named{{Name: Dir}}
	}
	var all []blob.Named
	add := func(name string, source blob.Source) {
		s.names = append(s.names, name)
		all = append(all, blob.Named{Name: name, Source: s.watched(name, source)})
	}
	for _, p := range places {
		if p.Name == Dir {
			p.Place = s.blobs
			add(Dir, s.blobs)
		} else {
			s.outer = append(s.outer, p)
			add(p.Name, checked(p))
		}
		if keeper, ok := p.Place.(Keeper); ok && s.uploadsTo == nil {
			s.uploadsTo = keeper
		}
	}
	if !slices.Contains(s.names, Dir) {
		add(Dir, s.blobs)
	}
	s.source = blob.Fallback(all...)
}

// placeNames are the places, for a message.
func (s *Store) placeNames() string { return strings.Join(s.names, ", ") }

// checked is a place whose blobs are verified when they are read from their start. What is wrong is not delivered to its end.
type checked Named

func (c checked) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	r, err := blob.Verify(c.Name, c.Place).Open(ctx, d)
	if err != nil {
		return nil, err
	}
	return heldBack{r}, nil
}

// OpenRange implements [blob.RangeOpener]. Nobody can verify a part.
func (c checked) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if offset == 0 {
		return c.Open(ctx, d)
	}
	return c.Place.OpenRange(ctx, d, offset)
}

// heldBack keeps back the bytes that come with an error, so that nobody has all of a blob that is wrong.
type heldBack struct{ io.ReadCloser }

func (r heldBack) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		n = 0
	}
	return n, err
}

// watched tells which place was asked, and whether it had the blob.
func (s *Store) watched(name string, source blob.Source) blob.Source {
	return watched{source.(blob.RangeOpener), func(found bool) {
		if s.Asked != nil {
			s.Asked(name, found)
		}
	}}
}

type watched struct {
	blob.RangeOpener
	asked func(found bool)
}

func (w watched) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return w.OpenRange(ctx, d, 0)
}

func (w watched) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	r, err := w.RangeOpener.OpenRange(ctx, d, offset)
	w.asked(err == nil)
	return r, err
}

// Content is a blob that is being read. Its Seek fails only for an offset that is none.
type Content interface {
	io.ReadSeekCloser
}

// openBlob opens a blob where it first is. Reading will probably begin at the given offset.
func (s *Store) openBlob(ctx context.Context, d oci.Descriptor, at int64) (Content, error) {
	if at < 0 || at > d.Size {
		at = 0
	}
	r, err := s.openAt(ctx, d, at)
	if err != nil {
		return nil, err
	}
	if f, ok := r.(*os.File); ok {
		return f, nil
	}
	return &distant{ctx: ctx, store: s, d: d, r: r, at: at}, nil
}

func (s *Store) openAt(ctx context.Context, d oci.Descriptor, at int64) (io.ReadCloser, error) {
	r, err := s.source.(blob.RangeOpener).OpenRange(ctx, d, at)
	switch {
	case err == nil || ctx.Err() != nil:
		return r, err
	case errors.Is(err, blob.ErrNotFound):
		return nil, &GoneError{d.Digest, err}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// distant is a blob in a place that has no files: each seek that leads elsewhere opens it anew. It may be closed while it is read, which
// [http.ServeContent] leads to when a client that asked for several ranges goes away.
type distant struct {
	ctx   context.Context
	store *Store
	d     oci.Descriptor

	mu     sync.Mutex
	r      io.ReadCloser // nil until it is read
	at     int64         // of r
	offset int64
	err    error
	closed bool
}

// Read implements [io.Reader].
func (c *distant) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, os.ErrClosed
	}
	if c.offset >= c.d.Size {
		return 0, io.EOF
	}
	if c.r != nil && c.at != c.offset {
		c.r.Close()
		c.r = nil
	}
	if c.r == nil {
		r, err := c.store.openAt(c.ctx, c.d, c.offset)
		if err != nil {
			c.err = err
			return 0, err
		}
		c.r, c.at = r, c.offset
	}
	n, err := c.r.Read(p)
	c.at, c.offset = c.at+int64(n), c.offset+int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// Seek implements [io.Seeker].
func (c *distant) Seek(offset int64, whence int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += c.offset
	case io.SeekEnd:
		offset += c.d.Size
	}
	if offset < 0 {
		return 0, fmt.Errorf("blob %s: offset %d is none", c.d.Digest, offset)
	}
	c.offset = offset
	return offset, nil
}

// Close implements [io.Closer]. It returns why reading ended too early, which whoever serves the blob can't tell its reader.
func (c *distant) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.r != nil {
		c.r.Close()
	}
	return c.err
}
