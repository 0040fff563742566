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

// Open implements [blob.Source].
func (f Files) Open(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	path, ok := f.paths[d.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, blob.ErrNotFound)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: no file %s: %w", d.Digest, path, blob.ErrNotFound)
	}
	return file, err
}

// Path implements [blob.Pather].
func (f Files) Path(d oci.Descriptor) (string, bool) {
	path, ok := f.paths[d.Digest]
	if !ok {
		return "", false
	}
	_, err := os.Stat(path)
	return path, err == nil
}
