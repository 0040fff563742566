package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Disk is Bazel's --disk_cache: a [blob.Source] and [blob.RangeOpener] over a directory that Bazel writes. It is no [blob.Pather]: Bazel
// removes files from it while others may hold the path.
type Disk struct {
	Dir string
	// Key names a blob in the cache; nil is [SHA256].
	Key func(oci.Descriptor) (Key, bool)
}

// Open implements [blob.Source].
func (c Disk) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return c.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (c Disk) OpenRange(_ context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	path, err := c.path(d)
	if err != nil {
		return nil, fmt.Errorf("disk cache %s: %w", c.Dir, err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("disk cache %s: blob %s: %w", c.Dir, d.Digest, blob.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if err := skip(f, d, offset); err != nil {
		f.Close()
		return nil, fmt.Errorf("disk cache %s: blob %s: %w", c.Dir, d.Digest, err)
	}
	return f, nil
}

// path is where Bazel puts the blob: SHA-256 is older than the folders for digest functions.
func (c Disk) path(d oci.Descriptor) (string, error) {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return "", err
	}
	name := SHA256
	if c.Key != nil {
		name = c.Key
	}
	key, ok := name(d)
	if !ok {
		return "", fmt.Errorf("blob %s: its name in this cache is not known: %w", d.Digest, blob.ErrNotFound)
	}
	under := "cas"
	if key.Function == repb.DigestFunction_BLAKE3 {
		under = filepath.Join("blake3", "cas")
	}
	return filepath.Join(c.Dir, under, key.Hash[:2], key.Hash), nil
}

// skip moves a file to offset, which must be inside it. A file of another size than the blob is found out before anybody reads it, so that
// another source can be asked.
func skip(f *os.File, d oci.Descriptor, offset int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != d.Size {
		return fmt.Errorf("%w: has %d bytes instead of %d", blob.ErrMismatch, info.Size(), d.Size)
	}
	if offset < 0 || offset > d.Size {
		return fmt.Errorf("offset %d is outside its %d bytes", offset, d.Size)
	}
	_, err = f.Seek(offset, io.SeekStart)
	return err
}
