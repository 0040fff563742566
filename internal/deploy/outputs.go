package deploy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Outputs is the [blob.Source] of what builds left in the output tree. A file there may be of another build than the plan, so each
// is read to see whether it is the blob, before anybody takes it for that.
type Outputs struct {
	roots []string
	paths map[oci.Digest]string
}

// NewOutputs looks for the blobs of p below roots: execution roots, or what looks like one.
func NewOutputs(p Plan, roots ...string) Outputs {
	o := Outputs{roots: roots, paths: map[oci.Digest]string{}}
	for _, b := range p.Blobs {
		if b.Output != "" {
			o.paths[b.Digest] = b.Output
		}
	}
	return o
}

// Open implements [blob.Source].
func (o Outputs) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	path, ok := o.paths[d.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: no action of this build made it: %w", d.Digest, blob.ErrNotFound)
	}
	var said []string
	for _, root := range o.roots {
		f, err := openOutput(ctx, filepath.Join(root, filepath.FromSlash(path)), d)
		switch {
		case err == nil:
			return f, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if !slices.Contains(said, err.Error()) {
			said = append(said, err.Error())
		}
	}
	if len(said) == 0 {
		return nil, fmt.Errorf("blob %s: it is not known where the output tree is: %w", d.Digest, blob.ErrNotFound)
	}
	return nil, fmt.Errorf("blob %s: %s: %w", d.Digest, strings.Join(said, ", "), blob.ErrNotFound)
}

func openOutput(ctx context.Context, path string, d oci.Descriptor) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no file %s", path)
	}
	if err != nil {
		return nil, err
	}
	if err := isBlob(ctx, f, d); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return f, nil
}

// isBlob reads f, and leaves it at its start.
func isBlob(ctx context.Context, f *os.File, d oci.Descriptor) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := sha256.New()
	if info.Size() == d.Size {
		if err := blob.Stream(ctx, h, f); err != nil {
			return err
		}
	}
	if info.Size() != d.Size || oci.DigestOfSum(h.Sum(nil)) != d.Digest {
		return errors.New("is of another build")
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
