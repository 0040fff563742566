package blob

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// MissingOf is a [Sink]'s Missing for a store that can be asked for one blob at a time: it asks side by side, as many at once as atOnce says, and
// returns those of ds that are not there, in their order.
func MissingOf(ctx context.Context, atOnce int, ds []oci.Descriptor, has func(context.Context, oci.Descriptor) (bool, error)) ([]oci.Descriptor, error) {
	there := make([]bool, len(ds))
	all, asking := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for i, d := range ds {
		all.Go(func() (err error) { there[i], err = has(asking, d); return err })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	var missing []oci.Descriptor
	for i, d := range ds {
		if !there[i] {
			missing = append(missing, d)
		}
	}
	return missing, nil
}
