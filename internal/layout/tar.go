package layout

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// tarSource has the blobs of a layout that is a tar, where they are in it.
type tarSource struct {
	file  *os.File
	blobs map[string]span
}

type span struct{ offset, size int64 }

// openTar finds the files of a tar, and reads its index.json.
func openTar(name string) (*tarSource, []byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	s := &tarSource{file: f, blobs: map[string]span{}}
	if err := s.scan(); err != nil {
		f.Close()
		return nil, nil, err
	}
	at, ok := s.blobs["index.json"]
	if !ok {
		f.Close()
		return nil, nil, fs.ErrNotExist
	}
	body, err := readIndex(s.section(at))
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return s, body, nil
}

func (s *tarSource) scan() error {
	r := tar.NewReader(s.file)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("is no tar, or a compressed one: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := s.file.Seek(0, io.SeekCurrent) // a tar reader reads no further than the header
		if err != nil {
			return err
		}
		s.blobs[path.Clean(h.Name)] = span{at, h.Size}
	}
}

func (s *tarSource) section(at span) *io.SectionReader {
	return io.NewSectionReader(s.file, at.offset, at.size)
}

// Open implements [blob.Source].
func (s *tarSource) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (s *tarSource) OpenRange(_ context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return nil, fmt.Errorf("archive %s: %w", s.file.Name(), err)
	}
	at, ok := s.blobs[blobPath(d.Digest)]
	if !ok {
		return nil, fmt.Errorf("archive %s: blob %s: %w", s.file.Name(), d.Digest, blob.ErrNotFound)
	}
	if offset < 0 || offset > at.size {
		return nil, fmt.Errorf("archive %s: blob %s: offset %d is outside its %d bytes", s.file.Name(), d.Digest, offset, at.size)
	}
	return io.NopCloser(s.section(span{at.offset + offset, at.size - offset})), nil
}

// Close closes the file.
func (s *tarSource) Close() error { return s.file.Close() }
