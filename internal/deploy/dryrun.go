package deploy

import (
	"context"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Haver is a Repository that can be asked for any blob, at the price of a request. Without it a dry run takes every blob of a
// manifest that is missing for missing.
type Haver interface {
	Has(ctx context.Context, d oci.Descriptor) (bool, error)
}

// dry is a repository that nothing is put into. What would be sent is opened, which makes [blob.Copy] count it as moved, but not
// read.
type dry struct{ Repository }

func (r dry) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if h, ok := r.Repository.(Haver); ok {
		if there, err := h.Has(ctx, d); there || err != nil {
			return err
		}
	}
	in, err := src.Open(ctx, d)
	if err != nil {
		return err
	}
	return in.Close()
}

func (dry) Tag(context.Context, oci.Descriptor, string) error { return nil }
