package deploy

import (
	"context"
	"errors"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// casRegistry is the strategy for a registry that serves from the cache of the build.
const casRegistry = "cas_registry"

// Commit tells such a registry which blobs a manifest of a repository will name, and returns those that the registry wants to be sent.
type Commit func(ctx context.Context, to oci.Reference, ds []oci.Descriptor) ([]oci.Descriptor, error)

// copy sends an image. To a registry that serves from the cache it sends what that says it lacks, and if it was not asked, nothing but
// manifests. Should the registry not take these, because a blob is in none of its stores, everything goes the common way: what the registry has found
// meanwhile is then mounted.
func (p *push) copy(ctx context.Context, to Repository) (blob.Report, error) {
	o, root := blob.CopyOptions{Jobs: p.Jobs}, p.result.Operation.Root
	if p.result.Operation.Strategy == casRegistry {
		report, err := blob.Copy(ctx, asked{served{to, p}, root, p.there}, p.Source, o, root)
		if !errors.Is(err, blob.ErrLacking) {
			return report, err
		}
	}
	return blob.Copy(ctx, asked{to, root, p.there}, p.Source, o, root)
}

// served is a repository of a registry that serves from the cache. It is told of blobs, also in a dry run: it then remembers where they are, which
// nobody sees.
type served struct {
	Repository
	*push
}

// Missing implements [blob.Sink].
func (s served) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	var manifests, blobs []oci.Descriptor
	for _, d := range ds {
		if oci.IsManifest(d.MediaType) {
			manifests = append(manifests, d)
		} else {
			blobs = append(blobs, d)
		}
	}
	lacking, err := s.lacking(ctx, manifests, blobs)
	if err != nil {
		return nil, err
	}
	lacks := map[oci.Digest]bool{}
	for _, d := range lacking {
		lacks[d.Digest] = true
	}
	var missing []oci.Descriptor
	for _, d := range ds {
		if lacks[d.Digest] {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

func (s served) lacking(ctx context.Context, manifests, blobs []oci.Descriptor) (lacking []oci.Descriptor, err error) {
	if len(manifests) > 0 {
		if lacking, err = s.Repository.Missing(ctx, manifests...); err != nil {
			return nil, err
		}
	}
	if s.Commit == nil || len(blobs) == 0 {
		return lacking, nil
	}
	more, err := s.Commit(ctx, s.ref, blobs)
	return append(lacking, more...), err
}
