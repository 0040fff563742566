package layer

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"
)

const (
	// smallFile is the largest file that is read ahead whole.
	smallFile = 256 << 10
	// A batch has no more entries and bytes than this.
	batchEntries = 128
	batchBytes   = 512 << 10
	// readers read batches ahead.
	readers = 4
)

// loaded is an entry whose content was read, if it is small.
type loaded struct {
	*Entry
	number  int // among the entries
	content []byte
	hash    uint64 // of the content, if another entry may have the same
}

// batch is a run of entries that is read together.
type batch struct {
	loaded []loaded
	buffer []byte
	err    error
	ready  chan struct{} // closed when it is read
}

// readAhead calls each with all entries in order. Batches of them are read ahead, and their buffers used again.
func readAhead(ctx context.Context, t *twins, each func(loaded) error) error {
	g, ctx := errgroup.WithContext(ctx)
	free := make(chan *batch, 2*readers)
	for range cap(free) {
		free <- &batch{}
	}
	work, ordered := make(chan *batch, cap(free)), make(chan *batch, cap(free))
	g.Go(func() error {
		defer close(work)
		defer close(ordered)
		for from := 0; from < len(t.entries); {
			select {
			case b := <-free:
				from = b.take(t, from)
				work <- b
				ordered <- b
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range readers {
		g.Go(func() error {
			for b := range work {
				b.err = b.read(t)
				close(b.ready)
			}
			return nil
		})
	}
	g.Go(func() error {
		for b := range ordered {
			<-b.ready
			if b.err != nil {
				return b.err
			}
			for _, l := range b.loaded {
				if err := each(l); err != nil {
					return err
				}
			}
			free <- b
		}
		return ctx.Err()
	})
	return g.Wait()
}

// take fills the batch with entries, the first of which is number from, and returns the number of the next.
func (b *batch) take(t *twins, from int) int {
	b.loaded, b.err, b.ready = b.loaded[:0], nil, make(chan struct{})
	size := int64(0)
	for from < len(t.entries) && len(b.loaded) < batchEntries && size < batchBytes {
		e := &t.entries[from]
		b.loaded = append(b.loaded, loaded{Entry: e, number: from})
		if isSmall(e) {
			size += e.Size
		}
		from++
	}
	return from
}

func isSmall(e *Entry) bool { return e.Kind == File && e.Size > 0 && e.Size <= smallFile }

func (b *batch) read(t *twins) error {
	b.buffer = b.buffer[:0]
	for i := range b.loaded {
		if err := b.readOne(t, &b.loaded[i]); err != nil {
			return fmt.Errorf("path /%s: %w", b.loaded[i].Path, err)
		}
	}
	return nil
}

func (b *batch) readOne(t *twins, l *loaded) (err error) {
	switch {
	case l.Kind != File || l.Size == 0 || t.known(l.number):
		return nil
	case l.Size > smallFile:
		if t.mayRepeat(l.Entry) {
			l.hash, err = t.sample(l.Entry)
		}
		return err
	}
	if l.content, err = b.readSmall(l.Entry); err == nil && t.mayRepeat(l.Entry) {
		l.hash = t.hash(l.content)
	}
	return err
}

// readSmall reads an entry's content behind those that the buffer holds. A buffer that is full is left to them.
func (b *batch) readSmall(e *Entry) ([]byte, error) {
	n, size := len(b.buffer), int(e.Size)
	if cap(b.buffer)-n < size {
		b.buffer, n = make([]byte, 0, batchBytes+smallFile), 0
	}
	to := b.buffer[n : n+size : n+size]
	got, err := readFile(e.From, e.Offset, to)
	if err != nil {
		return nil, err
	}
	if got != size {
		return nil, changed(e, io.ErrUnexpectedEOF)
	}
	b.buffer = b.buffer[:n+size]
	return to, nil
}
