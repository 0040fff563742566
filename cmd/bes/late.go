package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// late is a cache in which what the build made may be a while after the build says so: with --remote_cache_async Bazel uploads while it
// goes on.
func (p *pusher) late(plan deploy.Plan, cache blob.Source) blob.Source {
	elsewhere := map[oci.Digest]bool{}
	for _, d := range plan.Elsewhere() {
		elsewhere[d.Digest] = true
	}
	return blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (r io.ReadCloser, err error) {
		wait := p.uploadWait
		if elsewhere[d.Digest] { // in a base, which no build uploads
			wait = 0
		}
		err = arrived(ctx, wait, func() error { r, err = cache.Open(ctx, d); return err })
		return r, err
	})
}

// arrived does what finds nothing again until it finds something, for up to so long.
func arrived(ctx context.Context, wait time.Duration, find func() error) error {
	late := time.Now().Add(wait)
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := find()
		if !errors.Is(err, blob.ErrNotFound) || time.Now().Add(pause).After(late) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
