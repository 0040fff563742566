package layout

import (
	"encoding/json"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// listed is an entry of a docker archive's manifest.json.
type listed struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// list is manifest.json, or nil when none of the images is one that a docker archive can have.
func (a *Archive) list(images []Image) ([]byte, error) {
	var all []listed
	for _, im := range images {
		d, ok, err := a.single(im.Root, im.Platform)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		e, ok, err := a.entry(d, im.Names)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, e)
		}
	}
	if all == nil {
		return nil, nil
	}
	return json.Marshal(all)
}

// single is the manifest of an image that the docker archive names.
func (a *Archive) single(d oci.Descriptor, want *oci.Platform) (oci.Descriptor, bool, error) {
	if !oci.IsIndex(d.MediaType) {
		return d, a.kept[d.Digest] != nil, nil
	}
	leaves, err := a.leaves(d)
	if err != nil || len(leaves) == 0 {
		return d, false, err
	}
	if want != nil {
		chosen, err := oci.Choose(leaves, *want)
		return chosen, err == nil, err
	}
	if chosen, err := oci.Choose(leaves, oci.Platform{OS: "linux", Architecture: "amd64"}); err == nil {
		return chosen, true, nil
	}
	return leaves[0], true, nil
}

// leaves are the manifests that the archive has of an index.
func (a *Archive) leaves(d oci.Descriptor) ([]oci.Descriptor, error) {
	body, ok := a.kept[d.Digest]
	if !ok {
		return nil, nil
	}
	children, err := oci.Children(d, body)
	if err != nil {
		return nil, err
	}
	var leaves []oci.Descriptor
	for _, c := range children {
		if !oci.IsIndex(c.MediaType) {
			if a.kept[c.Digest] != nil {
				leaves = append(leaves, c)
			}
			continue
		}
		below, err := a.leaves(c)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, below...)
	}
	return leaves, nil
}

// entry reports false for artifacts, which no docker archive can have.
func (a *Archive) entry(d oci.Descriptor, names []string) (listed, bool, error) {
	var m oci.Manifest
	if err := json.Unmarshal(a.kept[d.Digest], &m); err != nil {
		return listed{}, false, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if !isImageConfig(m.Config.MediaType) {
		return listed{}, false, nil
	}
	e := listed{Config: blobPath(m.Config.Digest), RepoTags: names, Layers: []string{}}
	for _, l := range m.Layers {
		e.Layers = append(e.Layers, blobPath(l.Digest))
	}
	return e, true, nil
}
