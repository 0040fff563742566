package layout

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Place makes the file path the blob d: a link to the layout's file where there can be one, once its content is verified, and else a
// copy.
func (l *Layout) Place(ctx context.Context, d oci.Descriptor, path string) error {
	r, err := blob.Verify("layout", l).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	from, ok := l.file(d)
	if !ok {
		return writeAll(path, r)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if os.Link(from, path) == nil {
		return nil
	}
	again, err := l.Open(ctx, d)
	if err != nil {
		return err
	}
	defer again.Close()
	return writeAll(path, again)
}

// file is where the blob really is, behind the links of a sandbox.
func (l *Layout) file(d oci.Descriptor) (string, bool) {
	path, ok := l.Path(d)
	if !ok {
		return "", false
	}
	path, err := filepath.EvalSymlinks(path)
	return path, err == nil
}

func writeAll(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
