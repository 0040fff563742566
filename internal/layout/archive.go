package layout

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// WriteArchive writes images, whose bytes source has, to w as one tar. Leave, if not nil, says of blobs to leave out, as
// [Directory].Leave does.
func WriteArchive(ctx context.Context, w io.Writer, source blob.Source, leave func(oci.Descriptor) bool, images ...Image) (blob.Report, error) {
	a := NewArchive(w)
	report, err := blob.Copy(ctx, a, source, blob.CopyOptions{Jobs: 1, Leave: leave}, roots(images)...)
	if err != nil {
		return report, err
	}
	return report, a.Close(images...)
}

func roots(images []Image) []oci.Descriptor {
	var ds []oci.Descriptor
	for _, im := range images {
		ds = append(ds, im.Root)
	}
	return ds
}

// Archive is a [blob.Sink] that writes a tar: blobs in the order in which they are put, and at the end what names them.
// Copy into it with one job where the tar must always be the same.
type Archive struct {
	// OnlyLayout leaves out the docker archive's list, for receivers that know the OCI layout: what the list names, the
	// archive must have.
	OnlyLayout bool

	mu   sync.Mutex // held while a blob is written, since a tar is a stream
	tar  *tar.Writer
	put  map[oci.Digest]bool
	kept map[oci.Digest][]byte // manifests, which the docker archive's list is made from
	err  error                 // of a blob that was written in part: the tar can't be mended
}

// NewArchive writes to w. The caller closes the archive, and then w.
func NewArchive(w io.Writer) *Archive {
	return &Archive{tar: tar.NewWriter(w), put: map[oci.Digest]bool{}, kept: map[oci.Digest][]byte{}}
}

// Missing implements [blob.Sink].
func (a *Archive) Missing(_ context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var missing []oci.Descriptor
	for _, d := range ds {
		if !a.put[d.Digest] {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// Put implements [blob.Sink]. A blob whose source ends before its size leaves half of it in the stream, so everything
// after fails too.
func (a *Archive) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil || a.put[d.Digest] {
		return a.err
	}
	r, err := blob.Verify("source", src).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if oci.IsManifest(d.MediaType) {
		return a.manifest(d, r)
	}
	if a.err = a.stream(ctx, d, r); a.err != nil {
		return a.err
	}
	a.put[d.Digest] = true
	return nil
}

func (a *Archive) manifest(d oci.Descriptor, r io.Reader) error {
	if d.Size > oci.MaxManifestSize {
		return fmt.Errorf("archive: manifest %s has %d bytes, more than the %d that a manifest may have", d.Digest, d.Size, oci.MaxManifestSize)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if a.err = a.file(blobPath(d.Digest), body); a.err == nil {
		a.put[d.Digest], a.kept[d.Digest] = true, body
	}
	return a.err
}

func (a *Archive) stream(ctx context.Context, d oci.Descriptor, r io.Reader) error {
	if err := a.header(blobPath(d.Digest), d.Size); err != nil {
		return err
	}
	if err := blob.Stream(ctx, a.tar, r); err != nil {
		return fmt.Errorf("archive: blob %s: %w", d.Digest, err)
	}
	return nil
}

// Close writes what makes a layout and a docker archive of the blobs, and ends the tar.
func (a *Archive) Close(images ...Image) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	index, err := encodeIndex(images)
	if err != nil {
		return err
	}
	var list []byte
	if !a.OnlyLayout {
		if list, err = a.list(images); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		body []byte
	}{{"index.json", index}, {"manifest.json", list}, {"oci-layout", []byte(layoutFile)}} {
		if f.body == nil {
			continue
		}
		if err := a.file(f.name, f.body); err != nil {
			return err
		}
	}
	return a.tar.Close()
}

func (a *Archive) file(name string, body []byte) error {
	if err := a.header(name, int64(len(body))); err != nil {
		return err
	}
	_, err := a.tar.Write(body)
	return err
}

func (a *Archive) header(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
}
