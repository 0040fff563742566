package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/bench/scene"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// makeImage writes an image with the given layers below folder.
func makeImage(ctx context.Context, folder string, layers ...[]byte) (scene.Image, error) {
	var all mem.Store
	made, err := scene.MakeImage(&all, layers...)
	if err != nil {
		return made, err
	}
	_, err = blob.Copy(ctx, dir.Store{Root: folder, Volatile: true}, &all, blob.CopyOptions{}, made.Root)
	return made, err
}

// writeLayout makes folder, which has the blobs, an OCI layout of one image in a directory of its own that shares them, as crane
// wants to have it.
func writeLayout(folder, layout string, i scene.Image) error {
	if err := os.MkdirAll(layout, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(folder, "blobs"), filepath.Join(layout, "blobs")); err != nil {
		return err
	}
	index, err := json.Marshal(oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, Manifests: []oci.Descriptor{i.Root}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(layout, "index.json"), index, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// writePlan makes the plan of pushing each image to its repository.
func writePlan(path, registry string, images []scene.Image, repositories []string) error {
	p := deploy.Plan{Version: deploy.Version, Name: "//bench:push"}
	var blobs []deploy.Blob
	for i, img := range images {
		p.Operations = append(p.Operations, deploy.Operation{
			Kind: deploy.KindPush, Name: fmt.Sprintf("//bench:%d", i), Root: img.Root,
			Registry: registry, Repository: repositories[i], Strategy: "eager",
		})
		for _, d := range img.Blobs {
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
