package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Files is the [blob.Source] of what the build left beside the plan.
type Files struct {
	paths map[oci.Digest]string
}

// NewFiles locates the blobs of p. locate turns a path relative to the runfiles directory into one on this machine.
func NewFiles(p Plan, locate func(string) string) Files {
	f := Files{paths: map[oci.Digest]string{}}
	for _, b := range p.Blobs {
		if b.File != "" {
			f.paths[b.Digest] = locate(b.File)
		}
	}
	return f
}

// Open implements [blob.Source]. A file of another size is an error at once, so that another source can be asked.
func (f Files) Open(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	path, ok := f.paths[d.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, blob.ErrNotFound)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: no file %s: %w", d.Digest, path, blob.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if err := hasSize(file, d); err != nil {
		file.Close()
		return nil, fmt.Errorf("blob %s: %s: %w", d.Digest, path, err)
	}
	return file, nil
}

func hasSize(f *os.File, d oci.Descriptor) error {
	info, err := f.Stat()
	if err == nil && info.Size() != d.Size {
		err = fmt.Errorf("%w: has %d bytes instead of %d", blob.ErrMismatch, info.Size(), d.Size)
	}
	return err
}

// Path implements [blob.Pather].
func (f Files) Path(d oci.Descriptor) (string, bool) {
	path, ok := f.paths[d.Digest]
	if !ok {
		return "", false
	}
	info, err := os.Stat(path)
	return path, err == nil && info.Size() == d.Size
}
