package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runPlan(_ context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	in := planInput{bodies: map[oci.Digest][]byte{}}
	h, err := request.ReadPlan(f, request.In(p.Dir, in.record))
	if err != nil {
		return err
	}
	plan, err := in.plan(h)
	if err != nil {
		return fmt.Errorf("plan %s: %w", h.Name, err)
	}
	b, err := plan.Encode()
	if err != nil {
		return err
	}
	return writeFile(in.out, b)
}

// planInput gathers the records of a request.
type planInput struct {
	imageInput
	bodies map[oci.Digest][]byte // manifests, indexes and configs
	bases  []deploy.Base
	merge  []deploy.Plan
}

func (in *planInput) record(r request.PlanRecord) error {
	if known, err := in.imageInput.record(request.FileRecord{Type: r.Type, From: r.From}, request.PlanPlan); known {
		return err
	}
	switch r.Type {
	case request.PlanManifest:
		return in.manifest(r)
	case request.PlanConfig:
		return in.config(r)
	case request.PlanLayer:
		return in.layer(r)
	case request.PlanBase:
		in.bases = append(in.bases, deploy.Base{Registries: r.Registries, Repository: r.Repository, Digest: r.Digest})
		return nil
	case request.PlanMerge:
		return in.readPlan(r.From)
	}
	return fmt.Errorf("record of unknown type %q", r.Type)
}

func (in *planInput) manifest(r request.PlanRecord) error {
	b, err := os.ReadFile(r.From)
	if err != nil {
		return err
	}
	d := oci.Describe(mediaTypeOf(b), b)
	in.bodies[d.Digest] = b
	in.blobs = append(in.blobs, deploy.Blob{Descriptor: d, File: r.Runfile})
	return nil
}

// config takes the config of an image or an artifact. Its true type is in the manifest, which is all that anybody asks.
func (in *planInput) config(r request.PlanRecord) error {
	b, err := os.ReadFile(r.From)
	if err != nil {
		return err
	}
	d := oci.Describe(oci.MediaTypeConfig, b)
	in.bodies[d.Digest] = b
	in.blobs = append(in.blobs, deploy.Blob{Descriptor: d, File: r.Runfile})
	return nil
}

func (in *planInput) layer(r request.PlanRecord) error {
	l, err := readLayer(r.From)
	if err != nil {
		return err
	}
	d := l.Descriptor()
	d.Annotations = nil
	in.blobs = append(in.blobs, deploy.Blob{Descriptor: d, File: r.Runfile, Output: r.Output, BLAKE3: l.BLAKE3})
	return nil
}

func (in *planInput) readPlan(path string) error {
	p, err := readPlan(path)
	if err != nil {
		return err
	}
	in.merge = append(in.merge, p)
	return nil
}

func (in *planInput) plan(h request.Plan) (deploy.Plan, error) {
	if in.out == "" {
		return deploy.Plan{}, errors.New("the request names no file for the plan")
	}
	if h.Operation == "" {
		return deploy.Merge(h.Name, in.merge...).WithCaches(cacheOf(h)).WithStrategies(h.PushStrategy, h.LoadStrategy)
	}
	op, err := in.operation(h)
	if err != nil {
		return deploy.Plan{}, err
	}
	if err := in.addFurtherDigests(h.FurtherDigest); err != nil {
		return deploy.Plan{}, err
	}
	plan := deploy.Plan{
		Version: deploy.Version, Name: h.Name, Operations: []deploy.Operation{op},
		Blobs: in.located(h.Workspace), Bases: in.bases,
		AuthFile: h.AuthFile,
	}.WithCaches(cacheOf(h))
	return plan, plan.Check(func(d oci.Descriptor) ([]byte, error) {
		if b, ok := in.bodies[d.Digest]; ok {
			return b, nil
		}
		return nil, fmt.Errorf("manifest %s is not among the files", d.Digest)
	})
}

func cacheOf(h request.Plan) deploy.Cache {
	return deploy.Cache{Remote: h.RemoteCache, Disk: h.DiskCache, CredentialHelper: h.CredentialHelper}
}

// operation expands the templates of the request.
func (in *planInput) operation(h request.Plan) (op deploy.Operation, err error) {
	d, err := in.data(h.Templates)
	if err != nil {
		return op, err
	}
	op = deploy.Operation{
		Kind: h.Operation, Name: h.Name, Root: oci.Describe(mediaTypeOf(in.root), in.root), Daemon: h.Daemon, Strategy: h.Strategy,
	}
	if op.Registry, err = d.Expand("registry", h.Registry); err != nil {
		return op, err
	}
	if op.Repository, err = d.Expand("repository", h.Repository); err != nil {
		return op, err
	}
	if op.Tags, err = in.expandTags(d, h.Tags); err != nil {
		return op, err
	}
	return op, op.Check()
}

// addFurtherDigests names what is not a layer, too, as caches know it: a push that does not come from the files reads it there.
func (in *planInput) addFurtherDigests(function string) error {
	further, err := newFurtherDigest(function)
	if err != nil {
		return err
	}
	for i, b := range in.blobs {
		if body, ok := in.bodies[b.Digest]; ok {
			in.blobs[i].BLAKE3 = further.of(body)
		}
	}
	return nil
}

// located makes runfiles of the blobs' places.
func (in *planInput) located(workspace string) []deploy.Blob {
	blobs := slices.Clone(in.blobs)
	for i := range blobs {
		if blobs[i].File != "" {
			blobs[i].File = path.Join(workspace, blobs[i].File)
		}
	}
	return deploy.UniqueBlobs(blobs)
}

// mediaTypeOf reads what a manifest or an index says it is. It may leave that out, and is then known by its fields.
func mediaTypeOf(b []byte) string {
	var doc struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	if json.Unmarshal(b, &doc) == nil && doc.MediaType == "" && doc.Manifests != nil {
		return oci.MediaTypeIndex
	}
	return cmp.Or(doc.MediaType, oci.MediaTypeManifest)
}
