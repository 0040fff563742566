// Package manifest makes the config and the manifest of an image for one platform out of layers, a base and what
// the user asks for, by the OCI image specification. Its entry point is [Build].
//
// The law: nothing of the base is lost. Config and manifest are edited as JSON documents, so that fields this
// program does not know, numbers and unicode come out as they went in.
package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Layer is what is known of a layer without its bytes: the rules' metadata file.
type Layer struct {
	Name        string            `json:"name"`
	MediaType   string            `json:"mediaType"`
	Digest      oci.Digest        `json:"digest"`
	Size        int64             `json:"size"`
	DiffID      oci.Digest        `json:"diff_id"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// BLAKE3 is the hexadecimal sum that names the blob in Bazel's caches with --digest_function=blake3; empty when nobody asked for it.
	BLAKE3 string `json:"blake3,omitempty"`
}

// ParseLayer reads a metadata file.
func ParseLayer(b []byte) (Layer, error) {
	var l Layer
	if err := json.Unmarshal(b, &l); err != nil {
		return Layer{}, fmt.Errorf("layer metadata: %w", err)
	}
	for _, d := range []oci.Digest{l.Digest, l.DiffID} {
		if _, err := oci.ParseDigest(string(d)); err != nil {
			return Layer{}, fmt.Errorf("layer metadata %s: %w", l.Name, err)
		}
	}
	if l.MediaType == "" || l.Size < 0 {
		return Layer{}, fmt.Errorf("layer metadata %s: has no mediaType or a negative size", l.Name)
	}
	return l, nil
}

// Descriptor is how a manifest refers to the layer.
func (l Layer) Descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size, Annotations: l.Annotations}
}

// Spec is what to build. The zero value is an empty image without a platform.
type Spec struct {
	Platform     oci.Platform
	Layers       []Layer // on top of the base's, lowest first
	Base         *Base   // nil: from nothing
	Annotations  map[string]string
	ArtifactType string // empty: the base's

	// Fragment is JSON that is merged over the base's config; nil: none.
	Fragment []byte
	// ConfigMediaType is the type of a config that is not an image's, which is then Fragment as it is.
	ConfigMediaType string
	// Created is a time, RFC 3339; empty: the base's.
	Created string

	User, WorkingDir, StopSignal string   // empty: the base's
	Entrypoint, Cmd              []string // nil: the base's; an entrypoint clears the base's cmd
	Env, Labels                  map[string]string
}

// Base is the image that the new one stands on.
type Base struct {
	Manifest, Config []byte
	Name, Digest     string // where it was pulled from; may be empty
}

// Image is what was built.
type Image struct {
	Config, Manifest []byte
	Descriptor       oci.Descriptor // of the manifest, with its platform
}

// Build makes the image. Its errors say what is wrong with the base or the user's files.
func Build(s Spec) (Image, error) {
	base, err := parseBase(s.Base)
	if err != nil {
		return Image{}, fmt.Errorf("base: %w", err)
	}
	config, err := s.config(base)
	if err != nil {
		return Image{}, err
	}
	configType := cmp.Or(s.ConfigMediaType, oci.MediaTypeConfig)
	body, err := s.manifest(base, oci.Describe(configType, config))
	if err != nil {
		return Image{}, fmt.Errorf("base manifest: %w", err)
	}
	d := oci.Describe(oci.MediaTypeManifest, body)
	platform := base.platform(s.Platform)
	d.Platform = &platform
	return Image{Config: config, Manifest: body, Descriptor: d}, nil
}

func (s Spec) config(b base) ([]byte, error) {
	if s.ConfigMediaType != "" && s.ConfigMediaType != oci.MediaTypeConfig {
		return s.artifactConfig()
	}
	config, err := s.imageConfig(b)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return config, nil
}

// manifest edits the base's manifest: a new config, the layers of both, annotations merged.
func (s Spec) manifest(b base, config oci.Descriptor) ([]byte, error) {
	layers := make([]json.RawMessage, 0, len(b.layers)+len(s.Layers))
	for _, l := range b.layers {
		layers = append(layers, l.encode())
	}
	for _, l := range s.Layers {
		layers = append(layers, encodeValue(l.Descriptor()))
	}
	annotations, err := field[map[string]string](b.manifest, "annotations")
	if err != nil {
		return nil, err
	}
	annotations = merged(annotations, s.baseAnnotations(), s.Annotations)
	return b.manifest.
		with("schemaVersion", 2).
		with("mediaType", oci.MediaTypeManifest).
		withAny("artifactType", s.ArtifactType).
		with("config", config).
		with("layers", layers).
		withOrWithout("annotations", annotations, len(annotations) > 0).
		encode(), nil
}

func (s Spec) baseAnnotations() map[string]string {
	if s.Base == nil || s.Base.Name == "" {
		return nil
	}
	return map[string]string{
		"org.opencontainers.image.base.name":   s.Base.Name,
		"org.opencontainers.image.base.digest": s.Base.Digest,
	}
}

func merged(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// errLayers is a base whose parts don't fit together.
var errLayers = errors.New("manifest and config disagree about the layers")
