package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runLayout(ctx context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	var in layoutInput
	h, err := request.ReadLayout(f, in.record)
	if err != nil {
		return err
	}
	if err := in.write(ctx, h); err != nil {
		return fmt.Errorf("layout %s: %w", h.Name, err)
	}
	return nil
}

// layoutInput gathers the records of a request.
type layoutInput struct {
	imageInput
	missing []oci.Digest
}

func (in *layoutInput) record(r request.LayoutRecord) error {
	if known, err := in.imageInput.record(request.FileRecord{Type: r.Type, From: r.From}, request.LayoutOut); known {
		return err
	}
	switch r.Type {
	case request.LayoutBlob:
		return in.blob(r)
	case request.LayoutLayer:
		return in.layer(r)
	}
	return fmt.Errorf("record of unknown type %q", r.Type)
}

func (in *layoutInput) blob(r request.LayoutRecord) error {
	b, err := os.ReadFile(r.From)
	if err != nil {
		return err
	}
	in.blobs = append(in.blobs, deploy.Blob{Descriptor: oci.Describe("", b), File: r.From})
	return nil
}

func (in *layoutInput) layer(r request.LayoutRecord) error {
	l, err := readLayer(r.From)
	if err != nil {
		return err
	}
	if r.Blob == "" {
		in.missing = append(in.missing, l.Digest)
		return nil
	}
	in.blobs = append(in.blobs, deploy.Blob{Descriptor: l.Descriptor(), File: r.Blob})
	return nil
}

func (in *layoutInput) write(ctx context.Context, h request.Layout) error {
	in.missing = slices.DeleteFunc(in.missing, in.has)
	if err := in.complete(h.Shallow); err != nil {
		return err
	}
	names, err := in.names(h)
	if err != nil {
		return err
	}
	source := blob.Source(deploy.NewFiles(deploy.Plan{Blobs: in.blobs}, func(path string) string { return path }))
	image := layout.Image{Root: oci.Describe(mediaTypeOf(in.root), in.root), Names: names}
	switch h.Format {
	case "directory":
		_, err := layout.WriteDirectory(ctx, in.out, source, layout.Directory{Link: true, Volatile: true, Leave: in.isMissing}, image)
		return err
	case "archive":
		return in.archive(ctx, source, image)
	}
	return fmt.Errorf("format %q: want directory or archive", h.Format)
}

// has reports whether a blob is at hand: another image may have been given a layer that one has by its metadata alone.
func (in *layoutInput) has(d oci.Digest) bool {
	return slices.ContainsFunc(in.blobs, func(b deploy.Blob) bool { return b.Descriptor.Digest == d })
}

// complete says what to do about layers of a shallow base, which are in a registry and not here.
func (in *layoutInput) complete(shallow bool) error {
	if len(in.missing) == 0 || shallow {
		return nil
	}
	return fmt.Errorf("the layer %s (one of %d that are missing) is not here, because the base was pulled with layer_handling = \"shallow\": "+
		"pull it with \"eager\" or \"lazy\", or let layouts be without such layers by --@rules_img//img/settings:shallow_oci_layout=i_know_what_i_am_doing",
		in.missing[0], len(in.missing))
}

func (in *layoutInput) isMissing(d oci.Descriptor) bool { return slices.Contains(in.missing, d.Digest) }

func (in *layoutInput) names(h request.Layout) ([]string, error) {
	d, err := in.data(h.Templates)
	if err != nil {
		return nil, err
	}
	texts, err := in.expandTags(d, h.Names)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, text := range texts {
		name, err := daemon.ParseName(text)
		if err != nil {
			return nil, err
		}
		names = append(names, name.Full())
	}
	return names, nil
}

func (in *layoutInput) archive(ctx context.Context, source blob.Source, image layout.Image) error {
	return writeWhole(in.out, func(f *os.File) error {
		_, err := layout.WriteArchive(ctx, f, source, in.isMissing, image)
		return err
	})
}
