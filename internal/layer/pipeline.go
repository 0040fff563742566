package layer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// compressor turns the raw bytes of frames into those of the blob. It is used by one goroutine.
type compressor interface {
	// head, frame and tail append what comes before the first frame, a frame, and what comes after the last.
	head(to []byte) []byte
	frame(to, raw []byte) ([]byte, error)
	tail(to []byte, crc uint32, size int64) []byte
	// checks says whether tail wants the CRC-32 of all that was written.
	checks() bool
}

// pipeline takes frames through compression and hashing to the writer:
//
//	framer ─► work ──► compressors ─┐
//	   ├────► raw ───► diff ID      ├─► in order ─► digest ─► writer
//	   └────► ordered ──────────────┘
//
// A fixed number of frames goes round, so memory is bounded.
type pipeline struct {
	w       io.Writer
	make    func() (compressor, error)
	jobs    int
	index   indexer           // may be nil
	cache   *framecache.Cache // may be nil
	profile string            // all that decides on the bytes of a compressed frame but its raw ones
	free    chan *frame
	work    chan *frame
	raw     chan *frame
	ordered chan *frame
	filled  bool // whether ordered was closed because all is in it

	diff, sum hash.Hash // the blob's is nil when the blob is the stream
	size      int64     // of the blob
	rawSize   int64
	crc       uint32
	layout    Map
}

func newPipeline(w io.Writer, e encoding, o Options) *pipeline {
	jobs := cmp.Or(o.Jobs, runtime.GOMAXPROCS(0))
	frames := jobs + jobs/2 + 3
	p := &pipeline{
		w: w, make: e.compressor, jobs: jobs, index: e.index, cache: o.Cache, profile: e.profile, diff: sha256.New(),
		free: make(chan *frame, frames), work: make(chan *frame, frames), raw: make(chan *frame, frames), ordered: make(chan *frame, frames),
	}
	if !e.plain {
		p.sum = sha256.New()
	}
	for range frames {
		p.free <- &frame{}
	}
	return p
}

// run calls fill with the framer and takes what it writes to the end.
func (p *pipeline) run(ctx context.Context, fill func(context.Context, *framer) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(p.work)
		defer close(p.raw)
		defer close(p.ordered)
		f := &framer{ctx: ctx, next: p.next, emit: p.emit}
		err := fill(ctx, f)
		if err == nil {
			err = f.cut()
		}
		p.filled = err == nil
		return err
	})
	for range p.jobs {
		g.Go(func() error { return p.compress(ctx) })
	}
	g.Go(func() error { return p.hash() })
	g.Go(func() error { return p.write(ctx) })
	return g.Wait()
}

func (p *pipeline) next(ctx context.Context) (*frame, error) {
	select {
	case f := <-p.free:
		f.raw, f.out, f.chunks, f.parts, f.ends = f.raw[:0], f.out[:0], nil, f.parts[:0], f.ends[:0]
		f.compressed, f.hashed = make(chan struct{}), make(chan struct{})
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// emit never blocks: each queue has room for all frames.
func (p *pipeline) emit(ctx context.Context, f *frame) error {
	p.work <- f
	p.raw <- f
	p.ordered <- f
	return ctx.Err()
}

func (p *pipeline) compress(ctx context.Context) error {
	c, err := p.make()
	if err != nil {
		return err
	}
	for f := range p.work {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.frame(f, c); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		close(f.compressed)
	}
	return nil
}

// frame compresses a frame, or takes it out of the cache.
func (p *pipeline) frame(f *frame, c compressor) (err error) {
	if c.checks() {
		f.crc = crcOf(f.raw)
	}
	for _, k := range f.chunks {
		k.Digest = oci.DigestOf(f.raw[k.at : k.at+k.Size])
	}
	if p.cache == nil || p.profile == "" || incompressible(f.raw) {
		return f.compress(c)
	}
	key := framecache.KeyOf(p.profile+f.division(), f.raw)
	var found bool
	if f.out, found = p.cache.Get(key, f.out); found {
		f.unpackEnds()
		return nil
	}
	if err = f.compress(c); err == nil {
		p.cache.Put(key, f.packEnds())
	}
	return err
}

func (p *pipeline) hash() error {
	for f := range p.raw {
		p.diff.Write(f.raw)
		close(f.hashed)
	}
	return nil
}

// write puts the frames together in order.
func (p *pipeline) write(ctx context.Context) error {
	c, err := p.make()
	if err != nil {
		return err
	}
	if err := p.put(c.head(nil)); err != nil {
		return err
	}
	for f := range p.ordered {
		select {
		case <-f.compressed:
		case <-ctx.Done():
			return ctx.Err()
		}
		<-f.hashed
		if err := p.place(f); err != nil {
			return err
		}
		p.free <- f
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !p.filled { // and the error is told elsewhere
		return nil
	}
	return p.end(c)
}

// place writes a frame after those before it.
func (p *pipeline) place(f *frame) error {
	p.crc = combineCRC(p.crc, f.crc, int64(len(f.raw)))
	if p.index != nil {
		p.layout.Frames = f.placed(p.layout.Frames, p.rawSize, p.size)
	}
	p.rawSize += int64(len(f.raw))
	return p.put(f.out)
}

// end writes the index and what comes last.
func (p *pipeline) end(c compressor) error {
	if p.index != nil {
		p.layout.settle()
		b, err := p.index.members(&p.layout)
		if err != nil {
			return err
		}
		last := &frame{raw: b}
		if err := p.frame(last, c); err != nil {
			return err
		}
		p.diff.Write(b)
		if err := p.place(last); err != nil {
			return err
		}
	}
	if err := p.put(c.tail(nil, p.crc, p.rawSize)); err != nil || p.index == nil {
		return err
	}
	b, err := p.index.footer(&p.layout)
	if err != nil {
		return err
	}
	return p.put(b)
}

func (p *pipeline) put(b []byte) error {
	if p.sum != nil {
		p.sum.Write(b)
	}
	p.size += int64(len(b))
	_, err := p.w.Write(b)
	return err
}

func (p *pipeline) result(mediaType string) Result {
	r := Result{MediaType: mediaType, Size: p.size, DiffID: oci.DigestOfSum(p.diff.Sum(nil))}
	r.Digest = r.DiffID
	if p.sum != nil {
		r.Digest = oci.DigestOfSum(p.sum.Sum(nil))
	}
	return r
}
