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
	unlock, err := r.store.toAdd()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, d := range ds {
		f, ok := found[d.Digest]
		if !ok {
			missing = append(missing, d)
		} else if err := r.store.learn(f); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// lend links what is in the directory for some repository, and returns the rest.
func (r Repository) lend(ctx context.Context, ds []oci.Descriptor) ([]oci.Descriptor, error) {
	unlock, err := r.store.toAdd()
	if err != nil {
		return nil, err
	}
	defer unlock()
	rest, err := r.store.blobs.Missing(ctx, ds...)
	if err != nil {
		return nil, err
	}
	lacks := digests(rest)
	for _, d := range ds {
		if lacks[d.Digest] {
			continue
		}
		linked, err := r.linkedSomewhere(d.Digest)
		if err != nil {
			return nil, err
		}
		if !linked {
			rest = append(rest, d)
		} else if err := r.link(d.Digest); err != nil {
			return nil, err
		}
	}
	return rest, nil
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
