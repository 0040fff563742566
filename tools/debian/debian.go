// Package debian makes a small base image of Debian packages, for amd64 and arm64, without root, emulator or container. The demo
// stands on it, and so can tests and examples: it is real, and a machine that reaches a package mirror can make it.
//
// The entry point is [Build]. The law: no maintainer script is run. What the scripts of these few packages would do is done
// here (the accounts, the bundle of certificates, the merged /usr), and the same packages make the same bytes.
package debian

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/index"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Suite is the release of Debian that the packages are from.
const Suite = "bookworm"

// Architectures are those of the base, in the order of its index.
var Architectures = []string{"amd64", "arm64"}

// group is the packages of one layer.
type group struct {
	name     string
	packages []string
	all      bool // for every architecture the same
}

// groups are the layers, lowest first. The first is the same blob for all architectures.
var groups = []group{
	{name: "data", packages: []string{"ca-certificates", "netbase", "tzdata"}, all: true},
	{name: "system", packages: []string{"base-files", "base-passwd", "gcc-12-base", "libc6", "libcrypt1", "libgcc-s1"}},
	{name: "shell", packages: []string{"coreutils", "dash", "libacl1", "libattr1", "libgmp10", "libpcre2-8-0", "libselinux1"}},
}

// Build writes the base as an OCI layout to the directory layout and returns the descriptor of its index, the one entry of index.json.
// The packages are kept in the directory debs: what is there is not fetched again, since mirrors move on.
func Build(ctx context.Context, debs, layout string) (oci.Descriptor, error) {
	if err := fetch(ctx, debs); err != nil {
		return oci.Descriptor{}, fmt.Errorf("packages of Debian %s: %w", Suite, err)
	}
	scratch, err := os.MkdirTemp("", "debian-")
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer os.RemoveAll(scratch)
	b := builder{debs: debs, scratch: scratch, store: dir.Store{Root: layout, Volatile: true}, shared: map[string]manifest.Layer{}}
	root, err := b.index(ctx)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return root, writeLayout(layout, root)
}

type builder struct {
	debs, scratch string
	store         dir.Store
	shared        map[string]manifest.Layer // layers that all architectures share, once they are made
}

func (b builder) index(ctx context.Context) (oci.Descriptor, error) {
	var manifests []oci.Descriptor
	for _, architecture := range Architectures {
		d, err := b.image(ctx, architecture)
		if err != nil {
			return oci.Descriptor{}, fmt.Errorf("base for %s: %w", architecture, err)
		}
		manifests = append(manifests, d)
	}
	body, err := index.Build(manifests, nil)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return b.put(ctx, oci.MediaTypeIndex, body)
}

func (b builder) image(ctx context.Context, architecture string) (oci.Descriptor, error) {
	spec := manifest.Spec{
		Platform: oci.NormalizePlatform(oci.Platform{OS: "linux", Architecture: architecture}),
		Cmd:      []string{"/bin/sh"},
		Env:      map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	for _, g := range groups {
		l, err := b.layer(ctx, g, architecture)
		if err != nil {
			return oci.Descriptor{}, fmt.Errorf("layer %s: %w", g.name, err)
		}
		spec.Layers = append(spec.Layers, l)
	}
	image, err := manifest.Build(spec)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if _, err := b.put(ctx, oci.MediaTypeConfig, image.Config); err != nil {
		return oci.Descriptor{}, err
	}
	_, err = b.put(ctx, oci.MediaTypeManifest, image.Manifest)
	return image.Descriptor, err
}

func (b builder) put(ctx context.Context, mediaType string, body []byte) (oci.Descriptor, error) {
	var made mem.Store
	d := made.Add(mediaType, body)
	return d, b.store.Put(ctx, d, &made)
}

// writeLayout writes what makes a directory of blobs an OCI image layout.
func writeLayout(layout string, root oci.Descriptor) error {
	index, err := json.Marshal(oci.Index{
		Versioned: oci.Versioned{SchemaVersion: 2},
		MediaType: oci.MediaTypeIndex,
		Manifests: []oci.Descriptor{root},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(layout, "index.json"), index, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}
