package layer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"golang.org/x/sync/errgroup"

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
//	framer ─► jobs ─► compressors ─┐
//	   ├────► raw ──► diff ID      ├─► in order ─► digest ─► writer
//	   └────► ordered ─────────────┘
//
// A fixed number of frames goes round, so memory is bounded.
type pipeline struct {
	w       io.Writer
	make    func() (compressor, error)
	jobs    int
	free    chan *frame
	work    chan *frame
	raw     chan *frame
	ordered chan *frame

	diff, sum hash.Hash
	size      int64
}

func newPipeline(w io.Writer, make_ func() (compressor, error), jobs int) *pipeline {
	frames := 2*jobs + 2
	p := &pipeline{
		w: w, make: make_, jobs: jobs, diff: sha256.New(), sum: sha256.New(),
		free: make(chan *frame, frames), work: make(chan *frame, frames), raw: make(chan *frame, frames), ordered: make(chan *frame, frames),
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
		f := &framer{ctx: ctx, next: p.next, emit: p.emit, table: gearTable()}
		if err := fill(ctx, f); err != nil {
			return err
		}
		return f.cut()
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
		f.raw, f.out = f.raw[:0], f.out[:0]
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
		if c.checks() {
			f.crc = crcOf(f.raw)
		}
		if f.out, err = c.frame(f.out, f.raw); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		close(f.compressed)
	}
	return nil
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
	var crc uint32
	var raw int64
	for f := range p.ordered {
		select {
		case <-f.compressed:
		case <-ctx.Done():
			return ctx.Err()
		}
		<-f.hashed
		if c.checks() {
			crc = combineCRC(crc, f.crc, int64(len(f.raw)))
		}
		raw += int64(len(f.raw))
		if err := p.put(f.out); err != nil {
			return err
		}
		p.free <- f
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return p.put(c.tail(nil, crc, raw))
}

func (p *pipeline) put(b []byte) error {
	p.sum.Write(b)
	p.size += int64(len(b))
	_, err := p.w.Write(b)
	return err
}

func (p *pipeline) result(f Format) Result {
	return Result{
		MediaType: f.MediaType(),
		Digest:    oci.DigestOfSum(p.sum.Sum(nil)),
		Size:      p.size,
		DiffID:    oci.DigestOfSum(p.diff.Sum(nil)),
	}
}
