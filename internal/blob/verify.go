package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// ErrMismatch is wrapped by the errors for bytes that are not what their descriptor says.
var ErrMismatch = errors.New("content is not what its descriptor says")

// Verify checks the size and the digest of everything that is read from source. You want it where bytes enter the
// program. The last read reports a mismatch, so that nobody who reads to the end, or only as far as the size goes, takes
// wrong bytes for right ones. name says in errors which side it was. Paths and ranges of source are hidden: nobody verified them.
func Verify(name string, source Source) Source {
	return SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r, err := source.Open(ctx, d)
		if err != nil {
			return nil, err
		}
		return &verifier{r: r, name: name, want: d, hash: sha256.New()}, nil
	})
}

type verifier struct {
	r    io.ReadCloser
	name string
	want oci.Descriptor
	hash hash.Hash
	size int64
	err  error
}

func (v *verifier) Close() error { return v.r.Close() }

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	before := v.size
	v.size += int64(n)
	v.err = v.check(before, err)
	return n, v.err
}

// check decides what a read that ended with err returns, when there were before bytes before it.
func (v *verifier) check(before int64, err error) error {
	switch {
	case err != nil && err != io.EOF:
		return err
	case v.size > v.want.Size:
		return v.mismatch("has more than the %d bytes of its descriptor", v.want.Size)
	case err == io.EOF && v.size < v.want.Size:
		return v.mismatch("ends after %d of %d bytes", v.size, v.want.Size)
	case v.size == v.want.Size && (err == io.EOF || before < v.size):
		if got := oci.DigestOfSum(v.hash.Sum(nil)); got != v.want.Digest {
			return v.mismatch("has the digest %s", got)
		}
	}
	return err
}

func (v *verifier) mismatch(format string, args ...any) error {
	return fmt.Errorf("%s: blob %s: %w: %s", v.name, v.want.Digest, ErrMismatch, fmt.Sprintf(format, args...))
}
