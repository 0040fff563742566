package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// check compares a result with what it should be: our digest always, and at first the digest of the stream and the number of files.
func check(j job, ours bool, files int, thoroughly bool) error {
	if ours {
		if err := checkMetadata(j, thoroughly); err != nil {
			return err
		}
	}
	if !thoroughly {
		return nil
	}
	r, err := openArchive(j.out)
	if err != nil {
		return err
	}
	defer r.Close()
	n := 0
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		own := h.Name == "stargz.index.json" || h.Name == ".no.prefetch.landmark" // of a lazy layer
		if !own && (h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeLink) {
			n++
		}
	}
	if n != files {
		return fmt.Errorf("the archive has %d files: want %d", n, files)
	}
	return nil
}

func checkMetadata(j job, thoroughly bool) error {
	b, err := os.ReadFile(j.out + ".json")
	if err != nil {
		return err
	}
	var m manifest.Layer
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	f, err := os.Open(j.out)
	if err != nil {
		return err
	}
	defer f.Close()
	if d, err := digestOf(f); err != nil || d != m.Digest {
		return fmt.Errorf("the blob's digest is %s, and its metadata say %s (%v)", d, m.Digest, err)
	}
	if !thoroughly {
		return nil
	}
	r, err := openArchive(j.out)
	if err != nil {
		return err
	}
	defer r.Close()
	if d, err := digestOf(r); err != nil || d != m.DiffID {
		return fmt.Errorf("the stream's digest is %s, and its metadata say %s (%v)", d, m.DiffID, err)
	}
	return nil
}

func digestOf(r io.Reader) (oci.Digest, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return oci.DigestOfSum(h.Sum(nil)), err
}

// openArchive decompresses what a file's first bytes say that it is.
func openArchive(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(f, 1<<20)
	magic, _ := b.Peek(4)
	var r io.Reader = b
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		if r, err = gzip.NewReader(b); err != nil {
			return nil, err
		}
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b)
		if err != nil {
			return nil, err
		}
		r = z.IOReadCloser()
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}
