package layout

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// IsOutput reports whether a file, by its path without symlinks, is an output of a build of Bazel. Only such may be hard-linked to
// outputs: Bazel takes the permission to write from its outputs, and whoever edits a source file that is one too changes, unseen, what
// caches hold.
func IsOutput(path string) bool {
	return strings.Contains("/"+filepath.ToSlash(path), "/bazel-out/")
}

// Place makes the file path the blob d, and replaces what is there: by a link to the layout's file where that is an output, once its
// content is verified, and else by a copy. The content is written to also, too.
func (l *Layout) Place(ctx context.Context, d oci.Descriptor, path string, also io.Writer) error {
	folder, err := os.MkdirTemp(filepath.Dir(path), ".place-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	made := filepath.Join(folder, "blob")
	if err := l.linkOrCopy(ctx, d, made, also); err != nil {
		return err
	}
	return os.Rename(made, path)
}

// linkOrCopy makes a file that is not there yet.
func (l *Layout) linkOrCopy(ctx context.Context, d oci.Descriptor, path string, also io.Writer) error {
	if from, ok := l.file(d); ok && IsOutput(from) {
		if err := l.copyTo(ctx, also, d); err != nil {
			return err
		}
		if os.Link(from, path) == nil {
			return nil
		}
		also = io.Discard // it has the content
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := l.copyTo(ctx, io.MultiWriter(f, also), d); err != nil {
		return err
	}
	return f.Close()
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

// copyTo writes the verified content of a blob.
func (l *Layout) copyTo(ctx context.Context, w io.Writer, d oci.Descriptor) error {
	r, err := blob.Verify("layout", l).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	return blob.Stream(ctx, w, r)
}
