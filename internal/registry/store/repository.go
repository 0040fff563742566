package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Repository is one repository of a [Store].
type Repository struct {
	store *Store
	name  string
	dir   string
}

// Name is the repository's name.
func (r Repository) Name() string { return r.name }

func (r Repository) blobs() string     { return filepath.Join(r.dir, "blobs") }
func (r Repository) manifests() string { return filepath.Join(r.dir, "manifests") }
func (r Repository) tags() string      { return filepath.Join(r.dir, "tags") }
func (r Repository) referrers(subject oci.Digest) string {
	return filepath.Join(r.dir, "referrers", digestFile(subject))
}

func (r Repository) blobLink(digest oci.Digest) string {
	return filepath.Join(r.blobs(), digestFile(digest))
}

func (r Repository) manifestLink(digest oci.Digest) string {
	return filepath.Join(r.manifests(), digestFile(digest))
}

// digestFile is the name of a file that stands for a digest. It has no colon, which Windows would not take.
func digestFile(digest oci.Digest) string { return strings.Replace(string(digest), ":", "-", 1) }

// fileDigest is the digest that a file of this name stands for, if it stands for one.
func fileDigest(name string) (oci.Digest, bool) {
	digest, err := oci.ParseDigest(strings.Replace(name, "-", ":", 1))
	return digest, err == nil
}

// Blob opens a blob of the repository, for reading that will probably begin at the given offset. Manifests are blobs too, but not these.
func (r Repository) Blob(ctx context.Context, digest oci.Digest, at int64) (Content, error) {
	d, err := r.Describe(digest)
	if err != nil {
		return nil, err
	}
	return r.store.openBlob(ctx, d, at)
}

// Describe returns the size of a blob of the repository, which may have been lost meanwhile.
func (r Repository) Describe(digest oci.Digest) (oci.Descriptor, error) {
	if _, err := oci.ParseDigest(string(digest)); err != nil {
		return oci.Descriptor{}, err
	}
	if !exists(r.blobLink(digest)) {
		return oci.Descriptor{}, fmt.Errorf("%w: %s", ErrBlobUnknown, digest)
	}
	r.renew(digest)
	return r.store.recall(digest)
}

// Has returns an error that wraps [ErrBlobUnknown] unless the repository has the blob and it can be opened.
func (r Repository) Has(ctx context.Context, digest oci.Digest) (oci.Descriptor, error) {
	d, err := r.Describe(digest)
	if err != nil {
		return d, err
	}
	absent, err := r.store.blobs.Missing(ctx, d)
	if err != nil || len(absent) == 0 {
		return d, err
	}
	found, err := r.store.elsewhere(ctx, absent)
	if _, ok := found[digest]; err == nil && !ok {
		err = &GoneError{digest, fmt.Errorf("blob %s: none of %s has it", digest, r.store.placeNames())}
	}
	return d, err
}

// open opens what a link of the repository to a manifest stands for.
func (r Repository) open(ctx context.Context, digest oci.Digest, unknown error) (*os.File, error) {
	f, err := r.store.blobs.Open(ctx, oci.Descriptor{Digest: digest})
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", unknown, digest)
	}
	if err != nil {
		return nil, err
	}
	return f.(*os.File), nil
}

// Mount gives the repository a blob that another one has.
func (r Repository) Mount(ctx context.Context, digest oci.Digest, from Repository) error {
	if _, err := from.Has(ctx, digest); err != nil {
		return err
	}
	unlock, err := r.store.toAdd()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := from.Describe(digest); err != nil { // deleted meanwhile
		return err
	}
	return r.link(digest)
}

// MountFromAny gives the repository a blob that any other one has.
func (r Repository) MountFromAny(ctx context.Context, digest oci.Digest) error {
	for from, err := range r.store.all() {
		if err != nil {
			return err
		}
		if err := r.Mount(ctx, digest, from); !errors.Is(err, ErrBlobUnknown) {
			return err
		}
	}
	return fmt.Errorf("%w, nor in another: %s", ErrBlobUnknown, digest)
}

// DeleteBlob takes a blob out of the repository, unless a manifest there refers to it. Other repositories keep it.
func (r Repository) DeleteBlob(ctx context.Context, digest oci.Digest) error {
	if _, err := oci.ParseDigest(string(digest)); err != nil {
		return err
	}
	unlock, err := r.store.toDelete()
	if err != nil {
		return err
	}
	defer unlock()
	if !exists(r.blobLink(digest)) {
		return fmt.Errorf("%w: %s", ErrBlobUnknown, digest)
	}
	if err := r.unused(ctx, digest); err != nil {
		return err
	}
	r.store.collected.Store(false)
	return remove(r.blobLink(digest))
}

// link makes a blob of the store one of the repository. The caller holds the lock.
func (r Repository) link(digest oci.Digest) error {
	if err := makeFolder(r.blobs()); err != nil {
		return err
	}
	if err := touch(r.blobLink(digest)); err != nil {
		return err
	}
	r.renewNow(digest)
	return nil
}

// renew says that somebody asks for a blob, and may be about to refer to it.
func (r Repository) renew(digest oci.Digest) {
	if r.store.limits.Grace == 0 {
		return
	}
	info, err := os.Stat(r.blobLink(digest))
	if err == nil && time.Since(info.ModTime()) > r.store.limits.Grace/4 {
		r.renewNow(digest)
	}
}

func (r Repository) renewNow(digest oci.Digest) {
	now := time.Now()
	os.Chtimes(r.blobLink(digest), now, now)
}
