// Package index makes image indexes: one document that names the manifests of many platforms. Its entry point is
// [Build].
//
// The law: manifests keep the order they are given in, since clients take the first that fits.
package index

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Build returns the index of manifests.
func Build(manifests []oci.Descriptor, annotations map[string]string) ([]byte, error) {
	for _, d := range manifests {
		if !oci.IsManifest(d.MediaType) {
			return nil, fmt.Errorf("manifest %s: has the type %s: want a manifest or an index", d.Digest, d.MediaType)
		}
	}
	doc := oci.Index{
		Versioned:   oci.Versioned{SchemaVersion: 2},
		MediaType:   oci.MediaTypeIndex,
		Manifests:   manifests,
		Annotations: annotations,
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
