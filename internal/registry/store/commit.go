package store

import (
	"context"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Commit is told of blobs that a manifest of the repository will name, with what places need to find them among their annotations. It
// remembers those that some place has, lends the repository what another one has in the directory, and returns those that are to be uploaded.
func (r Repository) Commit(ctx context.Context, ds ...oci.Descriptor) (missing []oci.Descriptor, err error) {
	for _, d := range ds {
		if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
			return nil, err
		}
		if d.Size < 0 {
			return nil, fmt.Errorf("%w: %s: has the size %d", ErrSize, d.Digest, d.Size)
		}
	}
	ds, err = r.lend(ctx, ds)
	if err != nil {
		return nil, err
	}
	found, err := r.store.elsewhere(ctx, ds)
	if err != nil {
		return nil, err
	}
	for _, d := range ds {
		f, ok := found[d.Digest]
		if !ok {
			missing = append(missing, d)
		} else if err := r.store.remember(f); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// lend links what is in the directory for some repository, and returns the rest.
func (r Repository) lend(ctx context.Context, ds []oci.Descriptor) (rest []oci.Descriptor, err error) {
	for _, d := range ds {
		lent, err := r.lendOne(ctx, d)
		if err != nil {
			return nil, err
		}
		if !lent {
			rest = append(rest, d)
		}
	}
	return rest, nil
}

func (r Repository) lendOne(ctx context.Context, d oci.Descriptor) (bool, error) {
	unlock, err := r.store.toAdd()
	if err != nil {
		return false, err
	}
	defer unlock()
	absent, err := r.store.blobs.Missing(ctx, d)
	if err != nil || len(absent) > 0 {
		return false, err
	}
	if linked, err := r.linkedSomewhere(d.Digest); err != nil || !linked {
		return false, err
	}
	return true, r.link(d.Digest)
}

func digests(ds []oci.Descriptor) map[oci.Digest]bool {
	all := map[oci.Digest]bool{}
	for _, d := range ds {
		all[d.Digest] = true
	}
	return all
}

// linkedSomewhere reports whether this or another repository has the blob.
func (r Repository) linkedSomewhere(digest oci.Digest) (bool, error) {
	if exists(r.blobLink(digest)) {
		return true, nil
	}
	for other, err := range r.store.all() {
		if err != nil || exists(other.blobLink(digest)) {
			return err == nil, err
		}
	}
	return false, nil
}
