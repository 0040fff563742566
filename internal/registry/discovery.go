package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Pages are cut, and a link leads on, at so many tags and at so many bytes of referrers.
const (
	tagsPage      = 10_000
	referrersPage = 4 << 20
)

func listTags(c call) error {
	query := c.r.URL.Query()
	n := tagsPage
	if query.Has("n") {
		asked, err := strconv.ParseUint(query.Get("n"), 10, 31)
		if err != nil {
			return &problem{http.StatusBadRequest, "UNSUPPORTED", fmt.Sprintf("n is %q: want a number", query.Get("n"))}
		}
		n = min(n, int(asked))
	}
	tags, more, err := c.repository.Tags(c.r.Context(), query.Get("last"), n)
	if err != nil {
		return err
	}
	if more && len(tags) > 0 {
		c.linkNext(url.Values{"n": {strconv.Itoa(n)}, "last": {tags[len(tags)-1]}})
	}
	return writeJSON(c.w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{c.repository.Name(), append([]string{}, tags...)})
}

func listReferrers(c call) error {
	subject, err := parseDigest(c.reference)
	if err != nil {
		return err
	}
	query := c.r.URL.Query()
	artifactType := query.Get("artifactType")
	if artifactType != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	index := oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{}}
	size := 0
	for d, err := range c.repository.Referrers(c.r.Context(), subject, oci.Digest(query.Get("last"))) {
		if err != nil {
			return err
		}
		if artifactType != "" && d.ArtifactType != artifactType {
			continue
		}
		if size += sizeOf(d); size > referrersPage && len(index.Manifests) > 0 {
			next := url.Values{"last": {string(index.Manifests[len(index.Manifests)-1].Digest)}}
			if artifactType != "" {
				next.Set("artifactType", artifactType)
			}
			c.linkNext(next)
			break
		}
		index.Manifests = append(index.Manifests, d)
	}
	return writeJSON(c.w, oci.MediaTypeIndex, index)
}

// linkNext tells where the list goes on.
func (c call) linkNext(query url.Values) {
	next := url.URL{Path: c.r.URL.Path, RawQuery: query.Encode()}
	c.w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
}

// sizeOf is about how many bytes a descriptor takes as JSON.
func sizeOf(d oci.Descriptor) int {
	n := 200 + len(d.ArtifactType)
	for k, v := range d.Annotations {
		n += len(k) + len(v) + 6
	}
	return n
}
