package layout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// ManifestFor returns the manifest of the layout for a platform: the one that says so, as oci.Choose has it.
func (l *Layout) ManifestFor(ctx context.Context, want oci.Platform) (oci.Descriptor, error) {
	all, err := l.Manifests(ctx)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d, err := oci.Choose(all, want)
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("layout %s: %w", l.name, err)
	}
	return d, nil
}

// HasJust checks that the layout's manifests are for the given platforms, os/architecture[/variant], and for no others.
func (l *Layout) HasJust(ctx context.Context, platforms []string) error {
	all, err := l.Manifests(ctx)
	if err != nil {
		return err
	}
	var have, want []string
	for _, d := range all {
		have = append(have, oci.FormatPlatform(oci.NormalizePlatform(*d.Platform)))
	}
	for _, name := range platforms {
		p, err := oci.ParsePlatform(name)
		if err != nil {
			return err
		}
		want = append(want, oci.FormatPlatform(p))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("says %s, and the layout has %s", strings.Join(want, ", "), strings.Join(have, ", "))
	}
	return nil
}

// IndexOf returns the layout's own index, as it is written, if it names manifests and no other; otherwise nothing.
func (l *Layout) IndexOf(ctx context.Context, manifests []oci.Descriptor) ([]byte, error) {
	root, err := l.Root()
	if err != nil || !oci.IsIndex(root.MediaType) {
		return nil, err
	}
	body, err := read(ctx, l, root)
	if err != nil {
		return nil, err
	}
	children, err := oci.Children(root, body)
	if err != nil || !slices.Equal(digests(children), digests(manifests)) {
		return nil, err
	}
	return body, nil
}

func digests(ds []oci.Descriptor) []oci.Digest {
	var all []oci.Digest
	for _, d := range ds {
		all = append(all, d.Digest)
	}
	slices.Sort(all)
	return all
}

// Parts is one image of a layout, taken apart. Manifest and Config are as they are written.
type Parts struct {
	Descriptor       oci.Descriptor // of the manifest, with its platform
	Manifest, Config []byte
	Layers           []oci.Descriptor
	DiffIDs          []oci.Digest
}

// Take takes the image of a manifest apart, and checks that its layers have the given media types (Docker's count as
// OCI's) and that there is a diff ID for each.
func (l *Layout) Take(ctx context.Context, d oci.Descriptor, layerTypes []string) (Parts, error) {
	p := Parts{Descriptor: d}
	var err error
	if p.Manifest, err = read(ctx, l, d); err != nil {
		return p, err
	}
	var m oci.Manifest
	if err := json.Unmarshal(p.Manifest, &m); err != nil {
		return p, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	p.Layers = m.Layers
	if p.Config, err = read(ctx, l, m.Config); err != nil {
		return p, err
	}
	if p.DiffIDs, err = diffIDsOf(p.Config); err != nil {
		return p, fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	return p, p.check(layerTypes)
}

// mostLayers is how many types an error proposes. No runtime takes as many layers.
const mostLayers = 500

func (p Parts) check(layerTypes []string) error {
	var have []string
	for _, l := range p.Layers {
		have = append(have, oci.ToOCI(l.MediaType))
	}
	var want []string
	for _, t := range layerTypes {
		want = append(want, oci.ToOCI(t))
	}
	if len(have) > mostLayers && len(have) != len(want) {
		return fmt.Errorf("manifest %s: has %d layers, and the attribute layers has %d", p.Descriptor.Digest, len(have), len(want))
	}
	if !slices.Equal(have, want) {
		return fmt.Errorf("manifest %s for %s: has %d layers, and the attribute layers has %d: set layers to [%s]",
			p.Descriptor.Digest, oci.FormatPlatform(*p.Descriptor.Platform), len(have), len(want), quoted(have))
	}
	if len(p.DiffIDs) != len(have) {
		return fmt.Errorf("manifest %s: has %d layers, and its config %d diff IDs", p.Descriptor.Digest, len(have), len(p.DiffIDs))
	}
	return nil
}

func quoted(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = fmt.Sprintf("%q", t)
	}
	return strings.Join(out, ", ")
}
