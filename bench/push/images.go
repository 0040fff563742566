package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// image is one image and all that it is made of.
type image struct {
	root  oci.Descriptor
	blobs []oci.Descriptor // the root last
}

// noise returns bytes that do not compress, the same each time.
func noise(seed string, n int) []byte {
	var key [32]byte
	copy(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// makeImage writes an image with the given layers below folder.
func makeImage(ctx context.Context, folder string, layers ...[]byte) (image, error) {
	var made image
	var all mem.Store
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest}
	diffIDs := []oci.Digest{}
	for _, l := range layers {
		d := all.Add(oci.MediaTypeLayer, l)
		m.Layers, diffIDs = append(m.Layers, d), append(diffIDs, d.Digest)
	}
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return made, err
	}
	m.Config = all.Add(oci.MediaTypeConfig, config)
	body, err := json.Marshal(m)
	if err != nil {
		return made, err
	}
	made.root = all.Add(oci.MediaTypeManifest, body)
	made.blobs = append(append(append(made.blobs, m.Layers...), m.Config), made.root)
	_, err = blob.Copy(ctx, dir.Store{Root: folder, Volatile: true}, &all, blob.CopyOptions{}, made.root)
	return made, err
}

// writeLayout makes folder, which has the blobs, an OCI layout of one image in a directory of its own that shares them, as crane
// wants to have it.
func writeLayout(folder, layout string, i image) error {
	if err := os.MkdirAll(layout, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(folder, "blobs"), filepath.Join(layout, "blobs")); err != nil {
		return err
	}
	index, err := json.Marshal(oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, Manifests: []oci.Descriptor{i.root}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(layout, "index.json"), index, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// writePlan makes the plan of pushing each image to its repository.
func writePlan(path, registry string, images []image, repositories []string) error {
	p := deploy.Plan{Version: deploy.Version, Name: "//bench:push"}
	var blobs []deploy.Blob
	for i, img := range images {
		p.Operations = append(p.Operations, deploy.Operation{
			Kind: deploy.KindPush, Name: fmt.Sprintf("//bench:%d", i), Root: img.root,
			Registry: registry, Repository: repositories[i], Strategy: "eager",
		})
		for _, d := range img.blobs {
			blobs = append(blobs, deploy.Blob{Descriptor: d, File: "blobs/sha256/" + d.Digest.Encoded()})
		}
	}
	p.Blobs = deploy.UniqueBlobs(blobs)
	b, err := p.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
