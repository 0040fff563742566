package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// However busy others are that add, who deletes comes to it, also if they are in another process.
func TestWhoDeletesComesToIt(t *testing.T) {
	root, index := t.TempDir(), []byte(`{"schemaVersion":2,"manifests":[]}`)
	busy, other := repository(t, open(t, root, store.Limits{}), "busy"), repository(t, open(t, root, store.Limits{}), "other")
	d := putBlob(t, other, "to be deleted")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all errgroup.Group
	begun := make(chan struct{}, 16)
	for i := range cap(begun) {
		all.Go(func() error {
			defer stop()
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := busy.PutManifest(t.Context(), oci.Describe(oci.MediaTypeIndex, index), index, fmt.Sprint("tag", i)); err != nil {
					return err
				}
				if n == 1 {
					begun <- struct{}{}
				}
			}
			return nil
		})
	}
	for range cap(begun) {
		select {
		case <-begun:
		case <-ctx.Done():
		}
	}
	defer time.AfterFunc(time.Minute, stop).Stop()
	if err := other.DeleteBlob(t.Context(), d.Digest); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("it had to wait until nobody added any more")
	}
	stop()
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}
