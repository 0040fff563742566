package remote_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// somebody has one password for every registry.
type somebody struct{}

func (somebody) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "some", Password: "body"}), nil
}

func wantsSomebody(w http.ResponseWriter, r *http.Request) bool {
	if u, p, ok := r.BasicAuth(); ok && u == "some" && p == "body" {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// TestTLSAndCredentialsOnThisMachine begins with a plain request, which shows neither what a registry on this machine wants.
func TestTLSAndCredentialsOnThisMachine(t *testing.T) {
	proxy := &remotetest.Proxy{Registry: remotetest.Olareg(t), Fault: wantsSomebody}
	server := httptest.NewUnstartedServer(proxy.Handler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake is meant to fail
	server.StartTLS()
	defer server.Close()
	trusting := remote.NewTransport(4)
	trusting.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	client := remote.New(remote.Options{Transport: trusting, Keychain: somebody{}})
	r := open(t, client, strings.TrimPrefix(server.URL, "https://"), "app")
	if missing, err := r.Missing(t.Context(), oci.Describe(oci.MediaTypeManifest, []byte("{}"))); err != nil || len(missing) != 1 {
		t.Errorf("missing %d, %v; want the one", len(missing), err)
	}
	grant, err := r.Authorize(t.Context())
	want := remote.Grant{URL: server.URL + "/v2/app", Authorization: "Basic c29tZTpib2R5"}
	if err != nil || grant != want {
		t.Errorf("grant is %+v, %v; want %+v", grant, err, want)
	}
}

func TestAuthorizeWhereNothingIsWanted(t *testing.T) {
	registry := remotetest.Olareg(t)
	grant, err := open(t, remote.New(remote.Options{}), registry, "app").Authorize(t.Context())
	if want := (remote.Grant{URL: "http://" + registry + "/v2/app"}); err != nil || grant != want {
		t.Errorf("grant is %+v, %v; want %+v", grant, err, want)
	}
}

func TestDescribeKnowsTheSize(t *testing.T) {
	registry := remotetest.Olareg(t)
	r := open(t, remote.New(remote.Options{}), registry, "app")
	body := []byte("some bytes")
	d := blobtest.Describe(body)
	if err := r.Put(t.Context(), d, blobtest.Content(body)); err != nil {
		t.Fatal(err)
	}
	got, err := r.Describe(t.Context(), d.Digest)
	if err != nil || got.Size != d.Size || got.Digest != d.Digest {
		t.Errorf("described as %+v, %v; want %+v", got, err, d)
	}
	if _, err := r.Describe(t.Context(), blobtest.Describe([]byte("another")).Digest); err == nil {
		t.Error("a blob that is not there was described")
	}
}
