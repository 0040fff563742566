package blob

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// heldBytes bounds the bodies of manifests that a copy holds at once, and those of indexes: thousands of ordinary ones, so that it
// binds only what was made to fill the memory.
const heldBytes = 32 << 20

// room is what a copy has for the bodies of manifests, which it holds until all below them is there.
type room struct {
	manifests, indexes *semaphore.Weighted
}

func newRoom() room {
	return room{semaphore.NewWeighted(heldBytes), semaphore.NewWeighted(heldBytes)}
}

// take makes room for the body of d, and returns what gives it back. A manifest waits for it: what is below others that have
// theirs needs none. An index would wait for those above it, which wait for it, so it is refused.
func (r room) take(ctx context.Context, d oci.Descriptor) (release func(), err error) {
	size := min(max(d.Size, 0), oci.MaxManifestSize)
	if !oci.IsIndex(d.MediaType) {
		err = r.manifests.Acquire(ctx, size)
		return func() { r.manifests.Release(size) }, err
	}
	if !r.indexes.TryAcquire(size) {
		return nil, fmt.Errorf("index %s: takes, with those beside and above it, more than the %d bytes that indexes may have in memory", d.Digest, heldBytes)
	}
	return func() { r.indexes.Release(size) }, nil
}
