package deploy

import (
	"context"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// hintBases tells that blobs which the build has no file of are where the bases are. A base that names no valid repository is
// found out by who pulls from it.
func (o PushOptions) hintBases(pushes []*push) {
	if o.Hint == nil {
		return
	}
	blobs := o.Plan.Elsewhere()
	to := map[string]bool{}
	for _, p := range pushes {
		to[p.ref.Registry] = true
	}
	for _, b := range o.Plan.Bases {
		for _, registry := range b.Registries {
			if ref, err := oci.NewReference(registry, b.Repository); err == nil && to[ref.Registry] {
				o.Hint(ref, blobs...)
			}
		}
	}
}

// hintSiblings tells that what is below the roots that are there is there too, for the images that are not. For each blob one such place in a
// registry is enough: each that it can't be mounted from costs a request.
func (o PushOptions) hintSiblings(ctx context.Context, pushes []*push) {
	if o.Hint == nil || o.Manifests == nil {
		return
	}
	lacking := map[string]bool{}
	for _, p := range pushes {
		lacking[p.ref.Registry] = lacking[p.ref.Registry] || p.result.Err == nil && !p.there
	}
	type place struct {
		registry string
		digest   oci.Digest
	}
	told := map[place]bool{}
	for _, p := range pushes {
		if !p.there || !lacking[p.ref.Registry] {
			continue
		}
		var blobs []oci.Descriptor
		for _, d := range o.below(ctx, p.result.Operation.Root) {
			if at := (place{p.ref.Registry, d.Digest}); !told[at] {
				told[at] = true
				blobs = append(blobs, d)
			}
		}
		o.Hint(p.ref, blobs...)
	}
}

// below lists what is below d and no manifest, as far as the manifests can be read: a hint is worth no error.
func (o PushOptions) below(ctx context.Context, d oci.Descriptor) []oci.Descriptor {
	if !oci.IsManifest(d.MediaType) {
		return []oci.Descriptor{d}
	}
	body, err := blob.ReadAll(ctx, "plan", o.Manifests, d)
	if err != nil {
		return nil
	}
	children, err := oci.Children(d, body)
	if err != nil {
		return nil
	}
	var out []oci.Descriptor
	for _, c := range children {
		out = append(out, o.below(ctx, c)...)
	}
	return out
}
