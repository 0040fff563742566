package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// unused returns an error when a manifest of the repository refers to the digest: a manifest that is there has all that it needs,
// or a client that sees it would not push what is missing. The caller holds the lock alone.
func (r Repository) unused(ctx context.Context, digest oci.Digest) error {
	entries, err := os.ReadDir(r.manifests())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		parent, ok := fileDigest(e.Name())
		if !ok {
			continue
		}
		refers, err := r.refers(ctx, parent, digest)
		if err != nil {
			return err
		}
		if refers {
			return fmt.Errorf("%w: %s: delete %s first", ErrInUse, digest, parent)
		}
	}
	return nil
}

func (r Repository) refers(ctx context.Context, parent, digest oci.Digest) (bool, error) {
	d, err := r.Resolve(ctx, string(parent))
	if errors.Is(err, ErrManifestUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m, err := r.readManifest(ctx, d)
	if errors.Is(err, ErrManifestInvalid) {
		return false, nil // the disk has damaged it: it must not keep others
	}
	if err != nil {
		return false, err
	}
	for _, c := range m.children {
		if c.Digest == digest {
			return true, nil
		}
	}
	return false, nil
}
