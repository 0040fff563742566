package containerd

import (
	"context"

	images "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// name gives the image its names, and returns them.
func (c *Client) name(ctx context.Context, im daemon.Image) ([]string, error) {
	var names []string
	for _, n := range im.Names {
		names = append(names, n.Full())
	}
	if im.Dry {
		return names, nil
	}
	if len(names) > 0 {
		for i, name := range names {
			if err := c.set(ctx, name, im.Root); err != nil {
				return names[:i], err
			}
		}
		return names, nil
	}
	unnamed := c.Unnamed
	if unnamed == "" {
		unnamed = "import"
	}
	return nil, c.set(ctx, unnamed+"@"+string(im.Root.Digest), im.Root)
}

// set makes name mean d.
func (c *Client) set(ctx context.Context, name string, d oci.Descriptor) error {
	client := images.NewImagesClient(c.conn)
	im := &images.Image{Name: name, Target: &types.Descriptor{MediaType: d.MediaType, Digest: string(d.Digest), Size: d.Size}}
	_, err := client.Create(ctx, &images.CreateImageRequest{Image: im})
	if status.Code(err) == codes.AlreadyExists {
		_, err = client.Update(ctx, &images.UpdateImageRequest{Image: im})
	}
	if err != nil {
		return c.wrap(ctx, "name "+name, err)
	}
	return nil
}
