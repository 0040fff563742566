// Package progress shows people how far blobs on their way are.
//
// The entry points are [Terminal] and [Lines], which make a [Display]; [Display.Sink] decorates where blobs go, [Display.Pausing] hears of
// retries, and [Display.During] shows what happens while it runs. The law: it only watches. No transfer waits for it, and nothing it writes
// is for machines.
package progress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Display shows the blobs under way. A nil Display shows nothing.
type Display struct {
	view  view
	every time.Duration

	mu     sync.Mutex
	active []*transfer // in the order they began
	pauses []*pause    // so, too
	done   blob.Tally
}

// moment is what there is to see at one.
type moment struct {
	active  []state
	retries []string
	done    blob.Tally
}

// view draws. Only one goroutine draws at a time.
type view interface {
	draw(moment)
	// close removes what should not stay.
	close()
}

// transfer is one blob under way. Its place moves while others look.
type transfer struct {
	blob  oci.Descriptor
	began time.Time
	at    atomic.Int64
	// rate is kept by the goroutine that draws.
	rate rate
}

// state is what is known of a transfer at one moment.
type state struct {
	blob oci.Descriptor
	at   int64
	rate float64 // bytes a second; 0 when it can't be told yet
}

// left is how long the rest will take, if that can be told.
func (s state) left() (time.Duration, bool) {
	if s.rate < 1 {
		return 0, false
	}
	return time.Duration(float64(s.blob.Size-s.at) / s.rate * float64(time.Second)), true
}

// During runs work and shows the blobs that are under way meanwhile.
func (d *Display) During(ctx context.Context, work func(context.Context)) {
	if d == nil {
		work(ctx)
		return
	}
	over := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() { d.show(over) })
	defer d.view.close()
	defer drawing.Wait()
	defer close(over)
	work(ctx)
}

func (d *Display) show(over <-chan struct{}) {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case now := <-tick.C:
			d.view.draw(d.look(now))
		}
	}
}

func (d *Display) look(now time.Time) moment {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := moment{retries: retries(d.pauses, now), done: d.done}
	for _, t := range d.active {
		at := t.at.Load()
		m.active = append(m.active, state{t.blob, at, t.rate.at(now.Sub(t.began), at)})
	}
	return m
}

func (d *Display) begin(b oci.Descriptor) *transfer {
	t := &transfer{blob: b, began: time.Now()}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active = append(d.active, t)
	return t
}

func (d *Display) end(t *transfer, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active = slices.DeleteFunc(d.active, func(o *transfer) bool { return o == t })
	if ok {
		d.done = d.done.Plus(blob.Tally{Blobs: 1, Bytes: t.blob.Size})
	}
}

// rate is the speed of a transfer, smoothed over some two seconds. What goes in its first moment fills buffers, and is not
// counted.
type rate struct {
	since time.Duration
	was   int64
	value float64
}

func (r *rate) at(now time.Duration, bytes int64) float64 {
	span := (now - r.since).Seconds()
	if span <= 0 {
		return r.value
	}
	if r.since > 0 || span >= 1 {
		weight := min(1, span/2)
		if r.value == 0 {
			weight = 1
		}
		r.value += weight * (max(0, float64(bytes-r.was)/span) - r.value)
	}
	r.since, r.was = now, bytes
	return r.value
}

// Sink shows what is put into s, from the moment it is opened: what is mounted or there already is no transfer. You want it
// outside of [blob.Retry], so that a second try is the same transfer.
func (d *Display) Sink(s blob.Sink) blob.Sink {
	if d == nil {
		return s
	}
	return sink{s, d}
}

type sink struct {
	blob.Sink
	display *Display
}

// Tag passes on.
func (s sink) Tag(ctx context.Context, b oci.Descriptor, tag string) error {
	if t, ok := s.Sink.(blob.Tagger); ok {
		return t.Tag(ctx, b, tag)
	}
	return fmt.Errorf("tag %s: %w", tag, errors.ErrUnsupported)
}

func (s sink) Put(ctx context.Context, b oci.Descriptor, src blob.Source) error {
	w := &watched{source: src, display: s.display}
	err := s.Sink.Put(ctx, b, w)
	if w.transfer != nil {
		s.display.end(w.transfer, err == nil)
	}
	return err
}

// watched is the source of one Put.
type watched struct {
	source   blob.Source
	display  *Display
	mu       sync.Mutex
	transfer *transfer
}

// Path lets a sink link. That takes no time worth showing.
func (w *watched) Path(b oci.Descriptor) (string, bool) {
	if p, ok := w.source.(blob.Pather); ok {
		return p.Path(b)
	}
	return "", false
}

func (w *watched) Open(ctx context.Context, b oci.Descriptor) (io.ReadCloser, error) {
	r, err := w.source.Open(ctx, b)
	return w.watch(b, 0, r, err)
}

func (w *watched) OpenRange(ctx context.Context, b oci.Descriptor, offset int64) (io.ReadCloser, error) {
	from, ok := w.source.(blob.RangeOpener)
	if !ok {
		return nil, fmt.Errorf("blob %s from the middle: %w", b.Digest, errors.ErrUnsupported)
	}
	r, err := from.OpenRange(ctx, b, offset)
	return w.watch(b, offset, r, err)
}

func (w *watched) watch(b oci.Descriptor, offset int64, r io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.transfer == nil {
		w.transfer = w.display.begin(b)
	}
	w.transfer.at.Store(offset)
	return &reader{r, w.transfer}, nil
}

type reader struct {
	io.ReadCloser
	transfer *transfer
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.transfer.at.Add(int64(n))
	return n, err
}
