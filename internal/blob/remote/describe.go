package remote

import (
	"context"
	"net/http"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Describe asks how large a blob is that is known by its digest alone. Registries do not know the types of blobs.
func (r *Repository) Describe(ctx context.Context, digest oci.Digest) (oci.Descriptor, error) {
	d := oci.Descriptor{MediaType: "application/octet-stream", Digest: digest}
	req, err := r.get(d)
	if err != nil {
		return d, err
	}
	req.method = http.MethodHead
	resp, err := r.host.do(ctx, r.host.pulls, req, http.StatusOK)
	if err != nil {
		return d, err
	}
	drain(resp)
	if d.Size = resp.ContentLength; d.Size < 0 {
		return d, r.errorf(req, "the registry does not say how large it is")
	}
	return d, nil
}
