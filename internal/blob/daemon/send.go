package daemon

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Archive is a load by archive: what to write for a daemon that has a part of the image already.
type Archive struct {
	// Image is what is loaded, and Layout how the archive has it: the image, or the manifest of one platform, by its names.
	Image  Image
	Layout layout.Image
	// Missing says what the daemon lacks, as [blob.Sink] has it; nil is all of it.
	Missing func(context.Context, ...oci.Descriptor) ([]oci.Descriptor, error)
	// Leave is as in blob.CopyOptions.
	Leave func(oci.Descriptor) bool
	// OnlyLayout is for loaders that read OCI layouts. Others need the list of a docker archive.
	OnlyLayout bool
}

// Send streams the archive through load and reports what was in it. load may leave the end unread, as some loaders do
// with the padding of a tar.
func (a Archive) Send(ctx context.Context, load func(context.Context, io.Reader) error) (blob.Report, error) {
	if a.Image.Dry {
		return a.write(ctx, io.Discard)
	}
	var report blob.Report
	var written error
	r, w := io.Pipe()
	var writing sync.WaitGroup
	writing.Go(func() {
		report, written = a.write(ctx, w)
		w.CloseWithError(written)
	})
	err := load(ctx, r)
	r.Close()
	writing.Wait()
	if written != nil && !errors.Is(written, io.ErrClosedPipe) {
		return report, written // what load said is only that its reader failed
	}
	return report, err
}

func (a Archive) write(ctx context.Context, w io.Writer) (blob.Report, error) {
	archive := layout.NewArchive(w)
	archive.OnlyLayout = a.OnlyLayout
	report, err := blob.Copy(ctx, a.Image.Into(partial{archive, a.Missing}), a.Image.Source, blob.CopyOptions{Jobs: 1, Leave: a.Leave}, a.Layout.Root)
	if err != nil || a.Image.Dry {
		return report, err
	}
	return report, archive.Close(a.Layout)
}

// partial is an archive that leaves out what its receiver has.
type partial struct {
	*layout.Archive
	missing func(context.Context, ...oci.Descriptor) ([]oci.Descriptor, error)
}

func (p partial) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	if p.missing != nil {
		var err error
		if ds, err = p.missing(ctx, ds...); err != nil {
			return nil, err
		}
	}
	return p.Archive.Missing(ctx, ds...)
}
