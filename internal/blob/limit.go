package blob

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Limit lets at most n blobs of s be open at once; Open waits for its turn. You want it for a store that suffers from
// more, when several copies read from it.
func Limit(n int, s Source) Source { return limited{semaphore.NewWeighted(int64(n)), s} }

type limited struct {
	slots  *semaphore.Weighted
	source Source
}

func (l limited) Path(d oci.Descriptor) (string, bool) { return path(l.source, d) }

func (l limited) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	return resolve(ctx, l.source, reference)
}

func (l limited) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return l.wait(ctx, func() (io.ReadCloser, error) { return l.source.Open(ctx, d) })
}

func (l limited) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return l.wait(ctx, func() (io.ReadCloser, error) { return openRange(ctx, l.source, d, offset) })
}

func (l limited) wait(ctx context.Context, open func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	if err := l.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	release := sync.OnceFunc(func() { l.slots.Release(1) })
	r, err := open()
	if err != nil {
		release()
		return nil, err
	}
	return releasing{r, release}, nil
}

type releasing struct {
	io.ReadCloser
	release func()
}

func (r releasing) Close() error {
	defer r.release()
	return r.ReadCloser.Close()
}
