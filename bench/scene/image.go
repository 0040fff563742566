package scene

import (
	"encoding/json"

	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Image is one image and all that it is made of.
type Image struct {
	Root  oci.Descriptor
	Blobs []oci.Descriptor // the root last
}

// MakeImage puts an image with the given layers into a store.
func MakeImage(into *mem.Store, layers ...[]byte) (made Image, err error) {
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest}
	diffIDs := []oci.Digest{}
	for _, l := range layers {
		d := into.Add(oci.MediaTypeLayer, l)
		m.Layers, diffIDs = append(m.Layers, d), append(diffIDs, d.Digest)
	}
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return made, err
	}
	m.Config = into.Add(oci.MediaTypeConfig, config)
	body, err := json.Marshal(m)
	if err != nil {
		return made, err
	}
	made.Root = into.Add(oci.MediaTypeManifest, body)
	made.Blobs = append(append(append(made.Blobs, m.Layers...), m.Config), made.Root)
	return made, nil
}
