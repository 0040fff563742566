// Package layout writes and reads images as files: the OCI image layout, as a directory or as a tar, and the docker
// archive, which `docker load` takes.
//
// The entry points are [WriteDirectory], [WriteArchive] and [Open]; [Archive] is the sink below the second, for who
// copies with blob.Copy himself. The law: an archive is both an OCI layout and a docker archive, so that every loader
// takes it; the same images give the same bytes; what other tools leave out (platforms, names, one manifest for each
// entry) is read all the same.
package layout

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// The annotations by which loaders find names in index.json.
const (
	// RefName is the OCI annotation: a tag or a whole name. Podman takes it for the name of the image.
	RefName = "org.opencontainers.image.ref.name"
	// ContainerdName is containerd's: a whole name, which Docker also reads.
	ContainerdName = "io.containerd.image.name"
)

const layoutFile = `{"imageLayoutVersion":"1.0.0"}`

// Image is an image in a layout.
type Image struct {
	// Root is its manifest or index.
	Root oci.Descriptor
	// Names are full, as docker.io/library/app:v1. There may be none.
	Names []string
	// Platform is the one that the docker archive has of an index, since it can have only one; nil takes linux/amd64,
	// or else the first.
	Platform *oci.Platform
}

// encodeIndex is index.json: one entry for each name of each image.
func encodeIndex(images []Image) ([]byte, error) {
	index := oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{}}
	for _, im := range images {
		d := im.Root
		d.Annotations = nil
		if len(im.Names) == 0 {
			index.Manifests = append(index.Manifests, d)
		}
		for _, name := range im.Names {
			d.Annotations = map[string]string{RefName: name, ContainerdName: name}
			index.Manifests = append(index.Manifests, d)
		}
	}
	return json.Marshal(index)
}

// blobPath is where a blob is, in a directory and in an archive.
func blobPath(d oci.Digest) string { return "blobs/sha256/" + d.Encoded() }

// read returns the verified content of a manifest or a config.
func read(ctx context.Context, source blob.Source, d oci.Descriptor) ([]byte, error) {
	return blob.ReadAll(ctx, "layout", source, d)
}

// isImageConfig reports whether a config is one of a container image, as opposed to an artifact's.
func isImageConfig(mediaType string) bool { return oci.ToOCI(mediaType) == oci.MediaTypeConfig }

// isConcrete reports whether p says what a manifest is for, which attestations' do not.
func isConcrete(p *oci.Platform) bool {
	return p != nil && p.Architecture != "" && !strings.EqualFold(p.Architecture, "unknown")
}
