package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// deleteWithin bounds how long a place may take to delete a blob, since everybody waits for it.
const deleteWithin = 10 * time.Second

// unlinkUnused takes blobs out of repositories whose manifests have not named them for longer than the grace.
func (s *Store) unlinkUnused(ctx context.Context, now time.Time) error {
	if s.limits.Grace == 0 {
		return nil
	}
	for r, err := range s.all() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		unused, err := r.unusedLinks(ctx, now)
		if err == nil && len(unused) > 0 {
			err = r.unlinkUnused(ctx, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unlinkUnused looks again, now that nobody can add a manifest, and removes.
func (r Repository) unlinkUnused(ctx context.Context, now time.Time) error {
	unlock, err := r.store.toDelete()
	if err != nil {
		return err
	}
	defer unlock()
	unused, err := r.unusedLinks(ctx, now)
	if err != nil || len(unused) == 0 { // another process was faster, and the folder may be gone
		return err
	}
	for _, digest := range unused {
		r.store.collected.Store(false)
		if err := os.Remove(r.blobLink(digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncFolder(r.blobs())
}

// unusedLinks are the blobs for which nobody has asked for longer than the grace, and to which no manifest of the repository refers.
func (r Repository) unusedLinks(ctx context.Context, now time.Time) ([]oci.Digest, error) {
	old, err := olderDigests(r.blobs(), now.Add(-r.store.limits.Grace))
	if err != nil || len(old) == 0 {
		return nil, err
	}
	referred, err := r.referred(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(old, func(d oci.Digest) bool { return referred[key(d)] }), nil
}

// forget removes what is known of blobs elsewhere that no repository has, and those that were uploaded to there.
func (s *Store) forget(ctx context.Context, now time.Time) (removed blob.Tally, err error) {
	if s.limits.Grace == 0 {
		return removed, nil
	}
	old, err := s.oldKnown(now)
	if err != nil || len(old) == 0 {
		return removed, err
	}
	linked, err := s.linked()
	if err != nil {
		return removed, err
	}
	for _, digest := range old {
		if linked[key(digest)] {
			continue
		}
		d, err := s.forgetOne(ctx, digest, now)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return removed, err
		}
		if d.Digest != "" {
			removed = removed.Plus(blob.Tally{Blobs: 1, Bytes: d.Size})
		}
	}
	return removed, nil
}

// oldKnown are the blobs that are known, and for which nobody has asked for longer than the grace.
func (s *Store) oldKnown(now time.Time) ([]oci.Digest, error) {
	return olderDigests(s.known(), now.Add(-s.limits.Grace))
}

// olderDigests are those whose files in the folder were last changed before the given time.
func olderDigests(folder string, than time.Time) (old []oci.Digest, err error) {
	err = eachOlder(folder, than, func(path string) error {
		if digest, ok := fileDigest(filepath.Base(path)); ok {
			old = append(old, digest)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return old, err
}

// forgetOne forgets a blob unless somebody has asked for it by now. It returns the blob if it was also deleted from a place.
func (s *Store) forgetOne(ctx context.Context, digest oci.Digest, now time.Time) (deleted oci.Descriptor, err error) {
	unlock, err := s.toDelete()
	if err != nil {
		return deleted, err
	}
	defer unlock()
	info, err := os.Stat(s.knownFile(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return deleted, nil // another process was faster
	}
	if err != nil {
		return deleted, err
	}
	linked, err := s.isLinked(digest)
	if err != nil || linked || !info.ModTime().Before(now.Add(-s.limits.Grace)) {
		return deleted, err
	}
	d, err := s.recall(digest)
	if err != nil {
		return deleted, err
	}
	gone, err := s.deleteElsewhere(ctx, d)
	if err != nil {
		return deleted, err
	}
	if gone {
		deleted = d
	}
	return deleted, remove(s.knownFile(digest))
}

// deleteElsewhere deletes a blob from the place to which uploads go, if it was put there by this store, and the place can delete and has it.
func (s *Store) deleteElsewhere(ctx context.Context, d oci.Descriptor) (bool, error) {
	place, ok := s.uploadsTo.(deleter)
	if _, here := s.uploadsTo.(dir.Store); here || !ok || d.Annotations[uploaded] == "" {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, deleteWithin)
	defer cancel()
	err := place.Delete(ctx, d.Digest)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
