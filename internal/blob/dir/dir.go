// Package dir keeps blobs in a directory, in the manner of the OCI image layout: the blob sha256:X is the file
// blobs/sha256/X. What the blobs are called (a layout's index.json, a registry's tags) is other packages' business.
//
// The entry point is [Store]. Its law: a file appears under its name only when it is whole, verified and, unless the store
// is volatile, on disk; then it never changes. Any number of processes may use one directory at once, and one
// that is killed leaves at most a temporary file, which [Store.Sweep] removes.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Store is a directory of blobs: a [blob.Source], [blob.Sink], [blob.RangeOpener] and [blob.Pather]. The directory
// need not exist before the first Put.
type Store struct {
	// Root is the directory that has, or will have, blobs/ in it.
	Root string
	// Link, if set, says of files of a source on this machine, by their paths without symlinks, which Put is to hard-link
	// instead of copying them, where the file system can. Of a linked file only the size is checked: let it choose those
	// that are known to be right and are never changed.
	Link func(path string) bool
	// Volatile leaves out waiting for the disk. Set it for what can be made again.
	Volatile bool
}

// Open implements [blob.Source]. The reader is an [*os.File].
func (s Store) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (s Store) OpenRange(_ context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	f, err := s.open(d.Digest)
	if err != nil || offset == 0 {
		return f, err
	}
	if err := seek(f, offset); err != nil {
		f.Close()
		return nil, fmt.Errorf("directory %s: blob %s: %w", s.Root, d.Digest, err)
	}
	return f, nil
}

// Path implements [blob.Pather].
func (s Store) Path(d oci.Descriptor) (string, bool) {
	_, err := s.stat(d.Digest)
	return s.path(d.Digest), err == nil
}

// Missing implements [blob.Sink]. A file of another size than its descriptor says is missing too: it is damaged, and Put
// mends it.
func (s Store) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	var missing []oci.Descriptor
	for _, d := range ds {
		info, err := s.stat(d.Digest)
		switch {
		case errors.Is(err, blob.ErrNotFound) || err == nil && info.Size() != d.Size:
			missing = append(missing, d)
		case err != nil:
			return nil, err
		}
	}
	return missing, ctx.Err()
}

// Delete removes a blob. Its error wraps [blob.ErrNotFound] when it is not there. Whoever deletes keeps the law of
// [blob.Copy]: a manifest goes before what it refers to.
func (s Store) Delete(_ context.Context, digest oci.Digest) error {
	if _, err := oci.ParseDigest(string(digest)); err != nil {
		return s.blobError(digest, err)
	}
	if err := os.Remove(s.path(digest)); err != nil {
		return s.blobError(digest, err)
	}
	return s.sync(s.folder())
}

// has reports whether the blob is there as a file of the right size.
func (s Store) has(d oci.Descriptor) bool {
	info, err := s.stat(d.Digest)
	return err == nil && info.Size() == d.Size
}

func (s Store) open(digest oci.Digest) (*os.File, error) {
	if _, err := s.stat(digest); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(digest))
	if err != nil {
		return nil, s.blobError(digest, err)
	}
	return f, nil
}

// stat finds the regular file of a blob, and checks the digest before it becomes a path.
func (s Store) stat(digest oci.Digest) (fs.FileInfo, error) {
	if _, err := oci.ParseDigest(string(digest)); err != nil {
		return nil, s.blobError(digest, err)
	}
	info, err := os.Stat(s.path(digest))
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("is no regular file: %s", info.Mode())
	}
	if err != nil {
		return nil, s.blobError(digest, err)
	}
	return info, nil
}

func (s Store) folder() string                { return filepath.Join(s.Root, "blobs", "sha256") }
func (s Store) path(digest oci.Digest) string { return filepath.Join(s.folder(), digest.Encoded()) }

func (s Store) blobError(digest oci.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = blob.ErrNotFound
	}
	return fmt.Errorf("directory %s: blob %s: %w", s.Root, digest, err)
}

func seek(f *os.File, offset int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if offset < 0 || offset > info.Size() {
		return fmt.Errorf("offset %d is outside its %d bytes", offset, info.Size())
	}
	_, err = f.Seek(offset, io.SeekStart)
	return err
}
