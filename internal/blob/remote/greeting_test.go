package remote_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestTheFirstRequestToARegistryGoesAlone, so that one demand for credentials is enough. The registry is not on this machine, as
// far as the client can see: it is called example.com, as the certificate of httptest is.
func TestTheFirstRequestToARegistryGoesAlone(t *testing.T) {
	s := &tokens{url: "https://example.com"}
	proxy := &remotetest.Proxy{Registry: remotetest.Olareg(t), Latency: 20 * time.Millisecond}
	proxy.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			s.token(w, r)
			return true
		}
		return s.demand(w, r)
	}
	server := httptest.NewTLSServer(proxy.Handler())
	defer server.Close()

	var src mem.Store
	var roots []oci.Descriptor
	for _, layer := range layers("greeting", 10, 100) {
		roots = append(roots, blobtest.Image(t, &src, linux, layer))
	}
	r := open(t, remote.New(remote.Options{Keychain: password, Transport: asExampleCom(server)}), "example.com", "app")
	missing, err := r.Missing(t.Context(), roots...)
	if err != nil || len(missing) != len(roots) {
		t.Fatalf("missing are %d of %d, %v", len(missing), len(roots), err)
	}
	refused := 0
	seen, _ := proxy.Reset()
	for _, one := range seen {
		if one.Status == http.StatusUnauthorized {
			refused++
		}
	}
	if refused != 1 || s.n != 1 {
		t.Errorf("%d requests were refused and %d tokens given; want one each", refused, s.n)
	}
}
