package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// manifest is what a registry wants to know of a manifest or an index.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	ArtifactType  string            `json:"artifactType"`
	Config        *oci.Descriptor   `json:"config"`
	Subject       *oci.Descriptor   `json:"subject"`
	Annotations   map[string]string `json:"annotations"`

	children []oci.Descriptor
}

func (m manifest) subject() oci.Digest {
	if m.Subject == nil {
		return ""
	}
	return m.Subject.Digest
}

// artifactType is the type by which the manifest is found among the referrers of its subject.
func (m manifest) artifactType() string {
	if m.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.ArtifactType
}

func parse(d oci.Descriptor, body []byte) (m manifest, err error) {
	if err := decode(d, body, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrManifestInvalid, err)
	}
	return m, nil
}

func decode(d oci.Descriptor, body []byte, m *manifest) (err error) {
	if !oci.IsManifest(d.MediaType) {
		return fmt.Errorf("its type is %q: want one of %s", d.MediaType, strings.Join([]string{
			oci.MediaTypeManifest, oci.MediaTypeIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerManifestList}, ", "))
	}
	if err := json.Unmarshal(body, m); err != nil {
		return err
	}
	if m.SchemaVersion != 2 {
		return fmt.Errorf("its schemaVersion is %d: want 2", m.SchemaVersion)
	}
	if oci.IsImageManifest(d.MediaType) && m.Config == nil {
		return errors.New("it has no config")
	}
	if m.Subject != nil {
		if _, err := oci.ParseDigest(string(m.Subject.Digest)); err != nil {
			return fmt.Errorf("subject: %w", err)
		}
	}
	m.children, err = oci.Children(d, body)
	return err
}
