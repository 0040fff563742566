package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runManifest(_ context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	in := manifestInput{out: outputs{}}
	h, err := request.ReadManifest(f, request.In(p.Dir, in.record))
	if err != nil {
		return err
	}
	image, err := in.build(h)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", h.Name, err)
	}
	return in.write(image)
}

// manifestInput gathers the records of a request.
type manifestInput struct {
	templateInput
	layers   []manifest.Layer
	fragment []byte
	created  string
	out      outputs
}

func (in *manifestInput) record(r request.FileRecord) error {
	if known, err := in.templateInput.record(r); known {
		return err
	}
	switch r.Type {
	case request.ManifestLayer:
		return in.layer(r.From)
	case request.ManifestFragment:
		return readInto(&in.fragment, r.From)
	case request.ManifestCreated:
		return in.readCreated(r.From)
	case request.ManifestManifest, request.ManifestConfig, request.ManifestDescriptor, request.ManifestDigest:
		in.out[r.Type] = r.From
		return nil
	}
	return fmt.Errorf("record of unknown type %q", r.Type)
}

func (in *manifestInput) readCreated(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	in.created, err = manifest.ParseCreated(b)
	return err
}

func (in *manifestInput) layer(path string) error {
	l, err := readLayer(path)
	if err != nil {
		return err
	}
	in.layers = append(in.layers, l)
	return nil
}

func (in *manifestInput) build(h request.Manifest) (manifest.Image, error) {
	spec, err := in.spec(h)
	if err != nil {
		return manifest.Image{}, err
	}
	return manifest.Build(spec)
}

func (in *manifestInput) spec(h request.Manifest) (manifest.Spec, error) {
	s := manifest.Spec{
		Platform:     oci.Platform{OS: h.OS, Architecture: h.Architecture, Variant: h.Variant},
		Layers:       in.layers,
		ArtifactType: h.ArtifactType,
		Fragment:     in.fragment, ConfigMediaType: h.ConfigMediaType, Created: in.created,
		User: h.User, WorkingDir: h.WorkingDir, StopSignal: h.StopSignal,
		Entrypoint: h.Entrypoint, Cmd: h.Cmd,
	}
	if in.baseManifest != nil {
		s.Base = &manifest.Base{Manifest: in.baseManifest, Config: in.baseConfig, Name: h.BaseName, Digest: h.BaseDigest}
	}
	d, err := in.data(h.Templates)
	if err != nil {
		return s, err
	}
	if s.Env, err = d.ExpandMap("env", h.Env); err != nil {
		return s, err
	}
	if s.Labels, err = d.ExpandMap("labels", h.Labels); err != nil {
		return s, err
	}
	s.Annotations, err = in.expandAnnotations(d, h.Annotations)
	return s, err
}

func (in *manifestInput) write(image manifest.Image) error {
	descriptor, err := json.Marshal(image.Descriptor)
	if err != nil {
		return err
	}
	for kind, content := range map[string][]byte{
		request.ManifestManifest:   image.Manifest,
		request.ManifestConfig:     image.Config,
		request.ManifestDescriptor: descriptor,
		request.ManifestDigest:     []byte(image.Descriptor.Digest),
	} {
		if err := in.out.write(kind, content); err != nil {
			return err
		}
	}
	return nil
}

func readInto(to *[]byte, path string) (err error) {
	*to, err = os.ReadFile(path)
	return err
}
