package containerd

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Shares reports whether other, a view of a content store, is one of c's. It finds out by trying: a few bytes of their
// own, under a lease and gone with it, which must show there.
func (c *Client) Shares(ctx context.Context, other *Store) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	store, release, err := c.Leased(ctx)
	if err != nil {
		return false
	}
	defer release()
	body := "img looks for this to know one content store from another: " + random()
	d := oci.Describe("text/plain", []byte(body))
	err = store.Put(ctx, d, blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body)), nil
	}))
	if err != nil {
		return false
	}
	missing, err := other.Missing(ctx, d)
	return err == nil && len(missing) == 0
}
