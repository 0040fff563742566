package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Layout is an OCI image layout that is there: a [blob.Source] of its blobs, and of index.json as the index that it is.
type Layout struct {
	blob.Source
	name  string
	body  []byte // of index.json
	index oci.Index
	made  map[oci.Digest][]byte // manifests that are in no file
}

// Open reads what names the images of a layout: of a directory, or of a tar that is not compressed. Whoever opened it
// closes it.
func Open(path string) (*Layout, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	l := &Layout{name: path}
	if info.IsDir() {
		l.Source = dir.Store{Root: path}
		l.body, err = readSmallFile(filepath.Join(path, "index.json"))
	} else {
		l.Source, l.body, err = openTar(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("layout %s: has no index.json: it is no OCI image layout", path)
	}
	if err != nil {
		return nil, fmt.Errorf("layout %s: %w", path, err)
	}
	if err := json.Unmarshal(l.body, &l.index); err != nil {
		l.Close()
		return nil, fmt.Errorf("layout %s: index.json: %w", path, err)
	}
	for _, d := range l.index.Manifests {
		if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
			l.Close()
			return nil, fmt.Errorf("layout %s: index.json: %w", path, err)
		}
	}
	return l, nil
}

func readSmallFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSmall(filepath.Base(path), f)
}

// readSmall reads a file that is no layer.
func readSmall(name string, r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, oci.MaxManifestSize+1))
	if len(body) > oci.MaxManifestSize {
		return nil, fmt.Errorf("%s: has more than %d bytes", name, oci.MaxManifestSize)
	}
	return body, err
}

// Close closes the tar, if it is one.
func (l *Layout) Close() error {
	if c, ok := l.Source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Path implements [blob.Pather].
func (l *Layout) Path(d oci.Descriptor) (string, bool) {
	if p, ok := l.Source.(blob.Pather); ok {
		return p.Path(d)
	}
	return "", false
}

// Open implements [blob.Source].
func (l *Layout) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if body, ok := l.document(d); ok {
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	return l.Source.Open(ctx, d)
}

// OpenRange implements [blob.RangeOpener].
func (l *Layout) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	body, ok := l.document(d)
	switch {
	case !ok:
		return l.Source.(blob.RangeOpener).OpenRange(ctx, d, offset)
	case offset < 0 || offset > int64(len(body)):
		return nil, fmt.Errorf("layout %s: blob %s: offset %d is outside its %d bytes", l.name, d.Digest, offset, len(body))
	}
	return io.NopCloser(bytes.NewReader(body[offset:])), nil
}

// document is what the layout has in memory.
func (l *Layout) document(d oci.Descriptor) ([]byte, bool) {
	if d.Digest == oci.DigestOf(l.body) {
		return l.body, true
	}
	body, ok := l.made[d.Digest]
	return body, ok
}

// Root is the one image of the layout: what the entry of index.json refers to if there is one (names aside), and else
// index.json itself.
func (l *Layout) Root() (oci.Descriptor, error) {
	distinct := map[oci.Digest]oci.Descriptor{}
	for _, d := range l.index.Manifests {
		distinct[d.Digest] = plain(d)
	}
	switch len(distinct) {
	case 0:
		return oci.Descriptor{}, fmt.Errorf("layout %s: index.json names no image", l.name)
	case 1:
		return plain(l.index.Manifests[0]), nil
	}
	return oci.Describe(oci.MediaTypeIndex, l.body), nil
}

// plain is a descriptor without the annotations that name it in the layout; the names are not the image's.
func plain(d oci.Descriptor) oci.Descriptor {
	d.Annotations = nil
	return d
}

// Manifests lists every image manifest of the layout once, those of nested indexes included, each with a platform: that
// of its descriptor or, since many tools leave it out, of its config. Attestations and artifacts are left out.
func (l *Layout) Manifests(ctx context.Context) ([]oci.Descriptor, error) {
	return Manifests(ctx, l, l.index.Manifests...)
}
