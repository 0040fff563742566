package cas

import (
	"context"
	"io"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Keyed is the same cache, over the same connections, with other names of blobs. Closing one closes both.
func (c *Cache) Keyed(key func(oci.Descriptor) (Key, bool)) *Cache {
	other := *c
	other.key = key
	return &other
}

// OpenKey opens what has a name in the cache, which need not be a blob of an image. It is not verified.
func (c *Cache) OpenKey(ctx context.Context, k Key, size int64) (io.ReadCloser, error) {
	called := oci.Digest(strings.ToLower(k.Function.String()) + ":" + k.Hash)
	return c.transport.open(ctx, named{oci.Descriptor{Digest: called, Size: size}, k}, 0)
}
