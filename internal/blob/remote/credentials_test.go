package remote_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// stranger is a server that nobody has credentials for. It reports whether it was shown any.
func stranger(t *testing.T, serve http.Handler) (address string, shown func() bool) {
	t.Helper()
	var leaked atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		if r.Header.Get("Authorization") != "" || strings.Contains(fmt.Sprint(r.Form), secret) {
			leaked.Store(true)
		}
		serve.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.Listener.Addr().String(), "127.0.0.1", "localhost", 1), leaked.Load
}

// TestBlobsMayComeFromElsewhere, as from a bucket, and the credentials stay.
func TestBlobsMayComeFromElsewhere(t *testing.T) {
	body := blobtest.Bytes("from a bucket", 100<<10)
	bucket, shown := stranger(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		demandingPassword(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://"+bucket+"/object?signed", http.StatusTemporaryRedirect)
			return true
		})(w, r)
	}))
	t.Cleanup(registry.Close)
	r := open(t, remote.New(remote.Options{Keychain: password}), strings.TrimPrefix(registry.URL, "http://"), "app")
	got, err := blob.ReadAll(t.Context(), "test", r, blobtest.Describe(body))
	if err != nil || string(got) != string(body) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if shown() {
		t.Error("the credentials went to another host")
	}
}

// perHost has a password for one registry.
type perHost struct{ registry string }

func (k perHost) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != k.registry {
		return authn.Anonymous, nil
	}
	return password.Resolve(r)
}

// TestAMirrorIsNotShownTheCredentialsOfAnother: it may demand what it likes.
func TestAMirrorIsNotShownTheCredentialsOfAnother(t *testing.T) {
	mirror, shown := stranger(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		refuse(w, 401, "UNAUTHORIZED", "show me")
	}))
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), demandingPassword(func(http.ResponseWriter, *http.Request) bool { return false }))
	client := remote.New(remote.Options{Keychain: perHost{address}})
	var src mem.Store
	root := blobtest.Image(t, &src, linux, []byte("layer"))
	push(t, client, address, "app", &src, root)
	first, second := open(t, client, mirror, "app"), open(t, client, address, "app")
	both := blob.Fallback(blob.Named{Name: "mirror", Source: first}, blob.Named{Name: "registry", Source: second})
	if _, err := blob.ReadAll(t.Context(), "test", both, root); err != nil {
		t.Error(err)
	}
	if shown() {
		t.Error("the credentials went to the mirror")
	}
}

// TestATokenServerKeepsThePassword: it is shown it by the specification, wherever it is, but over TLS as the registry is, and nobody that it
// redirects to is.
func TestATokenServerKeepsThePassword(t *testing.T) {
	t.Run("without TLS", func(t *testing.T) {
		realm, shown := stranger(t, http.NotFoundHandler())
		registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, realm))
			refuse(w, 401, "UNAUTHORIZED", "get a token")
		}))
		t.Cleanup(registry.Close)
		client := remote.New(remote.Options{Keychain: password, Transport: registry.Client().Transport})
		_, err := open(t, client, strings.TrimPrefix(registry.URL, "https://"), "app").Resolve(t.Context(), "latest")
		if err == nil || !strings.Contains(err.Error(), "not allowed for a secure registry") || shown() {
			t.Errorf("error is %v; the credentials were shown: %v", err, shown())
		}
	})
	t.Run("that redirects", func(t *testing.T) {
		elsewhere, shown := stranger(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"of a stranger"}`) }))
		for name, config := range map[string]authn.AuthConfig{
			"a password":      {Username: "user", Password: secret},
			"a refresh token": {IdentityToken: secret},
		} {
			realm := httptest.NewServer(http.RedirectHandler("http://"+elsewhere+"/token", http.StatusTemporaryRedirect))
			t.Cleanup(realm.Close)
			registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test"`, strings.Replace(realm.URL, "127.0.0.1", "localhost", 1)))
				refuse(w, 401, "UNAUTHORIZED", "get a token")
			}))
			t.Cleanup(registry.Close)
			client := remote.New(remote.Options{Keychain: keychain{config}})
			r := open(t, client, strings.TrimPrefix(registry.URL, "http://"), "app")
			if _, err := r.Missing(t.Context(), oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestOf(nil)}); err == nil {
				t.Errorf("%s: is taken", name)
			}
			if shown() {
				t.Errorf("%s went to another host", name)
			}
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestOnlyThisMachineMayDoWithoutTLS, as its name says, whatever a name is made to look like.
func TestOnlyThisMachineMayDoWithoutTLS(t *testing.T) {
	for host, want := range map[string]string{
		"localhost:5000": "http", "127.0.0.1:5000": "http", "[::1]:5000": "http", "registry.localhost:5000": "http",
		"registry.example": "https", "registry.example:80": "https", "10.0.0.1:5000": "https", "0.0.0.0:5000": "https",
		"127.0.0.1.example:5000": "https", "localhost.example:5000": "https", "notlocalhost:5000": "https",
	} {
		first := ""
		client := remote.New(remote.Options{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if first == "" {
				first = r.URL.Scheme
			}
			return nil, errors.New("enough")
		})})
		open(t, client, host, "app").Resolve(t.Context(), "latest")
		if first != want {
			t.Errorf("%s is asked over %s", host, first)
		}
	}
}

// TestNamesOfThisMachineAreThisMachine, without a name server or a proxy that may say otherwise.
func TestNamesOfThisMachineAreThisMachine(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.invalid")
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "DENIED", "this is me") }))
	t.Cleanup(registry.Close)
	_, port, _ := strings.Cut(registry.Listener.Addr().String(), ":")
	_, err := open(t, remote.New(remote.Options{}), "registry.localhost:"+port, "app").Resolve(t.Context(), "latest")
	if err == nil || !strings.Contains(err.Error(), "this is me") {
		t.Errorf("error is %v", err)
	}
}
