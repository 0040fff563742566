package cas

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestEndpointsAreAsBazelHasThem(t *testing.T) {
	for in, want := range map[string]struct{ scheme, host, path, user, target string }{
		"grpc://cache:8980":                   {"grpc", "cache:8980", "", "", "dns:///cache:8980"},
		"grpcs://cache":                       {"grpcs", "cache", "", "", "dns:///cache:443"},
		"grpcs://[::1]":                       {"grpcs", "[::1]", "", "", "dns:///[::1]:443"},
		"grpcs://[::1]:99":                    {"grpcs", "[::1]:99", "", "", "dns:///[::1]:99"},
		"cache.example.com:443":               {"grpcs", "cache.example.com:443", "", "", "dns:///cache.example.com:443"},
		"grpcs://u:p@cache/an/instance/":      {"grpcs", "cache", "an/instance", "u:p", "dns:///cache:443"},
		"unix:/run/cache.sock":                {"unix", "/run/cache.sock", "", "", "unix:/run/cache.sock"},
		"unix:///run/cache.sock":              {"unix", "/run/cache.sock", "", "", "unix:/run/cache.sock"},
		"https://user@cache.example.com/deep": {"https", "cache.example.com", "deep", "user", ""},
	} {
		e, err := ParseEndpoint(in)
		if err != nil || e.Scheme != want.scheme || e.Host != want.host || e.Path != want.path || e.User.String() != want.user {
			t.Errorf("%s: %+v, %v", in, e, err)
		}
		if got := target(e); want.target != "" && got != want.target {
			t.Errorf("%s: target %s: want %s", in, got, want.target)
		}
		if strings.Contains(e.String(), "u:p") {
			t.Errorf("%s: the user is in %s", in, e)
		}
	}
	for _, in := range []string{"", "unix:", "ftp://x", "grpc://", "grpc://u:secret@h:port", "grpc://h?x=1"} {
		if e, err := ParseEndpoint(in); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v", in, e, err)
		}
	}
}

func FuzzParseEndpoint(f *testing.F) {
	f.Add("grpcs://u:p@cache:99/instance")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEndpoint(s)
		if err == nil && e.Host == "" {
			t.Errorf("%q has no host", s)
		}
	})
}

func TestNoRedirectLeadsOutOfTLS(t *testing.T) {
	secure, plain := httptest.NewRequest("GET", "https://cache/cas/x", nil), httptest.NewRequest("GET", "http://cache/cas/x", nil)
	if err := checkRedirect(plain, []*http.Request{secure}); err == nil {
		t.Error("a redirect may lead from https to http")
	}
	if err := checkRedirect(plain, []*http.Request{plain}); err != nil {
		t.Errorf("a cache without TLS may not redirect to itself: %v", err)
	}
}
