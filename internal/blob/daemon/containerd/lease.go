package containerd

import (
	"context"
	"time"

	leases "github.com/containerd/containerd/api/services/leases/v1"
	"google.golang.org/grpc/metadata"
)

// leaseTime is after how long containerd drops the lease of a process that was killed. It is longer than any load takes.
const leaseTime = 24 * time.Hour

// lease keeps what is written with the context it returns from being collected, until release.
func (c *Client) lease(ctx context.Context) (leased context.Context, release func(), err error) {
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
	return metadata.AppendToOutgoingContext(ctx, "containerd-lease", r.Lease.ID), release, nil
}
