package oci

import (
	"encoding/json"
	"fmt"
)

// MaxManifestSize is the largest manifest, index or config this program reads into memory. Registries
// accept 4 MiB; the headroom is for indexes of artifacts.
const MaxManifestSize = 16 << 20

// Children lists what the manifest or index d refers to and a copy of it needs, in the order of the
// document: config before layers; each manifest of an index. body is the content of d. Foreign layers, which a
// registry need not hold (they carry urls), are left out, and so is the subject: a referrer may come before
// what it refers to. A blob that is no manifest has no children.
//
// The type is taken from the descriptor: a body that says it is something else, or that could be read as a manifest
// and as an index, is refused, so that nobody can be shown one thing and given another.
func Children(d Descriptor, body []byte) ([]Descriptor, error) {
	if !IsManifest(d.MediaType) {
		return nil, nil
	}
	var doc struct {
		MediaType string       `json:"mediaType"`
		Config    *Descriptor  `json:"config"`
		Layers    []Descriptor `json:"layers"`
		Manifests []Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if doc.MediaType != "" && doc.MediaType != d.MediaType {
		return nil, fmt.Errorf("manifest %s: is described as %s but says it is %s", d.Digest, d.MediaType, doc.MediaType)
	}
	if doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil) {
		return nil, fmt.Errorf("manifest %s: has both manifests and layers or a config", d.Digest)
	}
	if IsIndex(d.MediaType) {
		return valid(d, doc.Manifests)
	}
	var all []Descriptor
	if doc.Config != nil {
		all = append(all, *doc.Config)
	}
	return valid(d, append(all, doc.Layers...))
}

// valid checks every descriptor of d and drops the foreign ones.
func valid(d Descriptor, all []Descriptor) ([]Descriptor, error) {
	out := all[:0:0]
	for _, c := range all {
		if _, err := ParseDigest(string(c.Digest)); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
		}
		if c.Size < 0 {
			return nil, fmt.Errorf("manifest %s: %s has the size %d", d.Digest, c.Digest, c.Size)
		}
		if len(c.URLs) == 0 {
			out = append(out, c)
		}
	}
	return out, nil
}
