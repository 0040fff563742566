package oci

import (
	"encoding/json"
	"fmt"
	"slices"
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
	doc, err := parse(d, body)
	if err != nil {
		return nil, err
	}
	return valid(d, slices.Concat(doc.Manifests, doc.config(), doc.Layers))
}

// ShallowChildren is [Children] without layers: the manifests of an index, the config of a manifest.
func ShallowChildren(d Descriptor, body []byte) ([]Descriptor, error) {
	doc, err := parse(d, body)
	if err != nil {
		return nil, err
	}
	return valid(d, slices.Concat(doc.Manifests, doc.config()))
}

// document is what manifests and indexes say about their children.
type document struct {
	MediaType string       `json:"mediaType"`
	Config    *Descriptor  `json:"config"`
	Layers    []Descriptor `json:"layers"`
	Manifests []Descriptor `json:"manifests"`
}

func (doc document) config() []Descriptor {
	if doc.Config == nil {
		return nil
	}
	return []Descriptor{*doc.Config}
}

func parse(d Descriptor, body []byte) (doc document, err error) {
	if !IsManifest(d.MediaType) {
		return doc, nil
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return doc, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	isImage := doc.Config != nil || doc.Layers != nil
	switch {
	case doc.MediaType != "" && doc.MediaType != d.MediaType:
		err = fmt.Errorf("manifest %s: is described as %s but says it is %s", d.Digest, d.MediaType, doc.MediaType)
	case doc.Manifests != nil && isImage:
		err = fmt.Errorf("manifest %s: has both manifests and layers or a config", d.Digest)
	case isImage && IsIndex(d.MediaType), doc.Manifests != nil && !IsIndex(d.MediaType):
		err = fmt.Errorf("manifest %s: is described as %s and has not the parts of one", d.Digest, d.MediaType)
	}
	return doc, err
}

// valid checks every descriptor of d and drops the foreign ones.
func valid(d Descriptor, all []Descriptor) ([]Descriptor, error) {
	var out []Descriptor
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
