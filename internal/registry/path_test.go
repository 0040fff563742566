package registry

import "testing"

func TestPathsAreTakenApartFromTheirEnd(t *testing.T) {
	for path, want := range map[string]destination{
		"/v2":                                    {kind: base},
		"/v2/":                                   {kind: base},
		"/v2/a/b/blobs/sha256:x":                 {blobs, "a/b", "sha256:x"},
		"/v2/a/blobs/uploads":                    {uploads, "a", ""},
		"/v2/a/blobs/uploads/":                   {uploads, "a", ""},
		"/v2/a/blobs/uploads/id":                 {upload, "a", "id"},
		"/v2/a/manifests/latest":                 {manifests, "a", "latest"},
		"/v2/a/tags/list":                        {tags, "a", ""},
		"/v2/a/referrers/sha256:x":               {referrers, "a", "sha256:x"},
		"/v2/blobs/uploads/manifests/x":          {manifests, "blobs/uploads", "x"},
		"/v2/manifests/tags/list/blobs/uploads/": {uploads, "manifests/tags/list", ""},
		"/v2/tags/list/tags/list":                {tags, "tags/list", ""},
	} {
		if got, ok := parsePath(path); !ok || got != want {
			t.Errorf("%s is %+v, %v; want %+v", path, got, ok, want)
		}
	}
	for _, path := range []string{"", "/", "/v1/", "/v2/a", "/v2/tags/list", "/v2/blobs/uploads/", "/v2/a/manifests/", "/v2/a/tags/lists", "/v2/a/tags/list/"} {
		if got, ok := parsePath(path); ok {
			t.Errorf("%s is %+v; want nothing", path, got)
		}
	}
}
