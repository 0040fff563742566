package remote_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
)

// asExampleCom makes a client believe that the server, whose certificate is for it, is example.com.
func asExampleCom(server *httptest.Server) *http.Transport {
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.EqualFold(address, "example.com:443") {
			address = server.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return transport
}

// TestARegistryIsTheSameHoweverItIsWritten: an upload that it sends to itself, by another spelling, goes with the credentials.
func TestARegistryIsTheSameHoweverItIsWritten(t *testing.T) {
	for name, at := range map[string]struct {
		says      string // instead of https://example.com in the place of an upload
		redirects string // instead of example.com, where a PUT is sent on to
	}{
		"with the port":                 {says: "https://example.com:443"},
		"in capitals":                   {says: "https://Example.COM"},
		"without TLS, with a port":      {says: "http://example.com:80"},
		"without TLS, in capitals":      {says: "http://Example.COM"},
		"by a redirect with the port":   {redirects: "example.com:443"},
		"by a redirect in capitals":     {redirects: "Example.COM"},
		"by both, each in another way":  {says: "https://example.com:443", redirects: "Example.COM"},
		"as it is, if you come to that": {},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := &remotetest.Proxy{Registry: remotetest.Distribution(t)}
			proxy.Fault = demandingPassword(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != "PUT" || at.redirects == "" || r.Host == at.redirects {
					return false
				}
				http.Redirect(w, r, "https://"+at.redirects+r.URL.RequestURI(), http.StatusTemporaryRedirect)
				return true
			})
			behind := proxy.Handler()
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				behind.ServeHTTP(&spelling{w, at.says}, r)
			}))
			defer server.Close()
			var src mem.Store
			root := blobtest.Image(t, &src, linux, layers(name, 2, 1000)...)
			to := open(t, remote.New(remote.Options{Keychain: password, Transport: asExampleCom(server)}), "example.com", "app")
			if _, err := blob.Copy(t.Context(), quick.Sink(to), &src, blob.CopyOptions{}, root); err != nil {
				t.Error(err)
			}
		})
	}
}

// spelling answers with places of uploads that are spelt differently.
type spelling struct {
	http.ResponseWriter
	says string
}

func (s *spelling) WriteHeader(status int) {
	if rest, ok := strings.CutPrefix(s.Header().Get("Location"), "https://example.com/"); ok && s.says != "" {
		s.Header().Set("Location", s.says+"/"+rest)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *spelling) Unwrap() http.ResponseWriter { return s.ResponseWriter }
