package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/bazel-contrib/rules_img/internal/index"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runFromOCILayout(ctx context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	in := fromLayoutInput{out: map[request.FromOCILayoutRecord]string{}}
	h, err := request.ReadFromOCILayout(f, in.record)
	if err != nil {
		return err
	}
	if err := in.convert(ctx, h); err != nil {
		return fmt.Errorf("from-oci-layout %s: %w", h.Name, err)
	}
	return nil
}

// fromLayoutInput gathers the records of a request.
type fromLayoutInput struct {
	layout string
	out    map[request.FromOCILayoutRecord]string // the record without its path → the path
}

func (in *fromLayoutInput) record(r request.FromOCILayoutRecord) error {
	path := r.From
	r.From = ""
	switch r.Type {
	case request.FromLayout:
		in.layout = path
		return nil
	case request.FromManifest, request.FromConfig, request.FromDescriptor, request.FromLayerBlob, request.FromLayerMetadata,
		request.FromIndex, request.FromDigest:
		in.out[r] = path
		return nil
	}
	return fmt.Errorf("record of unknown type %q", r.Type)
}

// check finds what the decoder cannot: what the rules never send.
func (in *fromLayoutInput) check(h request.FromOCILayout) error {
	switch n := len(h.Platforms); {
	case in.layout == "":
		return errors.New("the request names no layout")
	case n == 0:
		return errors.New("the request names no platform")
	case n > 1 && !h.Whole:
		return fmt.Errorf("the request names %d platforms, and no index of them", n)
	}
	return nil
}

func (in *fromLayoutInput) convert(ctx context.Context, h request.FromOCILayout) error {
	if err := in.check(h); err != nil {
		return err
	}
	l, err := layout.Open(in.layout)
	if err != nil {
		return err
	}
	defer l.Close()
	if h.Whole {
		if err := l.HasJust(ctx, h.Platforms); err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
	}
	var manifests []oci.Descriptor
	for i, name := range h.Platforms {
		d, err := in.image(ctx, l, h, i, name)
		if err != nil {
			return err
		}
		manifests = append(manifests, d)
	}
	if !h.Whole {
		return in.write(request.FromOCILayoutRecord{Type: request.FromDigest}, []byte(manifests[0].Digest))
	}
	return in.index(ctx, l, manifests)
}

// image writes the image with the number i.
func (in *fromLayoutInput) image(ctx context.Context, l *layout.Layout, h request.FromOCILayout, i int, platform string) (oci.Descriptor, error) {
	want, err := oci.ParsePlatform(platform)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d, err := l.ManifestFor(ctx, want)
	if err != nil {
		return d, err
	}
	parts, err := l.Take(ctx, d, h.LayerTypes)
	if err != nil {
		return d, err
	}
	descriptor, err := json.Marshal(d)
	if err != nil {
		return d, err
	}
	for kind, body := range map[string][]byte{
		request.FromManifest: parts.Manifest, request.FromConfig: parts.Config, request.FromDescriptor: descriptor,
	} {
		if err := in.write(request.FromOCILayoutRecord{Type: kind, Manifest: i}, body); err != nil {
			return d, err
		}
	}
	for n := range parts.Layers {
		if err := in.layer(ctx, l, h, parts, i, n); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (in *fromLayoutInput) layer(ctx context.Context, l *layout.Layout, h request.FromOCILayout, p layout.Parts, i, n int) error {
	d := p.Layers[n]
	path, err := in.path(request.FromOCILayoutRecord{Type: request.FromLayerBlob, Manifest: i, Layer: n})
	if err != nil {
		return err
	}
	sum, err := newFurtherDigest(h.FurtherDigest)
	if err != nil {
		return err
	}
	if err := l.Place(ctx, d, path, sum.tee(io.Discard)); err != nil {
		return err
	}
	metadata, err := json.Marshal(manifest.Layer{
		Name: fmt.Sprintf("%s@%s", h.Name, d.Digest), MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, DiffID: p.DiffIDs[n], Annotations: d.Annotations,
		BLAKE3: sum.String(),
	})
	if err != nil {
		return err
	}
	return in.write(request.FromOCILayoutRecord{Type: request.FromLayerMetadata, Manifest: i, Layer: n}, metadata)
}

// index writes the layout's own index if it names these manifests and no other, and else one of them.
func (in *fromLayoutInput) index(ctx context.Context, l *layout.Layout, manifests []oci.Descriptor) error {
	body, err := l.IndexOf(ctx, manifests)
	if err == nil && body == nil {
		body, err = index.Build(manifests, nil)
	}
	if err != nil {
		return err
	}
	if err := in.write(request.FromOCILayoutRecord{Type: request.FromIndex}, body); err != nil {
		return err
	}
	return in.write(request.FromOCILayoutRecord{Type: request.FromDigest}, []byte(oci.DigestOf(body)))
}

func (in *fromLayoutInput) path(r request.FromOCILayoutRecord) (string, error) {
	path, ok := in.out[r]
	if !ok {
		return "", fmt.Errorf("the request names no file for the output %+v", r)
	}
	return path, nil
}

func (in *fromLayoutInput) write(r request.FromOCILayoutRecord, body []byte) error {
	path, err := in.path(r)
	if err != nil {
		return err
	}
	return writeFile(path, body)
}
