package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"lukechampine.com/blake3"
)

// function names blobs: Bazel's --digest_function.
type function = repb.DigestFunction_Value

// functionOf is the function of a request. One that does not say has SHA-256.
func functionOf(f function) function {
	if f == repb.DigestFunction_UNKNOWN {
		return repb.DigestFunction_SHA256
	}
	return f
}

func newHash(f function) hash.Hash {
	if f == repb.DigestFunction_BLAKE3 {
		return blake3.New(32, nil)
	}
	return sha256.New()
}

// store keeps blobs as files, by function and hash.
type store struct{ dir string }

func newStore(dir string) (*store, error) {
	for _, sub := range []string{repb.DigestFunction_SHA256.String(), repb.DigestFunction_BLAKE3.String(), "new", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	return &store{dir}, nil
}

func (s *store) path(f function, d *repb.Digest) string {
	return filepath.Join(s.dir, functionOf(f).String(), filepath.Base(d.GetHash()))
}

func (s *store) has(f function, d *repb.Digest) bool {
	info, err := os.Stat(s.path(f, d))
	return err == nil && info.Size() == d.GetSizeBytes() || d.GetSizeBytes() == 0
}

func (s *store) open(f function, d *repb.Digest) (*os.File, error) {
	if d.GetSizeBytes() == 0 {
		return os.Open(os.DevNull)
	}
	file, err := os.Open(s.path(f, d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, status.Errorf(codes.NotFound, "no blob %s/%d", d.GetHash(), d.GetSizeBytes())
	}
	return file, err
}

func (s *store) read(f function, d *repb.Digest) ([]byte, error) {
	file, err := s.open(f, d)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

func (s *store) message(f function, d *repb.Digest, m proto.Message) error {
	b, err := s.read(f, d)
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, m)
}

// put stores what r has and returns its digest.
func (s *store) put(f function, r io.Reader) (*repb.Digest, error) {
	tmp, err := os.CreateTemp(filepath.Join(s.dir, "new"), "blob")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	h := newHash(f)
	n, err := io.Copy(io.MultiWriter(tmp, h), r)
	if err != nil {
		return nil, err
	}
	d := &repb.Digest{Hash: hex.EncodeToString(h.Sum(nil)), SizeBytes: n}
	return d, os.Rename(tmp.Name(), s.path(f, d))
}

// putAs stores what r has if it is d.
func (s *store) putAs(f function, d *repb.Digest, r io.Reader) error {
	got, err := s.put(f, r)
	if err == nil && (got.Hash != d.GetHash() || got.SizeBytes != d.GetSizeBytes()) {
		err = status.Errorf(codes.InvalidArgument, "the bytes are %s/%d, not %s/%d", got.Hash, got.SizeBytes, d.GetHash(), d.GetSizeBytes())
	}
	return err
}
