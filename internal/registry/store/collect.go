package store

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Collect removes what nothing refers to: blobs of a repository that none of its manifests has named for longer than the grace, and then the bytes
// of which no repository has a link any more, with what is known of where they are, and folders in which nothing is. It says how many blobs these were. It looks at every link
// and every blob once, and keeps others waiting only while it removes one. Bytes are not looked for unless something was deleted since the last
// time; the first time it looks for what a dead process left.
func (s *Store) Collect(ctx context.Context, now time.Time) (removed blob.Tally, err error) {
	if err := s.unlinkUnused(ctx, now); err != nil {
		return removed, err
	}
	if !s.collected.Swap(true) {
		if removed, err = s.collect(ctx); err != nil {
			s.collected.Store(false)
			return removed, err
		}
	}
	more, err := s.forget(ctx, now)
	return removed.Plus(more), errors.Join(err, s.removeEmpty(ctx))
}

func (s *Store) collect(ctx context.Context) (removed blob.Tally, err error) {
	linked, err := s.linked()
	if err != nil {
		return removed, err
	}
	for d, err := range s.blobs.All() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return removed, err
		}
		if linked[key(d.Digest)] {
			continue
		}
		gone, err := s.removeUnlinked(ctx, d.Digest)
		if err != nil {
			return removed, err
		}
		if gone {
			removed.Blobs++
			removed.Bytes += d.Size
		}
	}
	return removed, nil
}

// removeUnlinked removes a blob unless it has been linked by now.
func (s *Store) removeUnlinked(ctx context.Context, digest oci.Digest) (bool, error) {
	unlock, err := s.toDelete()
	if err != nil {
		return false, err
	}
	defer unlock()
	if linked, err := s.isLinked(digest); linked || err != nil {
		return false, err
	}
	err = s.blobs.Delete(ctx, digest)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil // another process was faster
	}
	return err == nil, err
}

// isLinked reports whether any repository has the blob or manifest.
func (s *Store) isLinked(digest oci.Digest) (bool, error) {
	for r, err := range s.all() {
		if err != nil {
			return false, err
		}
		if exists(r.blobLink(digest)) || exists(r.manifestLink(digest)) {
			return true, nil
		}
	}
	return false, nil
}

// linked is the set of what any repository has.
func (s *Store) linked() (map[[32]byte]bool, error) {
	linked := map[[32]byte]bool{}
	for r, err := range s.all() {
		if err != nil {
			return nil, err
		}
		for _, folder := range []string{r.blobs(), r.manifests()} {
			entries, err := os.ReadDir(folder)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			for _, e := range entries {
				if digest, ok := fileDigest(e.Name()); ok {
					linked[key(digest)] = true
				}
			}
		}
	}
	return linked, nil
}

// key is a digest in few bytes, since a store may have millions.
func key(digest oci.Digest) (k [32]byte) {
	hex.Decode(k[:], []byte(digest.Encoded()))
	return k
}
