package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"lukechampine.com/blake3"

	"github.com/bazel-contrib/rules_img/internal/blob"
)

// furtherDigest is the digest of a blob that Bazel's caches know it by, when that is not SHA-256. The zero value is none.
type furtherDigest struct{ hash hash.Hash }

func newFurtherDigest(function string) (furtherDigest, error) {
	switch function {
	case "":
		return furtherDigest{}, nil
	case "blake3":
		return furtherDigest{blake3.New(32, nil)}, nil
	}
	return furtherDigest{}, fmt.Errorf("further_digest: %q: want blake3", function)
}

// of is the digest of bytes at hand, as String has it.
func (d furtherDigest) of(b []byte) string {
	if d.hash == nil {
		return ""
	}
	d.hash.Reset()
	d.hash.Write(b)
	return d.String()
}

// tee is a writer to w whose bytes are in the digest.
func (d furtherDigest) tee(w io.Writer) io.Writer {
	if d.hash == nil {
		return w
	}
	return io.MultiWriter(w, d.hash)
}

// read adds the bytes of a file. The end of ctx ends it.
func (d furtherDigest) read(ctx context.Context, path string) error {
	if d.hash == nil {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return blob.Stream(ctx, d.hash, f)
}

// String is hexadecimal; empty when there is none.
func (d furtherDigest) String() string {
	if d.hash == nil {
		return ""
	}
	return hex.EncodeToString(d.hash.Sum(nil))
}
