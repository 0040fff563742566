package registry

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// kind is what a path leads to.
type kind int

const (
	base kind = iota
	blobs
	upload
	uploads
	manifests
	tags
	referrers
)

// destination is a path taken apart. The name of the repository is checked later.
type destination struct {
	kind      kind
	name      string
	reference string
}

// parsePath takes a path apart from its end, because a repository's name has any number of parts and these may be
// called like ours.
func parsePath(path string) (destination, bool) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok {
		return destination{}, false
	}
	if rest == "" || rest == "/" {
		return destination{kind: base}, true
	}
	if name, ok := strings.CutSuffix(strings.TrimSuffix(rest, "/"), "/blobs/uploads"); ok {
		return destination{uploads, strings.TrimPrefix(name, "/"), ""}, name != ""
	}
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	for _, p := range patterns {
		if d, ok := p.match(parts); ok {
			return d, true
		}
	}
	return destination{}, false
}

// pattern is the end of a path: words and, where a word is empty, the reference.
type pattern struct {
	kind kind
	end  []string
}

var patterns = []pattern{
	{upload, []string{"blobs", "uploads", ""}},
	{blobs, []string{"blobs", ""}},
	{manifests, []string{"manifests", ""}},
	{tags, []string{"tags", "list"}},
	{referrers, []string{"referrers", ""}},
}

func (p pattern) match(parts []string) (destination, bool) {
	n := len(parts) - len(p.end)
	if n < 1 {
		return destination{}, false
	}
	d := destination{kind: p.kind, name: strings.Join(parts[:n], "/")}
	for i, word := range p.end {
		part := parts[n+i]
		if word == "" && part != "" {
			d.reference = part
		} else if word == "" || word != part {
			return destination{}, false
		}
	}
	return d, true
}

type handler func(call) error

// handlers has what answers each method at each kind of path. HEAD is GET, whose body is not sent.
var handlers = map[kind]map[string]handler{
	base:      {http.MethodGet: ping},
	blobs:     {http.MethodGet: getBlob, http.MethodDelete: deleteBlob},
	uploads:   {http.MethodPost: startUpload},
	upload:    {http.MethodGet: getUpload, http.MethodPatch: patchUpload, http.MethodPut: putUpload, http.MethodDelete: deleteUpload},
	manifests: {http.MethodGet: getManifest, http.MethodPut: putManifest, http.MethodDelete: deleteManifest},
	tags:      {http.MethodGet: listTags},
	referrers: {http.MethodGet: listReferrers},
}

func (d destination) handler(method string) (handler, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	h := handlers[d.kind][method]
	if h == nil {
		return nil, &problem{http.StatusMethodNotAllowed, "UNSUPPORTED", fmt.Sprintf("%s is not possible here, but %s is", method, d.allowed())}
	}
	return h, nil
}

func (d destination) allowed() string {
	var all []string
	for method := range handlers[d.kind] {
		all = append(all, method)
		if method == http.MethodGet {
			all = append(all, http.MethodHead)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func ping(c call) error {
	return writeJSON(c.w, "application/json", struct{}{})
}
