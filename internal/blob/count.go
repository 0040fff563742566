package blob

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Tally is an amount of blobs.
type Tally struct {
	Blobs int
	Bytes int64
}

// Plus returns the sum of t and u.
func (t Tally) Plus(u Tally) Tally { return Tally{t.Blobs + u.Blobs, t.Bytes + u.Bytes} }

// Counter counts what is read from sources, by their names. You want one around each source of a run, outside [Verify]
// and inside [Fallback], to say at the end where the bytes came from. The zero value is ready.
type Counter struct {
	mu     sync.Mutex
	tallys map[string]Tally
}

// SourceTally is what was read from one source: the blobs read to their end and all bytes, those of broken reads too.
type SourceTally struct {
	Name string
	Tally
}

// Source counts under name what is read from s. Two sources may share a name. A blob whose path is taken, to link the
// file, is not counted: no byte of it is read.
func (c *Counter) Source(name string, s Source) Source { return counted{c, name, s} }

// Tallys returns the count of every source that was read from, in the order of their names.
func (c *Counter) Tallys() []SourceTally {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []SourceTally
	for name, t := range c.tallys {
		all = append(all, SourceTally{name, t})
	}
	slices.SortFunc(all, func(a, b SourceTally) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (c *Counter) add(name string, t Tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tallys == nil {
		c.tallys = map[string]Tally{}
	}
	c.tallys[name] = c.tallys[name].Plus(t)
}

type counted struct {
	counter *Counter
	name    string
	source  Source
}

func (s counted) Path(d oci.Descriptor) (string, bool) { return path(s.source, d) }

func (s counted) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	return resolve(ctx, s.source, reference)
}

func (s counted) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.counting(s.source.Open(ctx, d))
}

func (s counted) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return s.counting(openRange(ctx, s.source, d, offset))
}

func (s counted) counting(r io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	return &countingReader{ReadCloser: r, add: func(t Tally) { s.counter.add(s.name, t) }}, nil
}

type countingReader struct {
	io.ReadCloser
	add   func(Tally)
	ended bool
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	t := Tally{Bytes: int64(n)}
	if err == io.EOF && !r.ended {
		r.ended, t.Blobs = true, 1
	}
	if t != (Tally{}) {
		r.add(t)
	}
	return n, err
}
