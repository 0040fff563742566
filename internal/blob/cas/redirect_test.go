package cas_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
)

// TestCredentialsStayWithTheCache: it may send a request elsewhere, but not what it was shown, whatever that is called.
func TestCredentialsStayWithTheCache(t *testing.T) {
	body := blobtest.Bytes("elsewhere", 100<<10)
	store := serveHTTP(t, true, body)
	var leaked atomic.Value
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Authorization", "X-Token", "Cookie"} {
			if r.Header.Get(name) != "" {
				leaked.Store(name)
			}
		}
		http.Redirect(w, r, store+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(bucket.Close)
	var shown atomic.Int64
	cache := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user == "user" && pass == "pass" && r.Header.Get("X-Token") == "secret" {
			shown.Add(1)
		}
		at := "/first" + r.URL.Path // itself, where they are shown again
		if path, again := strings.CutPrefix(r.URL.Path, "/first"); again {
			at = bucket.URL + path
		}
		http.Redirect(w, r, at, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(cache.Close)
	helper := func(context.Context, string) (http.Header, error) { return http.Header{"X-Token": {"secret"}}, nil }
	c := open(t, strings.Replace(cache.URL, "http://", "http://user:pass@", 1), cas.Options{Credentials: helper})
	wantRead(t, c, blobtest.Describe(body), body)
	if name := leaked.Load(); name != nil {
		t.Errorf("%s went to another host", name)
	}
	if shown.Load() != 2 {
		t.Errorf("the cache was shown the credentials %d times; want twice", shown.Load())
	}
}
