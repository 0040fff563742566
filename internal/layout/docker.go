package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// OpenAny is [Open], and of a tar that is a docker archive alone, as `docker save` wrote them for years, the layout that it would be: its
// manifests are made up, and its layers are what their configs say until they are read.
func OpenAny(name string) (*Layout, error) {
	info, err := os.Stat(name)
	if err != nil || info.IsDir() {
		return Open(name)
	}
	s, err := scanTar(name)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", name, err)
	}
	if _, ok := s.blobs["index.json"]; ok {
		s.Close()
		return Open(name)
	}
	l, err := s.docker(name)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("archive %s: %w", name, err)
	}
	return l, nil
}

// docker makes a layout of a docker archive.
func (s *tarSource) docker(name string) (*Layout, error) {
	body, err := s.small("manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("has neither index.json nor manifest.json: it is neither an OCI image layout nor a docker archive")
	}
	if err != nil {
		return nil, err
	}
	var all []listed
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	l := &Layout{Source: s, name: name, made: map[oci.Digest][]byte{}}
	var images []Image
	for _, e := range all {
		manifest, d, err := s.image(e)
		if err != nil {
			return nil, err
		}
		l.made[d.Digest] = manifest
		images = append(images, Image{Root: d, Names: e.RepoTags})
	}
	if l.body, err = encodeIndex(images); err != nil {
		return nil, err
	}
	return l, json.Unmarshal(l.body, &l.index)
}

// image makes the manifest of an image of a docker archive.
func (s *tarSource) image(e listed) ([]byte, oci.Descriptor, error) {
	config, err := s.small(s.follow(e.Config))
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	diffIDs, err := diffIDsOf(config)
	if err != nil {
		return nil, oci.Descriptor{}, fmt.Errorf("%s: %w", e.Config, err)
	}
	if len(diffIDs) != len(e.Layers) {
		return nil, oci.Descriptor{}, fmt.Errorf("manifest.json: %s: has %d layers, and its config %d diff IDs", e.Config, len(e.Layers), len(diffIDs))
	}
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest, Layers: []oci.Descriptor{}}
	m.Config = oci.Describe(oci.MediaTypeConfig, config)
	s.blobs[blobPath(m.Config.Digest)] = s.blobs[s.follow(e.Config)]
	for i, file := range e.Layers {
		d, err := s.layer(s.follow(file), diffIDs[i])
		if err != nil {
			return nil, oci.Descriptor{}, err
		}
		m.Layers = append(m.Layers, d)
	}
	body, err := json.Marshal(m)
	return body, oci.Describe(oci.MediaTypeManifest, body), err
}

// layer describes a layer of a docker archive. One that is not compressed has its diff ID for a digest.
func (s *tarSource) layer(name string, diffID oci.Digest) (d oci.Descriptor, err error) {
	at, ok := s.blobs[name]
	if !ok {
		return d, fmt.Errorf("manifest.json: names the layer %q, which the archive has not", name)
	}
	d = oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: diffID, Size: at.size}
	head := make([]byte, 4)
	s.section(at).ReadAt(head, 0) // a shorter one is no archive, and found out by who reads it
	switch {
	case head[0] == 0x1f && head[1] == 0x8b:
		d.MediaType = oci.MediaTypeLayerGzip
	case string(head) == "\x28\xb5\x2f\xfd":
		d.MediaType = oci.MediaTypeLayerZstd
	}
	if d.MediaType != oci.MediaTypeLayer {
		d.Digest, err = oci.ReadDigest(s.section(at))
	}
	s.blobs[blobPath(d.Digest)] = at
	return d, err
}

// follow is where the links of the archive lead.
func (s *tarSource) follow(name string) string {
	name = path.Clean(name)
	for range 8 {
		target, ok := s.links[name]
		if !ok {
			break
		}
		name = target
	}
	return name
}

// diffIDsOf reads those of a config.
func diffIDsOf(config []byte) ([]oci.Digest, error) {
	var c struct {
		RootFS struct {
			DiffIDs []oci.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	for _, d := range c.RootFS.DiffIDs {
		if _, err := oci.ParseDigest(string(d)); err != nil {
			return nil, err
		}
	}
	return c.RootFS.DiffIDs, nil
}
