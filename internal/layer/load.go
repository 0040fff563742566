package layer

import (
	"context"
	"fmt"

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
	sum     sum // of the content, if another entry may have the same
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
			var files lookup
			defer files.close()
			for b := range work {
				b.err = b.read(t, &files)
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

func (b *batch) read(t *twins, files *lookup) error {
	b.buffer = b.buffer[:0]
	for i := range b.loaded {
		if err := b.readOne(t, files, &b.loaded[i]); err != nil {
			return fmt.Errorf("path /%s: %w", b.loaded[i].Path, err)
		}
	}
	return nil
}

func (b *batch) readOne(t *twins, files *lookup, l *loaded) (err error) {
	switch {
	case !hasContent(l.Entry) || t.isLink(l.number):
		return nil
	case l.Size > smallFile:
		if t.mayRepeat(l.number) {
			err = t.sample(&l.sum, l.Entry, files)
		}
		return err
	}
	l.content = b.room(int(l.Size))
	if err = files.readAll(l.Entry, 0, l.content); err == nil && t.mayRepeat(l.number) {
		t.sum(&l.sum, l.content)
	}
	return err
}

// room is where n bytes go, behind those that the buffer holds. A buffer that is full is left to them.
func (b *batch) room(n int) []byte {
	have := len(b.buffer)
	if cap(b.buffer)-have < n {
		b.buffer, have = make([]byte, 0, batchBytes+smallFile), 0
	}
	b.buffer = b.buffer[:have+n]
	return b.buffer[have : have+n : have+n]
}
