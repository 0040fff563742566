package manifest

import (
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// base is a base as documents. The zero value is no base.
type base struct {
	manifest, config document
	layers           []document // descriptors as the base writes them, but for OCI's media types
	diffIDs          []oci.Digest
}

func parseBase(b *Base) (base, error) {
	if b == nil {
		return base{}, nil
	}
	var out base
	var err error
	if out.manifest, err = parseDocument(b.Manifest); err != nil {
		return base{}, fmt.Errorf("manifest: %w", err)
	}
	if out.config, err = parseDocument(b.Config); err != nil {
		return base{}, fmt.Errorf("config: %w", err)
	}
	// A base that refers to another image does not make the new one refer to it.
	out.manifest = out.manifest.without("subject")
	return out, out.readLayers()
}

// readLayers checks that there is a diff ID for each layer: a base where they differ would become an image that no
// runtime unpacks.
func (b *base) readLayers() error {
	layers, err := field[[]document](b.manifest, "layers")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	rootfs, err := field[rootFS](b.config, "rootfs")
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if len(layers) != len(rootfs.DiffIDs) {
		return fmt.Errorf("%w: %d layers, %d diff IDs", errLayers, len(layers), len(rootfs.DiffIDs))
	}
	for i, l := range layers {
		mediaType, err := field[string](l, "mediaType")
		if err != nil || mediaType == "" {
			return fmt.Errorf("manifest: layer %d: has no mediaType", i+1)
		}
		layers[i] = l.with("mediaType", oci.ToOCI(mediaType))
	}
	b.layers, b.diffIDs = layers, rootfs.DiffIDs
	return nil
}

// platform is want, with the version and features of the system that the base is for.
func (b base) platform(want oci.Platform) oci.Platform {
	if want.OSVersion == "" {
		want.OSVersion, _ = field[string](b.config, "os.version")
	}
	if want.OSFeatures == nil {
		want.OSFeatures, _ = field[[]string](b.config, "os.features")
	}
	return want
}
