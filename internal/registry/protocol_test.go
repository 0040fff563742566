package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// client speaks plain HTTP to a registry.
type client struct {
	testing.TB
	host string
}

func newClient(t testing.TB, o registry.Options) client {
	if o.Store == nil {
		o.Store = open(t, t.TempDir(), store.Limits{})
	}
	return client{t, serve(t, o)}
}

// do sends a request with headers given as "Name: value", and returns the answer and its body.
func (c client) do(method, path, body string, headers ...string) (*http.Response, string) {
	c.Helper()
	r, err := http.NewRequest(method, "http://"+c.host+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		c.Fatal(err)
	}
	return answer, string(got)
}

// want sends a request, fails unless it is answered with the status, and returns the answer.
func (c client) want(status int, method, path, body string, headers ...string) (*http.Response, string) {
	c.Helper()
	answer, got := c.do(method, path, body, headers...)
	if answer.StatusCode != status {
		c.Fatalf("%s %s: %s; want %d\n%s", method, path, answer.Status, status, got)
	}
	return answer, got
}

// refuses sends a request and fails unless it is answered with the status and the code of an error.
func (c client) refuses(status int, code, method, path, body string, headers ...string) {
	c.Helper()
	_, got := c.want(status, method, path, body, headers...)
	var answer struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(got), &answer); err != nil || len(answer.Errors) != 1 {
		c.Fatalf("%s %s: the body is no error: %s", method, path, got)
	}
	if e := answer.Errors[0]; e.Code != code || e.Message == "" {
		c.Errorf("%s %s: the error is %+v; want %s and a message", method, path, e, code)
	}
}

func (c client) blob(repository, body string) oci.Descriptor {
	c.Helper()
	d := oci.Describe("application/octet-stream", []byte(body))
	c.want(http.StatusCreated, "POST", "/v2/"+repository+"/blobs/uploads/?digest="+string(d.Digest), body)
	return d
}

// artifact puts an index that is as small as can be, with further fields, and returns its descriptor.
func (c client) artifact(repository, reference, fields string) oci.Descriptor {
	c.Helper()
	body := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[]` + fields + `}`
	d := oci.Describe(oci.MediaTypeIndex, []byte(body))
	if reference == "" {
		reference = string(d.Digest)
	}
	c.want(http.StatusCreated, "PUT", "/v2/"+repository+"/manifests/"+reference, body, "Content-Type: "+oci.MediaTypeIndex)
	return d
}

func TestErrorsAreThoseOfTheSpecification(t *testing.T) {
	c := newClient(t, registry.Options{ManifestSize: 150})
	absent := string(oci.DigestOf([]byte("absent")))
	index := "Content-Type: " + oci.MediaTypeIndex
	c.refuses(404, "NAME_UNKNOWN", "GET", "/", "")
	c.refuses(404, "NAME_UNKNOWN", "GET", "/v2/a/elsewhere", "")
	c.refuses(404, "NAME_UNKNOWN", "GET", "/v2/a/tags/list", "")
	c.refuses(400, "NAME_INVALID", "GET", "/v2/A/tags/list", "")
	c.refuses(400, "NAME_INVALID", "GET", "/v2/a/%2e%2e/b/tags/list", "")
	c.refuses(405, "UNSUPPORTED", "POST", "/v2/a/tags/list", "")
	c.refuses(404, "BLOB_UNKNOWN", "GET", "/v2/a/blobs/"+absent, "")
	c.refuses(404, "BLOB_UNKNOWN", "DELETE", "/v2/a/blobs/"+absent, "")
	c.refuses(400, "DIGEST_INVALID", "GET", "/v2/a/blobs/sha256:short", "")
	c.refuses(400, "DIGEST_INVALID", "GET", "/v2/a/referrers/x", "")
	c.refuses(400, "DIGEST_INVALID", "POST", "/v2/a/blobs/uploads/?digest="+absent, "present")
	c.refuses(400, "DIGEST_INVALID", "POST", "/v2/a/blobs/uploads/?mount=x", "")
	c.refuses(404, "BLOB_UPLOAD_UNKNOWN", "PATCH", "/v2/a/blobs/uploads/"+strings.Repeat("0", 32), "")
	c.refuses(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/manifests/latest", "")
	c.refuses(404, "MANIFEST_UNKNOWN", "DELETE", "/v2/a/manifests/latest", "")
	c.refuses(404, "MANIFEST_UNKNOWN", "DELETE", "/v2/a/manifests/"+absent, "")
	c.refuses(400, "MANIFEST_INVALID", "GET", "/v2/a/manifests/.hidden", "")
	c.refuses(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/latest", "{}", index)
	c.refuses(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/latest", "{}", "Content-Type: application/json")
	c.refuses(400, "DIGEST_INVALID", "PUT", "/v2/a/manifests/"+absent, "{}", index)
	c.refuses(413, "SIZE_INVALID", "PUT", "/v2/a/manifests/latest", strings.Repeat(" ", 151), index)
	c.refuses(400, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/a/manifests/latest",
		`{"schemaVersion":2,"manifests":[{"digest":"`+absent+`"}]}`, index)
}

func TestAWrongMethodIsToldTheRightOnes(t *testing.T) {
	c := newClient(t, registry.Options{})
	answer, _ := c.want(http.StatusMethodNotAllowed, "PUT", "/v2/a/blobs/"+string(oci.DigestOf(nil)), "")
	if got := answer.Header.Get("Allow"); got != "DELETE, GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
}

func TestRangesOfABlob(t *testing.T) {
	c := newClient(t, registry.Options{})
	path := "/v2/a/blobs/" + string(c.blob("a", "0123456789").Digest)
	for header, want := range map[string]string{"bytes=2-4": "234", "bytes=7-": "789", "bytes=-2": "89", "bytes=8-20": "89"} {
		if _, got := c.want(http.StatusPartialContent, "GET", path, "", "Range: "+header); got != want {
			t.Errorf("%s: %q; want %q", header, got, want)
		}
	}
	c.want(http.StatusRequestedRangeNotSatisfiable, "GET", path, "", "Range: bytes=10-")
	answer, got := c.want(http.StatusOK, "HEAD", path, "")
	if answer.ContentLength != 10 || got != "" {
		t.Errorf("HEAD: %d bytes are said to be there, and %q comes", answer.ContentLength, got)
	}
}

func TestTheSameBlobIsNotSentAgain(t *testing.T) {
	c := newClient(t, registry.Options{})
	path := "/v2/a/blobs/" + string(c.blob("a", "kept").Digest)
	answer, _ := c.want(http.StatusOK, "GET", path, "")
	c.want(http.StatusNotModified, "GET", path, "", "If-None-Match: "+answer.Header.Get("Etag"))
}

func TestAnUploadInChunks(t *testing.T) {
	c := newClient(t, registry.Options{})
	answer, _ := c.want(http.StatusAccepted, "POST", "/v2/a/b/blobs/uploads/", "")
	upload := answer.Header.Get("Location")
	c.want(http.StatusAccepted, "PATCH", upload, "0123", "Content-Range: 0-3")
	answer, _ = c.want(http.StatusRequestedRangeNotSatisfiable, "PATCH", upload, "67", "Content-Range: 6-7")
	if got := answer.Header.Get("Range"); got != "0-3" {
		t.Errorf("a wrong chunk is told the range %q", got)
	}
	c.refuses(400, "SIZE_INVALID", "PATCH", upload, "4", "Content-Range: 4-5")
	c.refuses(400, "BLOB_UPLOAD_INVALID", "PATCH", upload, "4", "Content-Range: four")
	answer, _ = c.want(http.StatusNoContent, "GET", upload, "")
	if got := answer.Header.Get("Range"); got != "0-3" {
		t.Errorf("the status is %q", got)
	}
	digest := string(oci.DigestOf([]byte("012345")))
	answer, _ = c.want(http.StatusCreated, "PUT", upload+"?digest="+digest, "45", "Content-Range: 4-5")
	if got := answer.Header.Get("Docker-Content-Digest"); got != digest {
		t.Errorf("the digest is %q", got)
	}
	if _, got := c.want(http.StatusOK, "GET", answer.Header.Get("Location"), ""); got != "012345" {
		t.Errorf("the blob is %q", got)
	}
}

func TestAnUploadOfWrongBytesIsGone(t *testing.T) {
	c := newClient(t, registry.Options{})
	answer, _ := c.want(http.StatusAccepted, "POST", "/v2/a/blobs/uploads/", "")
	upload := answer.Header.Get("Location")
	c.refuses(400, "DIGEST_INVALID", "PUT", upload+"?digest="+string(oci.DigestOf([]byte("right"))), "wrong")
	c.refuses(404, "BLOB_UPLOAD_UNKNOWN", "GET", upload, "")
}

func TestACancelledUploadIsGone(t *testing.T) {
	c := newClient(t, registry.Options{})
	answer, _ := c.want(http.StatusAccepted, "POST", "/v2/a/blobs/uploads/", "")
	upload := answer.Header.Get("Location")
	c.want(http.StatusNoContent, "DELETE", upload, "")
	c.refuses(404, "BLOB_UPLOAD_UNKNOWN", "DELETE", upload, "")
}

func TestABlobThatIsTooLargeLeavesNothing(t *testing.T) {
	c := newClient(t, registry.Options{Store: open(t, t.TempDir(), store.Limits{BlobSize: 4, Uploads: 1})})
	for range 2 { // the limit of one upload would refuse the second
		c.refuses(413, "SIZE_INVALID", "POST", "/v2/a/blobs/uploads/?digest="+string(oci.DigestOf([]byte("12345"))), "12345")
		answer, _ := c.want(http.StatusAccepted, "POST", "/v2/a/blobs/uploads/", "")
		c.refuses(413, "SIZE_INVALID", "PATCH", answer.Header.Get("Location"), "12345")
	}
	c.want(http.StatusAccepted, "POST", "/v2/a/blobs/uploads/", "")
	c.refuses(429, "TOOMANYREQUESTS", "POST", "/v2/a/blobs/uploads/", "")
}

func TestMountOrElseUpload(t *testing.T) {
	c := newClient(t, registry.Options{})
	d := c.blob("from/here", "shared")
	mount := "/blobs/uploads/?mount=" + string(d.Digest)
	c.want(http.StatusCreated, "POST", "/v2/to/there"+mount+"&from=from/here", "")
	c.want(http.StatusCreated, "POST", "/v2/from/here"+mount+"&from=from/here", "")
	c.want(http.StatusCreated, "POST", "/v2/third"+mount, "")
	c.want(http.StatusAccepted, "POST", "/v2/fourth"+mount+"&from=nowhere", "")
	c.want(http.StatusAccepted, "POST", "/v2/fourth"+mount+"&from=No/Name", "")
	for _, name := range []string{"to/there", "third"} {
		if _, got := c.want(http.StatusOK, "GET", "/v2/"+name+"/blobs/"+string(d.Digest), ""); got != "shared" {
			t.Errorf("%s has %q", name, got)
		}
	}
	c.want(http.StatusNotFound, "HEAD", "/v2/fourth/blobs/"+string(d.Digest), "")
}

func TestPagesOfTags(t *testing.T) {
	c := newClient(t, registry.Options{})
	for _, tag := range []string{"c", "a", "b"} {
		c.artifact("x/y", tag, "")
	}
	answer, body := c.want(http.StatusOK, "GET", "/v2/x/y/tags/list?n=2", "")
	if strings.TrimSpace(body) != `{"name":"x/y","tags":["a","b"]}` {
		t.Errorf("the first page is %s", body)
	}
	answer, body = c.want(http.StatusOK, "GET", next(t, answer), "")
	if strings.TrimSpace(body) != `{"name":"x/y","tags":["c"]}` {
		t.Errorf("the second page is %s", body)
	}
	if link := answer.Header.Get("Link"); link != "" {
		t.Errorf("the last page leads on to %q", link)
	}
	if _, body = c.want(http.StatusOK, "GET", "/v2/x/y/tags/list?n=0", ""); strings.TrimSpace(body) != `{"name":"x/y","tags":[]}` {
		t.Errorf("a page of nothing is %s", body)
	}
	c.want(http.StatusBadRequest, "GET", "/v2/x/y/tags/list?n=-1", "")
}

// next takes the path of the next page out of an answer.
func next(t *testing.T, answer *http.Response) string {
	t.Helper()
	link := answer.Header.Get("Link")
	path, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !ok {
		t.Fatalf("the link to the next page is %q", link)
	}
	return path
}

func TestPagesOfReferrers(t *testing.T) {
	c := newClient(t, registry.Options{})
	subject := oci.DigestOf([]byte("subject"))
	want := map[oci.Digest]bool{}
	for i := range 5 {
		fields := fmt.Sprintf(`,"subject":{"mediaType":"m","digest":"%s","size":1},"artifactType":"t/%d","annotations":{"n":"%d%s"}`,
			subject, i/4, i, strings.Repeat("x", 1<<20))
		if d := c.artifact("a", "", fields); i < 4 {
			want[d.Digest] = true
		}
	}
	got, pages := map[oci.Digest]bool{}, 0
	for path := "/v2/a/referrers/" + string(subject) + "?artifactType=t/0"; path != ""; pages++ {
		answer, body := c.want(http.StatusOK, "GET", path, "")
		if filters := answer.Header.Get("OCI-Filters-Applied"); filters != "artifactType" {
			t.Errorf("the filters are %q", filters)
		}
		var index oci.Index
		if err := json.Unmarshal([]byte(body), &index); err != nil {
			t.Fatal(err)
		}
		for _, d := range index.Manifests {
			got[d.Digest] = true
		}
		if path = ""; answer.Header.Get("Link") != "" {
			path = next(t, answer)
		}
	}
	if d := cmp.Diff(want, got); d != "" || pages != 2 {
		t.Errorf("%d pages, referrers (-want +got):\n%s", pages, d)
	}
}

func TestABlobThatIsNeededIsNotDeleted(t *testing.T) {
	c := newClient(t, registry.Options{})
	d := c.blob("a", "{}")
	body := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x","digest":"%s","size":2}}`, d.Digest)
	c.want(http.StatusCreated, "PUT", "/v2/a/manifests/x", body, "Content-Type: "+oci.MediaTypeManifest)
	c.refuses(409, "DENIED", "DELETE", "/v2/a/blobs/"+string(d.Digest), "")
	c.want(http.StatusAccepted, "DELETE", "/v2/a/manifests/"+string(oci.DigestOf([]byte(body))), "")
	c.want(http.StatusNotFound, "GET", "/v2/a/manifests/x", "")
	c.want(http.StatusAccepted, "DELETE", "/v2/a/blobs/"+string(d.Digest), "")
}

// A connection that breaks in the middle of a chunk costs what was on its way, no more.
func TestAnUploadGoesOnAfterAConnectionBroke(t *testing.T) {
	c := newClient(t, registry.Options{})
	answer, _ := c.want(http.StatusAccepted, "POST", "/v2/a/blobs/uploads/", "")
	upload := answer.Header.Get("Location")
	raw(t, c.host, "PATCH "+upload+" HTTP/1.1\r\nHost: x\r\nContent-Range: 0-9\r\nContent-Length: 10\r\n\r\n01234").Close()
	until := time.Now().Add(10 * time.Second)
	for answer.Header.Get("Range") != "0-4" {
		if answer, _ = c.do("GET", upload, ""); time.Now().After(until) {
			t.Fatalf("the upload is said to have the range %q: %s", answer.Header.Get("Range"), answer.Status)
		}
		time.Sleep(5 * time.Millisecond)
	}
	digest := string(oci.DigestOf([]byte("0123456789")))
	c.want(http.StatusCreated, "PUT", upload+"?digest="+digest, "56789", "Content-Range: 5-9")
}

func TestAnotherDigestAlgorithmIsRefusedAtTheStart(t *testing.T) {
	c := newClient(t, registry.Options{})
	c.refuses(400, "UNSUPPORTED", "POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512", "")
	c.want(http.StatusAccepted, "POST", "/v2/a/blobs/uploads/?digest-algorithm=sha256", "")
}

func TestAManifestMayHaveTagsInTheQuery(t *testing.T) {
	c := newClient(t, registry.Options{})
	body := `{"schemaVersion":2,"manifests":[]}`
	digest := string(oci.DigestOf([]byte(body)))
	answer, _ := c.want(http.StatusCreated, "PUT", "/v2/a/manifests/"+digest+"?tag=x&tag=y", body, "Content-Type: "+oci.MediaTypeIndex)
	if d := cmp.Diff([]string{"x", "y"}, answer.Header.Values("OCI-Tag")); d != "" {
		t.Errorf("tags (-want +got):\n%s", d)
	}
	for _, tag := range []string{"x", "y"} {
		answer, got := c.want(http.StatusOK, "GET", "/v2/a/manifests/"+tag, "")
		if got != body || answer.Header.Get("Content-Type") != oci.MediaTypeIndex || answer.Header.Get("Docker-Content-Digest") != digest {
			t.Errorf("%s: %q with %v", tag, got, answer.Header)
		}
	}
}

func TestTheTypeOfAManifestIsItsOwnWhenNoneIsSent(t *testing.T) {
	c := newClient(t, registry.Options{})
	body := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[]}`
	c.want(http.StatusCreated, "PUT", "/v2/a/manifests/x", body)
	answer, _ := c.want(http.StatusOK, "HEAD", "/v2/a/manifests/x", "")
	if got := answer.Header.Get("Content-Type"); got != oci.MediaTypeIndex {
		t.Errorf("the type is %q", got)
	}
}

// A body whose length is not known before.
func TestBodiesOfUnknownLength(t *testing.T) {
	c := newClient(t, registry.Options{ManifestSize: 100})
	digest := string(oci.DigestOf([]byte("streamed")))
	send := func(method, path, body string) int {
		r, err := http.NewRequest(method, "http://"+c.host+path, io.MultiReader(bytes.NewReader([]byte(body))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", oci.MediaTypeIndex)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := send("POST", "/v2/a/blobs/uploads/?digest="+digest, "streamed"); got != http.StatusCreated {
		t.Errorf("a blob: %d", got)
	}
	if got := send("PUT", "/v2/a/manifests/x", strings.Repeat(" ", 101)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a manifest that is too large: %d", got)
	}
}

// full is a place that takes no more.
type full struct{ dir.Store }

func (full) Put(context.Context, oci.Descriptor, blob.Source) error { return errors.New("it is full") }

// Of an upload in one request the client knows nothing to go on with. That in pieces can be finished when the place is well again.
func TestWhatAPlaceDoesNotTakeIsLeftOnlyToWhoCanFinishIt(t *testing.T) {
	root := t.TempDir()
	s, err := store.Open(root, store.Limits{}, store.Named{Name: "bucket", Place: full{dir.Store{Root: t.TempDir()}}})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, registry.Options{Store: s})
	left := func() int {
		entries, err := os.ReadDir(filepath.Join(root, "uploads"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	digest := "?digest=" + string(oci.DigestOf([]byte("body")))
	c.want(http.StatusInternalServerError, "POST", "/v2/a/blobs/uploads/"+digest, "body")
	if n := left(); n != 0 {
		t.Errorf("%d uploads are left of one in one request", n)
	}
	answer, _ := c.want(http.StatusAccepted, "POST", "/v2/a/blobs/uploads/", "")
	c.want(http.StatusInternalServerError, "PUT", answer.Header.Get("Location")+digest, "body")
	c.want(http.StatusNoContent, "GET", answer.Header.Get("Location"), "")
}
