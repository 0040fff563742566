package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// layer makes the layer of a group of packages, once.
func (b builder) layer(ctx context.Context, g group, architecture string) (manifest.Layer, error) {
	if l, ok := b.shared[g.name]; ok {
		return l, nil
	}
	l, err := b.make(ctx, g, architecture)
	if err == nil && g.all {
		b.shared[g.name] = l
	}
	return l, err
}

func (b builder) make(ctx context.Context, g group, architecture string) (manifest.Layer, error) {
	t := tree{scratch: b.scratch, seen: map[string]bool{}}
	var names []string
	for _, name := range g.packages {
		deb, err := find(b.debs, name, g.architecture(architecture))
		if err != nil {
			return manifest.Layer{}, err
		}
		if err := t.unpack(ctx, name, deb); err != nil {
			return manifest.Layer{}, fmt.Errorf("package %s: %w", name, err)
		}
		names = append(names, name+" "+version(deb))
	}
	if err := t.finish(); err != nil {
		return manifest.Layer{}, err
	}
	l, err := b.write(ctx, t.entries)
	l.Name = "Debian " + Suite + ": " + strings.Join(names, ", ")
	return l, err
}

func (b builder) write(ctx context.Context, entries []layer.Entry) (manifest.Layer, error) {
	f, err := os.Create(filepath.Join(b.scratch, "layer"))
	if err != nil {
		return manifest.Layer{}, err
	}
	defer f.Close()
	made, err := layer.Write(ctx, f, entries, layer.Options{Format: layer.Gzip, Level: 6})
	if err != nil {
		return manifest.Layer{}, err
	}
	d := oci.Descriptor{MediaType: made.MediaType, Digest: made.Digest, Size: made.Size}
	err = b.store.Put(ctx, d, file(f.Name()))
	return manifest.Layer{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, DiffID: made.DiffID}, err
}

// file is the source of one blob.
func file(path string) blob.Source {
	return blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) { return os.Open(path) })
}
