package registry_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// FuzzRequest sends requests of any shape. Whatever they are, the registry answers, and does not call it its own fault.
func FuzzRequest(f *testing.F) {
	r := registry.New(registry.Options{Store: open(f, f.TempDir(), store.Limits{})})
	empty := string(oci.DigestOf(nil))
	for _, s := range [][5]string{
		{"GET", "/v2/", "", "", ""},
		{"GET", "/v2/a/b/tags/list", "n=2&last=x", "", ""},
		{"POST", "/v2/a/b/blobs/uploads/", "mount=" + empty + "&from=a", "", ""},
		{"POST", "/v2/a/b/blobs/uploads/", "digest=" + empty, "", ""},
		{"GET", "/v2/a/b/blobs/" + empty, "", "bytes=0-5,7-", ""},
		{"PATCH", "/v2/a/b/blobs/uploads/00000000000000000000000000000000", "", "bytes 0-5/7", "x"},
		{"PUT", "/v2/a/manifests/x", "tag=a&tag=b", "", `{"schemaVersion":2,"manifests":[]}`},
		{"DELETE", "/v2/blobs/uploads/manifests/manifests/x", "", "0-1", ""},
		{"GET", "/v2/a/referrers/" + empty, "artifactType=x", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4])
	}
	f.Fuzz(func(t *testing.T, method, path, query, ranges, body string) {
		request, err := http.NewRequest(method, "/", strings.NewReader(body))
		if err != nil {
			return
		}
		request.URL = &url.URL{Path: path, RawQuery: query}
		request.Header.Set("Range", ranges)
		request.Header.Set("Content-Range", ranges)
		request.Header.Set("Content-Type", oci.MediaTypeIndex)
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, request)
		if answer.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, request.URL, answer.Code, answer.Body)
		}
	})
}

// tenth is the range of the eleventh byte, as the distribution specification and RFC 9110 let it be written.
var tenth = regexp.MustCompile(`(?s)^(bytes )?0*10-0*10(/.*)?$`)

// FuzzContentRange goes through an upload that has ten bytes: only a range that begins there, and is as long as the body, is taken.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"10-10", "bytes 10-10/20", "0-0", "10-9", "+10-10", "10-99999999999999999999", "-", "10-10/", "a-b", "010-10"} {
		f.Add(s)
	}
	s := open(f, f.TempDir(), store.Limits{})
	r := registry.New(registry.Options{Store: s})
	f.Fuzz(func(t *testing.T, header string) {
		repository, _ := s.Repository("a")
		u, err := repository.StartUpload()
		if err != nil {
			t.Fatal(err)
		}
		u.Append(t.Context(), strings.NewReader("0123456789"))
		u.Close()
		request := httptest.NewRequest("PATCH", "/v2/a/blobs/uploads/"+u.ID(), strings.NewReader("x"))
		request.Header.Set("Content-Range", header)
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, request)
		if u, err = repository.Upload(u.ID()); err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		defer u.Cancel()
		taken := answer.Code == http.StatusAccepted
		if taken != (u.Size() == 11) || !taken && u.Size() != 10 {
			t.Errorf("%q: %d, and the upload has %d bytes", header, answer.Code, u.Size())
		}
		if taken && header != "" && !tenth.MatchString(header) {
			t.Errorf("%q was taken", header)
		}
	})
}
