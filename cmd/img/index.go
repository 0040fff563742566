package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/bazel-contrib/rules_img/internal/index"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runIndex(_ context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	in := indexInput{out: outputs{}}
	h, err := request.ReadIndex(f, request.In(p.Dir, in.record))
	if err != nil {
		return err
	}
	body, err := in.build(h)
	if err != nil {
		return fmt.Errorf("index %s: %w", h.Name, err)
	}
	if err := in.out.write(request.IndexIndex, body); err != nil {
		return err
	}
	return in.out.write(request.IndexDigest, []byte(oci.DigestOf(body)))
}

// indexInput gathers the records of a request.
type indexInput struct {
	templateInput
	manifests []oci.Descriptor
	out       outputs
}

func (in *indexInput) record(r request.FileRecord) error {
	if known, err := in.templateInput.record(r); known {
		return err
	}
	switch r.Type {
	case request.IndexManifest:
		d, err := readDescriptor(r.From)
		in.manifests = append(in.manifests, d)
		return err
	case request.IndexIndex, request.IndexDigest:
		in.out[r.Type] = r.From
		return nil
	}
	return fmt.Errorf("record of unknown type %q", r.Type)
}

func (in *indexInput) build(h request.Index) ([]byte, error) {
	d, err := in.data(h.Templates)
	if err != nil {
		return nil, err
	}
	annotations, err := in.expandAnnotations(d, h.Annotations)
	if err != nil {
		return nil, err
	}
	return index.Build(in.manifests, annotations)
}

func readDescriptor(path string) (oci.Descriptor, error) {
	var d oci.Descriptor
	b, err := os.ReadFile(path)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}
