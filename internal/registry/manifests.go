package registry

import (
	"cmp"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

func getManifest(c call) error {
	if err := c.checkReference(); err != nil {
		return err
	}
	d, err := c.repository.Resolve(c.r.Context(), c.reference)
	if err != nil {
		return err
	}
	f, err := c.repository.Manifest(c.r.Context(), d)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.serveContent(f, d.Digest, d.MediaType)
}

// putManifest stores a manifest under its digest or a tag. Further tags may be in the query.
func putManifest(c call) error {
	if err := c.checkReference(); err != nil {
		return err
	}
	body, err := c.readAll(c.ManifestSize)
	if err != nil {
		return err
	}
	d := oci.Describe(mediaType(c.r.Header.Get("Content-Type"), body), body)
	tags := c.r.URL.Query()["tag"]
	if !isDigest(c.reference) {
		tags = append(tags, c.reference)
	} else if c.reference != string(d.Digest) {
		return &problem{http.StatusBadRequest, "DIGEST_INVALID", "the manifest has the digest " + string(d.Digest)}
	}
	subject, err := c.repository.PutManifest(c.r.Context(), d, body, tags...)
	if err != nil {
		return err
	}
	c.putHeaders(d, subject, c.r.URL.Query()["tag"])
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

func (c call) putHeaders(d oci.Descriptor, subject oci.Digest, tags []string) {
	c.w.Header().Set("Location", "/v2/"+c.repository.Name()+"/manifests/"+string(d.Digest))
	c.w.Header().Set("Docker-Content-Digest", string(d.Digest))
	if subject != "" {
		c.w.Header().Set("OCI-Subject", string(subject))
	}
	for _, tag := range tags {
		c.w.Header().Add("OCI-Tag", tag)
	}
}

func deleteManifest(c call) (err error) {
	if err := c.checkReference(); err != nil {
		return err
	}
	if isDigest(c.reference) {
		err = c.repository.DeleteManifest(c.r.Context(), oci.Digest(c.reference))
	} else {
		err = c.repository.DeleteTag(c.r.Context(), c.reference)
	}
	if err == nil {
		c.w.WriteHeader(http.StatusAccepted)
	}
	return err
}

func isDigest(reference string) bool { return strings.Contains(reference, ":") }

func (c call) checkReference() error {
	if isDigest(c.reference) {
		_, err := parseDigest(c.reference)
		return err
	}
	if err := oci.CheckTag(c.reference); err != nil {
		return &problem{http.StatusBadRequest, "MANIFEST_INVALID", err.Error()}
	}
	return nil
}

// mediaType is what the client says that a manifest is or, when it says nothing, the manifest itself.
func mediaType(header string, body []byte) string {
	if t, _, err := mime.ParseMediaType(header); err == nil {
		return t
	}
	var self struct{ MediaType string }
	json.Unmarshal(body, &self) // what is no JSON is refused where it is understood
	return cmp.Or(header, self.MediaType)
}
