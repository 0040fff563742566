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
	links map[string]string // symlinks, by which old docker archives have a layer twice
}

type span struct{ offset, size int64 }

// openTar finds the files of a tar, and reads its index.json.
func openTar(name string) (*tarSource, []byte, error) {
	s, err := scanTar(name)
	if err != nil {
		return nil, nil, err
	}
	body, err := s.small("index.json")
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return s, body, nil
}

// scanTar finds the files of a tar.
func scanTar(name string) (*tarSource, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s := &tarSource{file: f, blobs: map[string]span{}, links: map[string]string{}}
	if err := s.scan(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// small reads a file of the archive that is no layer.
func (s *tarSource) small(name string) ([]byte, error) {
	at, ok := s.blobs[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return readSmall(name, s.section(at))
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
		switch h.Typeflag {
		case tar.TypeSymlink:
			s.links[path.Clean(h.Name)] = path.Join(path.Dir(h.Name), h.Linkname)
			continue
		case tar.TypeLink:
			s.links[path.Clean(h.Name)] = path.Clean(h.Linkname)
			continue
		case tar.TypeReg:
		default:
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
