package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// maxFamilies bounds how many digests of manifests and their children are remembered, of 32 bytes each. A manifest may have a hundred thousand.
const maxFamilies = 2_000_000

// families remembers what manifests refer to. A manifest never changes, so that whoever deletes reads only those that are new.
type families struct {
	mu       sync.Mutex
	children map[[32]byte][][32]byte
	size     int
}

func (f *families) of(parent oci.Digest) ([][32]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	children, ok := f.children[key(parent)]
	return children, ok
}

func (f *families) remember(parent oci.Digest, children [][32]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size += 1 + len(children)
	if f.children == nil || f.size > maxFamilies {
		f.children, f.size = map[[32]byte][][32]byte{}, 1+len(children)
	}
	f.children[key(parent)] = children
}

// unused returns an error when a manifest of the repository refers to the digest: a manifest that is there has all that it needs,
// or a client that sees it would not push what is missing. The caller holds the lock alone.
func (r Repository) unused(ctx context.Context, digest oci.Digest) error {
	return r.eachReference(ctx, func(parent oci.Digest, child [32]byte) error {
		if child == key(digest) {
			return fmt.Errorf("%w: %s: delete %s first", ErrInUse, digest, parent)
		}
		return nil
	})
}

// referred is the set of what the manifests of the repository refer to.
func (r Repository) referred(ctx context.Context) (map[[32]byte]bool, error) {
	all := map[[32]byte]bool{}
	err := r.eachReference(ctx, func(_ oci.Digest, child [32]byte) error {
		all[child] = true
		return nil
	})
	return all, err
}

// eachReference yields each child of each manifest of the repository, until an error.
func (r Repository) eachReference(ctx context.Context, yield func(parent oci.Digest, child [32]byte) error) error {
	entries, err := os.ReadDir(r.manifests())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		parent, ok := fileDigest(e.Name())
		if !ok {
			continue
		}
		children, err := r.children(ctx, parent)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := yield(parent, child); err != nil {
				return err
			}
		}
	}
	return nil
}

// children are what a manifest refers to. One that went away, or that the disk has damaged, refers to nothing: it must not keep others.
func (r Repository) children(ctx context.Context, parent oci.Digest) ([][32]byte, error) {
	if children, ok := r.store.families.of(parent); ok {
		return children, nil
	}
	d, err := r.Resolve(ctx, string(parent))
	if errors.Is(err, ErrManifestUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := r.readManifest(ctx, d)
	if errors.Is(err, ErrManifestInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	children := make([][32]byte, 0, len(m.children))
	for _, c := range m.children {
		children = append(children, key(c.Digest))
	}
	r.store.families.remember(parent, children)
	return children, nil
}
