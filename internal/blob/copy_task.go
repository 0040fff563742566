package blob

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync/atomic"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// taskKey tells blobs apart. A registry keeps manifests apart from other blobs, so one digest may be two things.
type taskKey struct {
	digest   oci.Digest
	manifest bool
}

func keyOf(d oci.Descriptor) taskKey { return taskKey{d.Digest, oci.IsManifest(d.MediaType)} }

// task is the one attempt to move a blob. The rest is set before done is closed.
type task struct {
	done      chan struct{}
	err       error
	abandoned bool // because the root that ran it failed: the next that wants it may start again
}

// once runs work for d unless it is running or done, and returns how it went.
func (c *copier) once(ctx context.Context, d oci.Descriptor, work func() error) error {
	for {
		t, mine := c.claim(d)
		if mine {
			t.err = work()
			t.abandoned = t.err != nil && ctx.Err() != nil
			c.finish(d, t)
			return t.err
		}
		select {
		case <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !t.abandoned {
			return t.err
		}
	}
}

func (c *copier) claim(d oci.Descriptor) (t *task, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.tasks[keyOf(d)]; ok {
		return t, false
	}
	t = &task{done: make(chan struct{})}
	c.tasks[keyOf(d)] = t
	return t, true
}

func (c *copier) finish(d oci.Descriptor, t *task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.abandoned {
		delete(c.tasks, keyOf(d))
	}
	close(t.done)
}

func (c *copier) unclaimed(ds []oci.Descriptor) []oci.Descriptor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ds), func(d oci.Descriptor) bool { return c.tasks[keyOf(d)] != nil })
}

// present marks as done what was asked about and is not missing.
func (c *copier) present(asked, missing []oci.Descriptor) {
	lacks := map[taskKey]bool{}
	for _, d := range missing {
		lacks[keyOf(d)] = true
	}
	for _, d := range asked {
		if lacks[keyOf(d)] {
			continue
		}
		if t, mine := c.claim(d); mine {
			c.count(&c.report.Present, d)
			c.finish(d, t)
		}
	}
}

// manifest reads and verifies the body of d.
func (c *copier) manifest(ctx context.Context, d oci.Descriptor) (body []byte, err error) {
	err = c.slot(ctx, func() error { body, err = ReadAll(ctx, "source", c.source, d); return err })
	return body, err
}

// put moves one blob and counts how it went.
func (c *copier) put(ctx context.Context, d oci.Descriptor, source Source) error {
	watched := &watchedSource{Source: source}
	if err := c.slot(ctx, func() error { return c.sink.Put(ctx, d, watched) }); err != nil {
		return err
	}
	if watched.opened.Load() {
		c.count(&c.report.Moved, d)
	} else {
		c.count(&c.report.Mounted, d)
	}
	return nil
}

func (c *copier) count(t *Tally, d oci.Descriptor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*t = t.Plus(Tally{1, d.Size})
}

// watchedSource knows whether a sink has pulled from it.
type watchedSource struct {
	Source
	opened atomic.Bool
}

func (s *watchedSource) Path(d oci.Descriptor) (string, bool) { return path(s.Source, d) }

func (s *watchedSource) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	s.opened.Store(true)
	return s.Source.Open(ctx, d)
}

func (s *watchedSource) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	s.opened.Store(true)
	return openRange(ctx, s.Source, d, offset)
}

// bytesSource has one blob.
type bytesSource []byte

func (b bytesSource) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return b.OpenRange(ctx, d, 0)
}

func (b bytesSource) OpenRange(_ context.Context, _ oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b[offset:])), nil
}
