package blob

import (
	"context"
	"fmt"
	"io"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// ReadAll reads a manifest, index or config into memory, verified as by [Verify]: name says in errors which side it was. One of more
// than [oci.MaxManifestSize] bytes is an error before anything is read.
func ReadAll(ctx context.Context, name string, source Source, d oci.Descriptor) ([]byte, error) {
	if d.Size > oci.MaxManifestSize {
		return nil, fmt.Errorf("%s: blob %s: has %d bytes, more than the %d that a manifest or config may have", name, d.Digest, d.Size, oci.MaxManifestSize)
	}
	r, err := Verify(name, source).Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
