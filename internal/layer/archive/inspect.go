package archive

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Inspect describes the file as a layer, after reading all of it.
func (a *Archive) Inspect(ctx context.Context) (layer.Result, error) {
	digest, diff := sha256.New(), sha256.New()
	in, err := a.open(digest)
	if err != nil {
		return layer.Result{}, a.named(err)
	}
	defer in.Close()
	if err := check(a.scan(ctx, in, diff)); err != nil {
		return layer.Result{}, a.named(err)
	}
	return layer.Result{
		MediaType: a.format.MediaType(),
		Digest:    oci.DigestOfSum(digest.Sum(nil)),
		Size:      in.packed.n.Load(),
		DiffID:    oci.DigestOfSum(diff.Sum(nil)),
	}, nil
}

// check reads all of an archive that stays as it is.
func check(s *scanner) error {
	for {
		h, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = keepable(h, s.at)
		}
		if err != nil {
			return err
		}
	}
}

// keepable refuses members that container runtimes refuse.
func keepable(h *tar.Header, at int64) error {
	if h.Typeflag == tar.TypeGNUSparse {
		return fmt.Errorf("byte %d: %q is a sparse file in GNU's format, which container runtimes cannot unpack: set optimize = True, which writes it out in full", at, h.Name)
	}
	return nil
}

func (a *Archive) named(err error) error { return fmt.Errorf("%s: %w", a.path, err) }
