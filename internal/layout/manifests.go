package layout

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Manifests lists the image manifests that roots are or refer to, through indexes of any depth, each once and with a
// platform. Attestations and artifacts are left out.
func Manifests(ctx context.Context, source blob.Source, roots ...oci.Descriptor) ([]oci.Descriptor, error) {
	w := walk{source: source, seen: map[oci.Digest]bool{}}
	for _, d := range roots {
		if err := w.visit(ctx, d); err != nil {
			return nil, err
		}
	}
	return w.found, nil
}

type walk struct {
	source blob.Source
	seen   map[oci.Digest]bool
	found  []oci.Descriptor
}

func (w *walk) visit(ctx context.Context, d oci.Descriptor) error {
	if w.seen[d.Digest] || !oci.IsManifest(d.MediaType) || d.Platform != nil && !isConcrete(d.Platform) {
		return nil
	}
	w.seen[d.Digest] = true
	if d.Platform != nil && !oci.IsIndex(d.MediaType) {
		w.found = append(w.found, plain(d))
		return nil
	}
	body, err := read(ctx, w.source, d)
	if err != nil {
		return err
	}
	if !oci.IsIndex(d.MediaType) {
		return w.platformless(ctx, d, body)
	}
	children, err := oci.Children(d, body)
	if err != nil {
		return err
	}
	for _, c := range children {
		if err := w.visit(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// platformless adds a manifest whose descriptor does not say what it is for.
func (w *walk) platformless(ctx context.Context, d oci.Descriptor, body []byte) error {
	var m oci.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if !isImageConfig(m.Config.MediaType) {
		return nil
	}
	config, err := read(ctx, w.source, m.Config)
	if err != nil {
		return err
	}
	var p struct {
		oci.Platform
	}
	if err := json.Unmarshal(config, &p); err != nil {
		return fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	d = plain(d)
	d.Platform = &p.Platform
	w.found = append(w.found, d)
	return nil
}
