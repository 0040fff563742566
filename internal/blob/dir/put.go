package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Put implements [blob.Sink].
func (s Store) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	missing, err := s.Missing(ctx, d)
	if err != nil || len(missing) == 0 {
		return err
	}
	if err := s.makeFolder(); err != nil {
		return fmt.Errorf("directory %s: %w", s.Root, err)
	}
	if s.Link != nil && s.link(d, src) {
		return s.sync(s.folder())
	}
	return s.copy(ctx, d, src)
}

// makeFolder makes the folder of the blobs, and its parents, as durably as a blob.
func (s Store) makeFolder() error {
	if _, err := os.Stat(s.folder()); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.folder(), 0o755); err != nil {
		return err
	}
	return errors.Join(s.sync(filepath.Dir(s.Root)), s.sync(s.Root), s.sync(filepath.Dir(s.folder())))
}

// link reports whether it could make the blob a link to a file of src. Where it can't, copying may still work and
// reports what is wrong.
func (s Store) link(d oci.Descriptor, src blob.Source) bool {
	pather, ok := src.(blob.Pather)
	if !ok {
		return false
	}
	path, ok := pather.Path(d)
	if !ok {
		return false
	}
	path, err := filepath.EvalSymlinks(path) // link(2) would link the symlink itself
	if err != nil || !s.Link(path) {
		return false
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != d.Size || s.sync(path) != nil {
		return false
	}
	if err := os.Link(path, s.path(d.Digest)); errors.Is(err, fs.ErrExist) {
		return s.has(d) // another process was faster; a damaged file is left to a copy, which replaces it
	} else if err != nil {
		return false
	}
	return true
}

func (s Store) copy(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	r, err := blob.Verify("source", src).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := s.temp()
	if err != nil {
		return fmt.Errorf("directory %s: %w", s.Root, err)
	}
	defer f.discard()
	if err := blob.Stream(ctx, f.File, r); err != nil {
		return fmt.Errorf("directory %s: put %s: %w", s.Root, d.Digest, err)
	}
	if err := s.publish(f, d.Digest); err != nil {
		return fmt.Errorf("directory %s: put %s: %w", s.Root, d.Digest, err)
	}
	return nil
}

// publish makes the temporary file visible: bytes to the disk, then the name, then the name to the disk.
func (s Store) publish(f *tempFile, digest oci.Digest) error {
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if !s.Volatile {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.rename(s.path(digest)); err != nil {
		return err
	}
	return s.sync(s.folder())
}
