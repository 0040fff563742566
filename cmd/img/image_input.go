package main

import (
	"fmt"
	"os"

	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/request"
)

// imageInput gathers what requests about a whole image have in common.
type imageInput struct {
	templateInput
	root  []byte // its manifest or index
	blobs []deploy.Blob
	out   string // the file to write
}

// record takes the records that kinds with an image share, and reports whether r is one. out is the type of the one that names the output.
func (in *imageInput) record(r request.FileRecord, out string) (bool, error) {
	switch r.Type {
	case request.ImageRoot:
		return true, readInto(&in.root, r.From)
	case out:
		in.out = r.From
		return true, nil
	}
	return in.templateInput.record(r)
}

func readLayer(path string) (manifest.Layer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return manifest.Layer{}, err
	}
	l, err := manifest.ParseLayer(b)
	if err != nil {
		return l, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}
