package containerd

import (
	"context"
	"time"

	leases "github.com/containerd/containerd/api/services/leases/v1"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// leaseTime is after how long containerd drops the lease of a process that was killed. It is longer than any load takes.
const leaseTime = 24 * time.Hour

// lease keeps blobs from being collected.
type lease struct {
	id     string
	client leases.LeasesClient
}

// Leased is the content store of the client's namespace, in which whatever is written, or found to be there, is kept
// until release.
func (c *Client) Leased(ctx context.Context) (s *Store, release func(), err error) {
	ctx = in(ctx, c.namespace)
	client := leases.NewLeasesClient(c.conn)
	labels := map[string]string{"containerd.io/gc.expire": time.Now().Add(leaseTime).UTC().Format(time.RFC3339)}
	r, err := client.Create(ctx, &leases.CreateRequest{ID: "img-" + random(), Labels: labels})
	if err != nil {
		return nil, nil, c.wrap(ctx, "lease", err)
	}
	release = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		client.Delete(ctx, &leases.DeleteRequest{ID: r.Lease.ID}) // it expires anyway
	}
	s = NewStore(c.address, c.namespace, c.conn)
	s.lease = &lease{r.Lease.ID, client}
	return s, release, nil
}

// hold puts a blob that may be there under the lease, so that it can't go once it was seen. A manifest holds what is
// below it.
func (s *Store) hold(ctx context.Context, d oci.Descriptor) error {
	if s.lease == nil {
		return nil
	}
	_, err := s.lease.client.AddResource(s.in(ctx), &leases.AddResourceRequest{
		ID:       s.lease.id,
		Resource: &leases.Resource{ID: string(d.Digest), Type: "content"},
	})
	if err != nil {
		return s.wrap(ctx, d, err)
	}
	return nil
}
