package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// image is what the registry says of an index.
type image struct {
	repository, tag, digest string
	blobs                   map[oci.Digest]int64 // everything of it, with sizes
	variants                []variant
}

// variant is the image of one platform.
type variant struct {
	platform string
	manifest oci.Manifest
}

// size is the bytes of all blobs: what moving all of it would move.
func (i image) size() (n int64) {
	for _, size := range i.blobs {
		n += size
	}
	return n
}

func (i image) platforms() string {
	var names []string
	for _, v := range i.variants {
		names = append(names, v.platform)
	}
	return strings.Join(names, ", ")
}

// describe asks the registry, by crane, what an image consists of.
func (d *demo) describe(ctx context.Context, reference string) (image, error) {
	ref, err := oci.ParseReference(reference)
	if err != nil {
		return image{}, err
	}
	body, err := d.manifest(ctx, reference)
	if err != nil {
		return image{}, err
	}
	root := oci.Describe(oci.MediaTypeIndex, body)
	i := image{repository: ref.Repository, tag: ref.Tag, digest: string(root.Digest), blobs: map[oci.Digest]int64{root.Digest: root.Size}}
	var index oci.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return image{}, err
	}
	if len(index.Manifests) == 0 {
		return image{}, fmt.Errorf("%s: is no index of images: choose one for several platforms", reference)
	}
	for _, m := range index.Manifests {
		if err := d.variant(ctx, &i, ref.Name(), m); err != nil {
			return image{}, err
		}
	}
	return i, nil
}

func (d *demo) variant(ctx context.Context, i *image, name string, m oci.Descriptor) error {
	body, err := d.manifest(ctx, name+"@"+string(m.Digest))
	if err != nil {
		return err
	}
	v := variant{platform: oci.FormatPlatform(*m.Platform)}
	if err := json.Unmarshal(body, &v.manifest); err != nil {
		return err
	}
	i.variants = append(i.variants, v)
	for _, b := range append(v.manifest.Layers, m, v.manifest.Config) {
		i.blobs[b.Digest] = b.Size
	}
	return nil
}

// manifest is a manifest's exact bytes. crane ends them with no newline of its own.
func (d *demo) manifest(ctx context.Context, reference string) ([]byte, error) {
	cmd := command(ctx, d.root, d.crane, "manifest", reference)
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("crane manifest %s: %w", reference, err)
	}
	return b, nil
}
