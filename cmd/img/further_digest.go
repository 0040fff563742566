package main

import (
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"lukechampine.com/blake3"
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

// tee is a writer to w whose bytes are in the digest.
func (d furtherDigest) tee(w io.Writer) io.Writer {
	if d.hash == nil {
		return w
	}
	return io.MultiWriter(w, d.hash)
}

// read adds the bytes of a file.
func (d furtherDigest) read(path string) error {
	if d.hash == nil {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(d.hash, f)
	return err
}

// String is hexadecimal; empty when there is none.
func (d furtherDigest) String() string {
	if d.hash == nil {
		return ""
	}
	return hex.EncodeToString(d.hash.Sum(nil))
}
