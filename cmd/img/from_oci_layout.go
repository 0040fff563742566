package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
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
	if r.Type == request.FromLayout {
		in.layout = path
		return nil
	}
	in.out[r] = path
	return nil
}

func (in *fromLayoutInput) convert(ctx context.Context, h request.FromOCILayout) error {
	l, err := layout.Open(in.layout)
	if err != nil {
		return err
	}
	defer l.Close()
	if h.Whole {
		if err := isWhole(ctx, l, h.Platforms); err != nil {
			return err
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

// isWhole checks that the platforms asked for are those that the layout has.
func isWhole(ctx context.Context, l *layout.Layout, want []string) error {
	have, err := l.Platforms(ctx)
	if err != nil {
		return err
	}
	var wanted []string
	for _, name := range want {
		p, err := oci.ParsePlatform(name)
		if err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
		wanted = append(wanted, oci.FormatPlatform(p))
	}
	slices.Sort(wanted)
	if !slices.Equal(have, wanted) {
		return fmt.Errorf("manifests: says %s, and the layout has %s", strings.Join(wanted, ", "), strings.Join(have, ", "))
	}
	return nil
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
		if err := in.layer(ctx, l, h.Name, parts, i, n); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (in *fromLayoutInput) layer(ctx context.Context, l *layout.Layout, name string, p layout.Parts, i, n int) error {
	d := p.Layers[n]
	metadata, err := json.Marshal(manifest.Layer{
		Name: fmt.Sprintf("%s@%s", name, d.Digest), MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, DiffID: p.DiffIDs[n], Annotations: d.Annotations,
	})
	if err != nil {
		return err
	}
	if err := in.write(request.FromOCILayoutRecord{Type: request.FromLayerMetadata, Manifest: i, Layer: n}, metadata); err != nil {
		return err
	}
	path, err := in.path(request.FromOCILayoutRecord{Type: request.FromLayerBlob, Manifest: i, Layer: n})
	if err != nil {
		return err
	}
	return placeBlob(ctx, l, d, path)
}

// index writes the layout's own index if it names these manifests and no other, and else one of them.
func (in *fromLayoutInput) index(ctx context.Context, l *layout.Layout, manifests []oci.Descriptor) error {
	body, err := ownIndex(ctx, l, manifests)
	if err != nil {
		return err
	}
	if body == nil {
		if body, err = index.Build(manifests, nil); err != nil {
			return err
		}
	}
	if err := in.write(request.FromOCILayoutRecord{Type: request.FromIndex}, body); err != nil {
		return err
	}
	return in.write(request.FromOCILayoutRecord{Type: request.FromDigest}, []byte(oci.DigestOf(body)))
}

func ownIndex(ctx context.Context, l *layout.Layout, manifests []oci.Descriptor) ([]byte, error) {
	root, err := l.Root()
	if err != nil || !oci.IsIndex(root.MediaType) {
		return nil, err
	}
	r, err := blob.Verify("layout", l).Open(ctx, root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, oci.MaxManifestSize))
	if err != nil {
		return nil, err
	}
	children, err := oci.Children(root, body)
	if err != nil {
		return nil, err
	}
	names := func(ds []oci.Descriptor) []string {
		var all []string
		for _, d := range ds {
			all = append(all, string(d.Digest))
		}
		slices.Sort(all)
		return all
	}
	if !slices.Equal(names(children), names(manifests)) {
		return nil, nil
	}
	return body, nil
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
	return os.WriteFile(path, body, 0o644)
}

// placeBlob makes path the blob d: a link to its file where there is one, once its content is verified, and else a copy.
func placeBlob(ctx context.Context, source blob.Source, d oci.Descriptor, path string) error {
	r, err := blob.Verify("layout", source).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if from, ok := fileOf(source, d); ok {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
		if os.Link(from, path) == nil {
			return nil
		}
		if r, err = source.Open(ctx, d); err != nil {
			return err
		}
		defer r.Close()
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

func fileOf(source blob.Source, d oci.Descriptor) (string, bool) {
	p, ok := source.(blob.Pather)
	if !ok {
		return "", false
	}
	path, ok := p.Path(d)
	if !ok {
		return "", false
	}
	path, err := filepath.EvalSymlinks(path)
	return path, err == nil
}
