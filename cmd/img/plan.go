package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runPlan(_ context.Context, p process) error {
	f, err := openRequest(p.Args)
	if err != nil {
		return err
	}
	defer f.Close()
	in := planInput{bodies: map[oci.Digest][]byte{}}
	h, err := request.ReadPlan(f, in.record)
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
	return os.WriteFile(in.out, b, 0o644)
}

// planInput gathers the records of a request.
type planInput struct {
	templateInput
	bodies map[oci.Digest][]byte // manifests, indexes and configs
	blobs  []deploy.Blob
	bases  []deploy.Base
	tags   []string // of the file
	merge  []deploy.Plan
	root   []byte
	out    string
}

func (in *planInput) record(r request.PlanRecord) error {
	if known, err := in.templateInput.record(request.FileRecord{Type: r.Type, From: r.From}); known {
		return err
	}
	switch r.Type {
	case request.PlanRoot:
		return readInto(&in.root, r.From)
	case request.PlanBlob:
		return in.blob(r)
	case request.PlanLayer:
		return in.layer(r)
	case request.PlanBase:
		in.bases = append(in.bases, deploy.Base{Registries: r.Registries, Repository: r.Repository, Digest: r.Digest})
		return nil
	case request.PlanTags:
		return in.readTags(r.From)
	case request.PlanMerge:
		return in.readPlan(r.From)
	case request.PlanPlan:
		in.out = r.From
		return nil
	}
	return fmt.Errorf("record of unknown type %q", r.Type)
}

func (in *planInput) blob(r request.PlanRecord) error {
	b, err := os.ReadFile(r.From)
	if err != nil {
		return err
	}
	d := oci.Describe(mediaTypeOf(b), b)
	in.bodies[d.Digest] = b
	in.blobs = append(in.blobs, deploy.Blob{Descriptor: d, File: r.Runfile})
	return nil
}

func (in *planInput) layer(r request.PlanRecord) error {
	b, err := os.ReadFile(r.From)
	if err != nil {
		return err
	}
	l, err := manifest.ParseLayer(b)
	if err != nil {
		return fmt.Errorf("%s: %w", r.From, err)
	}
	d := l.Descriptor()
	d.Annotations = nil
	in.blobs = append(in.blobs, deploy.Blob{Descriptor: d, File: r.Runfile})
	return nil
}

func (in *planInput) readTags(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		in.tags = append(in.tags, strings.TrimSpace(lines.Text()))
	}
	return lines.Err()
}

func (in *planInput) readPlan(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	p, err := deploy.Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	in.merge = append(in.merge, p)
	return nil
}

func (in *planInput) plan(h request.Plan) (deploy.Plan, error) {
	if in.out == "" {
		return deploy.Plan{}, errors.New("the request names no file for the plan")
	}
	if h.Operation == "" {
		return deploy.Merge(h.Name, in.merge...).WithStrategies(h.PushStrategy, h.LoadStrategy)
	}
	op, err := in.operation(h)
	if err != nil {
		return deploy.Plan{}, err
	}
	plan := deploy.Plan{
		Version: deploy.Version, Name: h.Name, Operations: []deploy.Operation{op},
		Blobs: in.located(h.Workspace), Bases: in.bases,
	}
	return plan, plan.Check(func(d oci.Descriptor) ([]byte, error) {
		if b, ok := in.bodies[d.Digest]; ok {
			return b, nil
		}
		return nil, fmt.Errorf("manifest %s is not among the files", d.Digest)
	})
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
	for attribute, tags := range map[string][]string{"tag": h.Tags, "tag_file": in.tags} {
		for _, tag := range tags {
			if _, err := d.Expand(attribute, tag); err != nil {
				return op, err
			}
		}
	}
	for _, tag := range slices.Concat(h.Tags, in.tags) {
		tag, _ := d.Expand("", tag)
		if tag != "" && !slices.Contains(op.Tags, tag) { // a condition may leave a tag out
			op.Tags = append(op.Tags, tag)
		}
	}
	return op, op.Check()
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

// mediaTypeOf reads what a document says it is. A manifest or an index may leave it out, and is known by its fields; a config
// never says it.
func mediaTypeOf(b []byte) string {
	var doc struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
		Layers    json.RawMessage `json:"layers"`
	}
	switch err := json.Unmarshal(b, &doc); {
	case err != nil:
		return oci.MediaTypeConfig
	case doc.MediaType != "":
		return doc.MediaType
	case doc.Manifests != nil:
		return oci.MediaTypeIndex
	case doc.Layers != nil:
		return oci.MediaTypeManifest
	}
	return oci.MediaTypeConfig
}
