package daemon

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Parts are what an image for one platform consists of.
type Parts struct {
	Manifest, Config oci.Descriptor
	Layers           []oci.Descriptor
	// DiffIDs are as many as Layers.
	DiffIDs []oci.Digest
}

// Read reads the manifest d and its config. An artifact, whose config has not one diff ID for each layer, is an error:
// no daemon runs it.
func Read(ctx context.Context, source blob.Source, d oci.Descriptor) (Parts, error) {
	var m oci.Manifest
	if err := readJSON(ctx, source, d, &m); err != nil {
		return Parts{}, err
	}
	var config struct {
		RootFS struct {
			DiffIDs []oci.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := readJSON(ctx, source, m.Config, &config); err != nil {
		return Parts{}, err
	}
	p := Parts{Manifest: d, Config: m.Config, Layers: m.Layers, DiffIDs: config.RootFS.DiffIDs}
	if len(p.Layers) != len(p.DiffIDs) {
		return p, fmt.Errorf("manifest %s: has %d layers and its config %d diff IDs: it is no container image", d.Digest, len(p.Layers), len(p.DiffIDs))
	}
	return p, nil
}

// All is the tally of all parts.
func (p Parts) All() blob.Tally {
	t := blob.Tally{Blobs: 2, Bytes: p.Manifest.Size + p.Config.Size}
	for _, l := range p.Layers {
		t = t.Plus(blob.Tally{Blobs: 1, Bytes: l.Size})
	}
	return t
}

// Without is an [Archive]'s Missing that lacks everything but have. What is needed again in rest, it lacks too.
func Without(have, rest []oci.Descriptor) func(context.Context, ...oci.Descriptor) ([]oci.Descriptor, error) {
	has := map[oci.Digest]bool{}
	for _, d := range have {
		has[d.Digest] = true
	}
	for _, d := range rest {
		delete(has, d.Digest)
	}
	return func(_ context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
		var missing []oci.Descriptor
		for _, d := range ds {
			if !has[d.Digest] {
				missing = append(missing, d)
			}
		}
		return missing, nil
	}
}

func readJSON(ctx context.Context, source blob.Source, d oci.Descriptor, v any) error {
	b, err := blob.ReadAll(ctx, "source", source, d)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return nil
}
